"""Generates a first homeserver.yaml, keys and secrets; existing files are never replaced."""

import base64
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from worker.errors import ConfigError, shown
from worker.files import write_new
from worker.hosts import host_problem
from worker.strict_yaml import dump

_DOCUMENTATION = (
    "https://element-hq.github.io/synapse/latest/usage/configuration/config_documentation.html"
)
_SECRETS = ("registration_shared_secret", "macaroon_secret_key", "form_secret")
_SERVER_NAME = re.compile(
    r"(?P<host>[A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
)


def _server_name_problem(name: str) -> str:
    """Return why ``name`` is not a server name, or "".

    The grammar is from "Server Name" in the appendices of the Matrix specification.
    """
    match = _SERVER_NAME.fullmatch(name)
    if match is None or not 0 < int(match["port"] or 1) < 65536:
        return "is not a server name; use a name such as example.com, followed by a port if needed"
    return host_problem(match["host"])


def _services(data_dir: Path, *, workers: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the sections of the database and of Redis, which only workers need."""
    if workers:
        postgres = {"host": "postgres", "user": "synapse", "dbname": "synapse"}
        yield (
            "PostgreSQL and Redis; SYNAPSE_DATABASE_PASSWORD_FILE names the file of the password.",
            {
                "database": {"name": "psycopg2", "args": postgres},
                "redis": {"enabled": True, "host": "redis"},
            },
        )
        return
    yield (
        "SQLite is enough for one process; move to PostgreSQL before you add workers:\n"
        "database: {name: psycopg2, args: {host: postgres, user: synapse, dbname: synapse}}\n"
        "redis: {enabled: true, host: redis}",
        {"database": {"name": "sqlite3", "args": {"database": str(data_dir / "homeserver.db")}}},
    )


def configuration(
    server_name: str, *, report_stats: bool, data_dir: Path, workers: bool = False
) -> str:
    """Return a first homeserver.yaml.

    Args:
        server_name: the server name.
        report_stats: whether to send anonymous statistics to matrix.org.
        data_dir: the folder of the database and the secrets.
        workers: whether there are workers, which need PostgreSQL and Redis.
    """
    sections: list[tuple[str, dict[str, Any]]] = [
        (
            f"A first configuration for {server_name}; every process reads this file.\n"
            f"{_DOCUMENTATION}",
            {"server_name": server_name, "report_stats": report_stats},
        ),
        *_services(data_dir, workers=workers),
        (
            "Secrets, each in a file of its own.",
            {f"{secret}_path": str(data_dir / secret) for secret in _SECRETS},
        ),
        (
            "The server to ask for the keys of servers that are down; the second option turns\n"
            "off Synapse's warning about this choice.",
            {
                "trusted_key_servers": [{"server_name": "matrix.org"}],
                "suppress_key_server_warning": True,
            },
        ),
    ]
    texts = []
    for comment, options in sections:
        lines = [f"# {line}\n" for line in comment.splitlines()]
        texts.append("".join(lines) + dump(options))
    return "\n".join(texts)


def generate(environ: Mapping[str, str]) -> list[Path]:
    """Write homeserver.yaml, and the secrets and keys that are missing; return their paths.

    Args:
        environ: has ``SYNAPSE_SERVER_NAME`` and ``SYNAPSE_REPORT_STATS``, as in the official image;
            with ``SYNAPSE_WORKERS``, the configuration is for PostgreSQL and Redis.

    Raises:
        ConfigError: if a variable is invalid, homeserver.yaml already exists, or a folder is not
            writable; then no new file is left behind.
    """
    server_name = environ.get("SYNAPSE_SERVER_NAME", "")
    report_stats = environ.get("SYNAPSE_REPORT_STATS", "")
    data_dir = Path(environ.get("SYNAPSE_DATA_DIR") or "/data")
    config_path = Path(environ.get("SYNAPSE_CONFIG_PATH") or data_dir / "homeserver.yaml")
    problems = []
    if not server_name:
        problems.append(
            "SYNAPSE_SERVER_NAME is not set; set it to the part after the colon in user IDs"
        )
    elif _server_name_problem(server_name):
        problems.append(
            f"SYNAPSE_SERVER_NAME={shown(repr(server_name))} {_server_name_problem(server_name)}"
        )
    if report_stats not in ("yes", "no"):
        problems.append(
            f"SYNAPSE_REPORT_STATS={shown(repr(report_stats))} is neither yes nor no; use yes to "
            "send anonymous statistics to matrix.org, or no"
        )
    if os.path.lexists(config_path):
        problems.append(f"{shown(config_path)} already exists; it is not replaced")
    for folder in dict.fromkeys((data_dir, config_path.parent)):
        if not os.access(folder, os.W_OK | os.X_OK):
            problems.append(
                f"{shown(folder)} is not writable by uid {os.geteuid()}; mount a folder that it "
                "owns"
            )
    if problems:
        raise ConfigError(problems)
    texts = {data_dir / secret: secrets.token_urlsafe(32) + "\n" for secret in _SECRETS}
    seed = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    texts[data_dir / "signing.key"] = f"ed25519 a_{secrets.token_hex(2)} {seed}\n"
    new_texts = {path: text for path, text in texts.items() if not os.path.lexists(path)}
    # Written last, so that everything that it names already exists.
    new_texts[config_path] = configuration(
        server_name,
        report_stats=report_stats == "yes",
        data_dir=data_dir,
        workers=bool(environ.get("SYNAPSE_WORKERS")),
    )
    written: list[Path] = []
    try:
        for path, text in new_texts.items():
            written.append(write_new(path, text))
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written
