"""Makes the first homeserver.yaml and signing key of a new homeserver; replaces nothing."""

import base64
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from worker.errors import ConfigError
from worker.files import write_new

# Grammar of a server name: "Server Name" in the appendices of the Matrix specification.
_SERVER_NAME = re.compile(r"(?:[A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_TEMPLATE = """\
# The first configuration of {server_name}; the same file for every process.
# https://element-hq.github.io/synapse/latest/usage/configuration/config_documentation.html
server_name: "{server_name}"
report_stats: {report_stats}

# One process may live with SQLite; before there are workers, move to PostgreSQL:
# database: {{name: psycopg2, args: {{host: postgres, user: synapse, dbname: synapse}}}}
database:
  name: sqlite3
  args:
    database: {data}/homeserver.db

# Workers hear of events through Redis:
# redis: {{enabled: true, host: redis}}

registration_shared_secret_path: {data}/registration_shared_secret
macaroon_secret_key_path: {data}/macaroon_secret_key
form_secret_path: {data}/form_secret

# Whose word is taken for the keys of servers that are down; Synapse would warn of the choice.
trusted_key_servers:
  - server_name: "matrix.org"
suppress_key_server_warning: true
"""
_SECRETS = ("registration_shared_secret", "macaroon_secret_key", "form_secret")


def generate(environ: Mapping[str, str]) -> list[Path]:
    """Write what is missing into the data folder; return what was written.

    Args:
        environ: has ``SYNAPSE_SERVER_NAME`` and ``SYNAPSE_REPORT_STATS``, as of the official image.

    Raises:
        ConfigError: when a variable is wrong, there is a homeserver.yaml, or the folder is not
            writable.
    """
    name = environ.get("SYNAPSE_SERVER_NAME", "")
    stats = environ.get("SYNAPSE_REPORT_STATS", "")
    data = Path(environ.get("SYNAPSE_DATA_DIR") or "/data")
    config = Path(environ.get("SYNAPSE_CONFIG_PATH") or data / "homeserver.yaml")
    problems = []
    if not name:
        problems.append(
            "SYNAPSE_SERVER_NAME is not set; give the part behind the colon of user ids"
        )
    elif not _SERVER_NAME.fullmatch(name):
        problems.append(
            f"SYNAPSE_SERVER_NAME={name!r} is not a server name; give such as example.com"
        )
    if stats not in ("yes", "no"):
        problems.append(
            f"SYNAPSE_REPORT_STATS={stats!r} is neither yes nor no; it decides whether matrix.org "
            "gets anonymous statistics"
        )
    if config.exists():
        problems.append(f"{config} exists already; it is not replaced")
    if not os.access(data, os.W_OK | os.X_OK):
        problems.append(
            f"{data}: it cannot be written by uid {os.geteuid()}; mount a folder that it owns"
        )
    if problems:
        raise ConfigError(problems)
    written = []
    for secret in _SECRETS:
        if not (data / secret).exists():
            written.append(write_new(data / secret, secrets.token_urlsafe(32) + "\n"))
    if not (data / "signing.key").exists():
        seed = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        line = f"ed25519 a_{secrets.token_hex(2)} {seed}\n"
        written.append(write_new(data / "signing.key", line))
    text = _TEMPLATE.format(
        server_name=name, report_stats="true" if stats == "yes" else "false", data=data
    )
    # Last: whoever finds it finds everything that it names.
    written.append(write_new(config, text))
    return written
