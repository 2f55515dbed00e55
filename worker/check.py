"""Finds the problems that this container can detect before Synapse starts."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from supervisor.spec import CONTROL_SOCKET
from worker.databases import database_problems
from worker.duties import duty_problems, main_writer_problems, quarantine_warnings
from worker.errors import shown
from worker.hosts import host_problem, unbracketed
from worker.key_files import signing_key_problems, tls_problems
from worker.listeners import (
    has_tls,
    listener,
    listener_kinds,
    socket_path,
    socket_problem,
    uses_tcp,
)
from worker.plan import contradictions, replicates
from worker.secret_files import replication_secret_problems
from worker.settings import Settings


class SharedResults:
    """Caches the results of checks that are the same for every process of a homeserver."""

    def __init__(self) -> None:
        """Start without any results."""
        self._results: dict[object, list[str]] = {}

    def once(self, find: Callable[..., list[str]], *arguments: object) -> list[str]:
        """Call ``find`` with ``arguments`` the first time; return that same result every time."""
        if find not in self._results:
            self._results[find] = find(*arguments)
        return self._results[find]


def _check_database(homeserver: Mapping[str, Any], problems: list[str]) -> None:
    database = homeserver.get("database")
    if isinstance(homeserver.get("databases"), dict):
        return  # Synapse's own parser checks those.
    engine = database.get("name") if isinstance(database, dict) else database
    if engine != "psycopg2":
        shown_engine = "not set" if engine is None else repr(engine)
        problems.append(
            f"homeserver.yaml: database.name is {shown_engine}, but workers need PostgreSQL; set "
            f"database: {{name: psycopg2, args: ...}}"
        )


def _check_redis(homeserver: Mapping[str, Any], problems: list[str]) -> None:
    redis = homeserver.get("redis")
    if not isinstance(redis, dict) or redis.get("enabled") is not True:
        problems.append(
            "homeserver.yaml: redis is not enabled, but workers receive events through Redis; set "
            "redis: {enabled: true, host: ...} for every process"
        )


def shared_problems(
    homeserver: Mapping[str, Any], *, has_workers: bool, needs_redis: bool
) -> list[str]:
    """Return one line for each problem of homeserver.yaml that affects every process.

    Args:
        homeserver: the settings of homeserver.yaml.
        has_workers: whether the homeserver has workers.
        needs_redis: whether the workers need Redis.
    """
    problems: list[str] = []
    for name in ("server_name", "report_stats"):
        if homeserver.get(name) is None:
            example = "example.com" if name == "server_name" else "false"
            problems.append(f"homeserver.yaml: {name} is missing; set it, for example to {example}")
    instance_map = homeserver.get("instance_map")
    if instance_map is not None and not isinstance(instance_map, dict):
        problems.append(
            f"homeserver.yaml: instance_map is a {type(instance_map).__name__}; make it a mapping "
            "from worker names to hosts and ports"
        )
    if isinstance(instance_map, dict) and "master" in instance_map:
        problems.append(
            "homeserver.yaml: instance_map has an entry master, which Synapse ignores; rename it "
            "to main"
        )
    if homeserver.get("worker_replication_secret") and homeserver.get(
        "worker_replication_secret_path"
    ):
        problems.append(
            "homeserver.yaml: worker_replication_secret and worker_replication_secret_path are "
            "both set; keep only the path"
        )
    if has_workers and needs_redis:
        _check_redis(homeserver, problems)
    if has_workers:
        _check_database(homeserver, problems)
    return problems


def _writes_media(homeserver: Mapping[str, Any], settings: Settings) -> bool:
    """Return whether this process writes media; the main process may leave that to workers."""
    if not settings.process.is_main:
        return settings.process.writes_media
    media_planned = any(worker.process.writes_media for worker in settings.plan or ())
    return not media_planned and homeserver.get("enable_media_repo") is not False


def _instance_problems(instance_map: Mapping[str, Any]) -> list[str]:
    """Return one line for each invalid address or socket path in ``instance_map``."""
    problems = []
    for name, entry in instance_map.items():
        setting = f"homeserver.yaml: instance_map.{name}"
        host = entry.get("host") if isinstance(entry, dict) else None
        if isinstance(host, str) and host_problem(host):
            problems.append(f"{setting}.host={shown(repr(host))} {host_problem(host)}")
        elif isinstance(host, str) and host != unbracketed(host):
            problems.append(
                f"{setting}.host={host!r} has brackets, which Synapse treats as part of the name; "
                f"write it as {unbracketed(host)!r}"
            )
        elif isinstance(entry, dict) and socket_problem(entry.get("path"), setting):
            problems.append(socket_problem(entry["path"], setting))
    return problems


def _socket_problems(homeserver: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return one line if the process's Unix sockets cannot be created, or a path is too long."""
    folder = settings.sockets_dir
    if folder is None and not settings.share:
        return []
    own = settings.share and folder in (None, settings.own_sockets_dir)  # Made at the start.
    if not own and not os.access(str(folder), os.W_OK | os.X_OK):
        return [
            f"{folder}: uid {os.geteuid()} cannot create Unix sockets here; mount a folder that it "
            "can write to"
        ]
    listeners = [
        listener(kind, settings)
        for kind in listener_kinds(settings, homeserver.get("instance_map"))
    ]
    paths = [document["path"] for document in listeners if "path" in document]
    if settings.share:
        paths.append(str(settings.container_dir / CONTROL_SOCKET))
    if folder is not None:
        # The other workers whose sockets this process connects to.
        replicating = [
            one.name for one in settings.plan or () if replicates(one.process, settings.table)
        ]
        paths += [socket_path(settings, name, "replication") for name in ["", *replicating]]
    longest = max(paths, key=len, default="")
    setting = f"SYNAPSE_UNIX_SOCKETS={shown(str(folder))}"
    if settings.share and longest.startswith(f"{settings.container_dir}/"):
        setting = f"SYNAPSE_RUNTIME_DIR={shown(settings.container_dir)}"
    problem = socket_problem(longest, setting)
    return [problem] if problem else []


