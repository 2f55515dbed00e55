"""Makes the files that an operator mounts: homeserver.yaml, signing key, TLS pair."""

import base64
import os
import subprocess
from pathlib import Path

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

# Every duty is off the main process, so that each application may start.
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

# With a plan of workers, homeserver.yaml says nothing of duties.
PLANNED = (
    _COMMON
    + """\
database:
  name: psycopg2
  args: {user: synapse, dbname: synapse, host: postgres}
redis: {enabled: true, host: redis}
"""
)


def make_data(folder: Path, homeserver: str) -> Path:
    """Fill ``folder`` as an operator would fill /data; return it."""
    folder.mkdir()
    (folder / "homeserver.yaml").write_text(homeserver)
    seed = base64.b64encode(os.urandom(32)).decode().rstrip("=")
    (folder / "signing.key").write_text(f"ed25519 a_test {seed}\n")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            f"/CN={SERVER_NAME}",
            "-addext",
            f"subjectAltName=DNS:{SERVER_NAME}",
            "-keyout",
            folder / "tls.key",
            "-out",
            folder / "tls.crt",
        ],
        check=True,
        capture_output=True,
    )
    (folder / "tls.key").chmod(0o600)
    return folder
