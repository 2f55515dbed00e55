"""What this container can know to be wrong before Synapse starts: each has cost someone a night."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.settings import Settings


def _readable(path: Path, what: str, problems: list[str]) -> None:
    if not path.is_file():
        problems.append(f"{path}: {what} is missing; mount it")
    elif not os.access(path, os.R_OK):
        problems.append(
            f"{path}: {what} is not readable for uid {os.geteuid()}; change its owner or mode"
        )


def _duty(homeserver: Mapping[str, Any], settings: Settings, problems: list[str]) -> None:
    """The old application names insist that the main process has given the duty up."""
    worker = settings.worker
    if not worker.duty_setting or homeserver.get(worker.duty_setting) is False:
        return
    instances = homeserver.get(worker.duty_instances)
    named = instances if isinstance(instances, list) else [instances]
    only_list = worker.duty_instances.endswith("_instances")
    if only_list and settings.name in named:
        return
    remedy = f"set {worker.duty_setting}: false there for every process"
    if only_list:
        remedy += f", or {worker.duty_instances}: [{settings.name}]"
    problems.append(
        f"homeserver.yaml: {worker.duty_setting} leaves the duty of {worker.app} on the main "
        f"process, so that it would be done twice; {remedy}"
    )


def _worker_needs(homeserver: Mapping[str, Any], settings: Settings, problems: list[str]) -> None:
    redis = homeserver.get("redis")
    if not isinstance(redis, dict) or redis.get("enabled") is not True:
        problems.append(
            "homeserver.yaml: redis is not enabled, and workers hear of events through Redis; "
            "set redis: {enabled: true, host: ...} for every process"
        )
    database = homeserver.get("database")
    if not isinstance(database, dict) or database.get("name") != "psycopg2":
        name = database.get("name") if isinstance(database, dict) else database
        problems.append(
            f"homeserver.yaml: database.name is {name!r}, and workers share PostgreSQL alone; "
            "set database: {name: psycopg2, args: ...}"
        )


def find_problems(homeserver: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return one line for each thing that is wrong; called with the rights that Synapse gets."""
    problems: list[str] = []
    for name in ("server_name", "report_stats"):
        if homeserver.get(name) is None:
            example = "example.com" if name == "server_name" else "false"
            problems.append(f"homeserver.yaml: {name} is missing; set it, such as {example}")
    instances = homeserver.get("instance_map")
    if instances is not None and not isinstance(instances, dict):
        problems.append(
            f"homeserver.yaml: instance_map is a {type(instances).__name__}; make it a mapping "
            "from worker name to host and port"
        )
    if not settings.worker.main:
        _worker_needs(homeserver, settings, problems)
        _duty(homeserver, settings, problems)
    if not homeserver.get("signing_key"):
        # The main process would invent a key, and with it another server.
        _readable(settings.data / "signing.key", "the signing key", problems)
    if "federation" in settings.worker.listeners:
        _readable(settings.data / "tls.crt", "the TLS certificate", problems)
        _readable(settings.data / "tls.key", "the TLS key", problems)
    keeps_media = settings.worker.media and (
        not settings.worker.main or homeserver.get("enable_media_repo") is not False
    )
    if keeps_media and not os.access(settings.media, os.W_OK | os.X_OK):
        problems.append(
            f"{settings.media}: media cannot be written by uid {os.geteuid()}; mount a folder "
            "that it owns"
        )
    return problems
