"""Makes the files that an operator mounts: homeserver.yaml, signing key and TLS key pair."""

import base64
import os
import shutil
import subprocess
from pathlib import Path

from sandbox.bwrap import program

SERVER_NAME = "worker.test"
SHARED_SECRET = "for tests only"

_COMMON = f"""\
server_name: {SERVER_NAME}
report_stats: false
registration_shared_secret: {SHARED_SECRET}
macaroon_secret_key: for tests only
form_secret: for tests only
trusted_key_servers: []
suppress_key_server_warning: true
"""

SQLITE = (
    _COMMON
    + """\
database:
  name: sqlite3
  args: {database: /data/homeserver.db}
"""
)

# All duties are moved off the main process, so that each application can start.
WORKERS = (
    _COMMON
    + """\
database:
  name: psycopg2
  args: {user: synapse, dbname: synapse, host: postgres}
redis: {enabled: true, host: redis}
start_pushers: false
send_federation: false
notify_appservices: false
update_user_directory: false
enable_media_repo: false
media_instance_running_background_jobs: media_repository
"""
)

# With a worker plan, homeserver.yaml does not assign duties.
PLANNED = (
    _COMMON
    + """\
database:
  name: psycopg2
  args: {user: synapse, dbname: synapse, host: postgres}
redis: {enabled: true, host: redis}
"""
)


# Makes a new key and a certificate for it; elliptic curve keys are fast to generate.
_CERTIFICATE = (
    *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    *("-nodes", "-days", "2"),
)


def _openssl(*arguments: str | Path) -> None:
    command = [program("openssl", "openssl"), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def make_authority(folder: Path) -> Path:
    """Make a CA (``ca.crt`` and ``ca.key``) in ``folder``, which is created; return ``folder``."""
    folder.mkdir()
    _openssl(
        *(*_CERTIFICATE, "-subj", "/CN=authority"),
        *("-keyout", folder / "ca.key", "-out", folder / "ca.crt"),
    )
    return folder


def make_data(
    folder: Path, homeserver: str, host: str = SERVER_NAME, authority: Path | None = None
) -> Path:
    """Fill ``folder`` as an operator would fill /data; return it.

    Args:
        folder: the folder to create.
        homeserver: the text of homeserver.yaml.
        host: the host name in the certificate.
        authority: the folder of the CA that signs it; if None, it is self-signed.
    """
    folder.mkdir()
    (folder / "homeserver.yaml").write_text(homeserver)
    seed = base64.b64encode(os.urandom(32)).decode().rstrip("=")
    (folder / "signing.key").write_text(f"ed25519 a_test {seed}\n")
    command: list[str | Path] = [*_CERTIFICATE]
    command += ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    if authority is not None:
        command += ["-CA", authority / "ca.crt", "-CAkey", authority / "ca.key"]
        command += ["-addext", "basicConstraints=critical,CA:FALSE"]
        shutil.copy(authority / "ca.crt", folder / "ca.crt")
    _openssl(*command, "-keyout", folder / "tls.key", "-out", folder / "tls.crt")
    (folder / "tls.key").chmod(0o600)
    return folder


def make_mounts(folder: Path, homeserver: str = "") -> dict[str, Path]:
    """Make the folders that an operator mounts, in ``folder``.

    Args:
        folder: an existing folder; what was made in it before is kept.
        homeserver: the text of homeserver.yaml, with which `make_data` fills the folder for /data;
            if it is "", that folder is empty, or as it was.

    Returns:
        The folders by their path in the container: /data, /synapse_media and /synapse_runtime.
    """
    mounts = {f"/{name}": folder / name for name in ("data", "synapse_media", "synapse_runtime")}
    if homeserver:
        make_data(mounts["/data"], homeserver)
    for path in mounts.values():
        path.mkdir(exist_ok=True)
    return mounts
