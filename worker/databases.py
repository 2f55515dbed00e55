"""The PostgreSQL databases of homeserver.yaml, and their password if it comes from a file.

For libpq's parameters, see "Parameter Key Words" and "The Password File" in the PostgreSQL
documentation.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any

from worker.errors import ConfigError, shown
from worker.secret_files import read_secret_file
from worker.settings import Settings

PASSWORD_VARIABLE = "SYNAPSE_DATABASE_PASSWORD_FILE"


def _postgres_databases(homeserver: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the option name and ``args`` of each PostgreSQL database whose ``args`` are usable."""
    configs = {"database": homeserver.get("database")}
    databases = homeserver.get("databases")
    if isinstance(databases, dict):
        configs = {f"databases.{name}": config for name, config in databases.items()}
    for name, config in configs.items():
        if isinstance(config, dict) and config.get("name") == "psycopg2":
            args = config.get("args") or {}
            if isinstance(args, dict):
                yield name, args


def with_password(homeserver: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return ``database`` and ``databases`` of ``homeserver`` with the password filled in.

    The result is empty if no password file is set.

    Raises:
        ConfigError: if the file cannot be used.
    """
    if settings.database_password_file is None:
        return {}
    password = read_secret_file(
        PASSWORD_VARIABLE, settings.database_password_file, "the database password"
    )

    def add_password(config: Any) -> Any:
        if not isinstance(config, dict) or config.get("name") != "psycopg2":
            return config
        args = config.get("args") or {}
        if not isinstance(args, dict):
            return config
        return config | {"args": args | {"password": password}}

    changed = {}
    if "database" in homeserver:
        changed["database"] = add_password(homeserver["database"])
    databases = homeserver.get("databases")
    if isinstance(databases, dict):
        changed["databases"] = {name: add_password(config) for name, config in databases.items()}
    return changed


def _passfile_problem(path: object) -> str:
    """Return why libpq would ignore the password file ``path`` without an error, or ""."""
    try:
        mode = os.stat(str(path)).st_mode
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or "no file can have that name"
    if not stat.S_ISREG(mode):
        return "it is not a regular file"
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return "its mode lets other users access it"
    return "" if os.access(str(path), os.R_OK) else f"uid {os.geteuid()} cannot read it"


def database_problems(homeserver: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return one line for each problem with a password file, such as one that libpq ignores."""
    problems = []
    args_by_option = dict(_postgres_databases(homeserver))
    for option, args in args_by_option.items():
        if args.get("passfile"):
            reason = _passfile_problem(args["passfile"])
            if reason:
                problems.append(
                    f"homeserver.yaml: {option}.args.passfile={shown(str(args['passfile']))}: "
                    f"libpq ignores it: {reason}; give uid {os.geteuid()} a copy with mode 0600, "
                    "or set "
                    f"{PASSWORD_VARIABLE}"
                )
    if settings.database_password_file is None:
        return problems
    try:
        read_secret_file(
            PASSWORD_VARIABLE, settings.database_password_file, "the database password"
        )
    except ConfigError as error:
        problems += error.problems
    if not args_by_option:
        problems.append(
            f"{PASSWORD_VARIABLE} is set, but homeserver.yaml has no PostgreSQL database; unset it"
        )
    for option, args in args_by_option.items():
        if args.get("password") is not None:
            problems.append(
                f"{PASSWORD_VARIABLE} is set, and homeserver.yaml has {option}.args.password too; "
                "remove one of them"
            )
    return problems