def _is_readable_folder(path: Path) -> bool:
    return os.path.isdir(path) and os.access(path, os.R_OK | os.X_OK)


def find_problems(
    homeserver: Mapping[str, Any], settings: Settings, shared_results: SharedResults | None = None
) -> list[str]:
    """Return one line for each problem; must be called with the privileges that Synapse gets.

    Args:
        homeserver: the settings of homeserver.yaml.
        settings: the settings of this process.
        shared_results: those of the processes with the same homeserver.yaml, plan and data folder.
    """
    shared_results = shared_results or SharedResults()
    process, data_dir, plan = settings.process, settings.data_dir, settings.plan
    problems = shared_problems(
        homeserver,
        has_workers=not process.is_main or bool(settings.plan),
        needs_redis=not uses_tcp(homeserver, settings),
    )
    if plan is not None:
        problems += shared_results.once(contradictions, homeserver, plan, settings.table)
    else:
        problems += main_writer_problems(homeserver, settings)
        problems += duty_problems(homeserver, settings)
    if not homeserver.get("signing_key"):
        # Without a key, the main process would generate one and so become a different server.
        problems += shared_results.once(signing_key_problems, data_dir / "signing.key")
    problems += shared_results.once(replication_secret_problems, settings)
    problems += shared_results.once(database_problems, homeserver, settings)
    if settings.modules_dir is not None and not _is_readable_folder(settings.modules_dir):
        problems.append(
            f"SYNAPSE_MODULES_DIR={settings.modules_dir} is not a folder that uid {os.geteuid()} "
            "can read; mount one there, or unset the variable"
        )
    if has_tls(settings):
        problems += shared_results.once(tls_problems, data_dir)
    if _writes_media(homeserver, settings) and not os.access(settings.media_dir, os.W_OK | os.X_OK):
        problems.append(
            f"{settings.media_dir}: uid {os.geteuid()} cannot write media here; mount a folder "
            "that it owns"
        )
    instance_map = homeserver.get("instance_map")
    if isinstance(instance_map, dict):
        problems += shared_results.once(_instance_problems, instance_map)
    return problems + _socket_problems(homeserver, settings)


def find_warnings(homeserver: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return one line for each thing that works but is not recommended."""
    warnings = []
    if not settings.process.is_main and not settings.name_given:
        warnings.append(
            f"SYNAPSE_WORKER_NAME is not set; this worker is called {settings.name}, and a second "
            "worker with that name would break sessions: give each worker its own name"
        )
    if os.path.exists(settings.data_dir / "tls.dh"):
        warnings.append(
            f"{settings.data_dir / 'tls.dh'} is not used: Synapse has not read this file since 0.99"
        )
    table = settings.table
    wants_tls = settings.federation_tls and "federation" in settings.process.resources
    if wants_tls and not settings.process.is_main and not table.has("worker_tls"):
        warnings.append(
            f"Synapse {table.version} does not support TLS on workers "
            f"(1.{table.features['worker_tls'][0]} does); {settings.process.slug} serves "
            f"federation without TLS on port {settings.ports['client']}: terminate TLS at the "
            "reverse proxy"
        )
    if uses_tcp(homeserver, settings) and (settings.process.is_main or settings.plan):
        warnings.append(
            "redis is not enabled: workers receive events from port "
            f"{settings.ports['tcp_replication']}, which accepts any client; make sure that only "
            "workers can reach it"
        )
    warnings += quarantine_warnings(homeserver, settings)
    if settings.replication_secret_off:
        warnings.append(
            "SYNAPSE_REPLICATION_SECRET=off: anyone who can reach port "
            f"{settings.ports['replication']} controls the homeserver"
        )
    return warnings
