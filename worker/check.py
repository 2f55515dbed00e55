"""Finds the problems that this container can detect before Synapse starts."""

import base64
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from worker.databases import database_problems
from worker.duties import duty_problems, main_writer_problems, quarantine_warnings
from worker.errors import ConfigError, shown
from worker.files import KEY_FILE_LIMIT, read_bounded
from worker.hosts import host_problem, unbracketed
from worker.listeners import has_tls, kinds, listener, socket_path, socket_problem, uses_tcp
from worker.plan import contradictions, replicates
from worker.secret_files import replication_secret_problems
from worker.settings import Settings

_KEY_BYTES = 32


class Answers:
    """Results that are the same for every process of a homeserver, so that each is found once."""

    def __init__(self) -> None:
        """Start without any results."""
        self._known: dict[object, list[str]] = {}

    def once(self, ask: Callable[..., list[str]], *arguments: object) -> list[str]:
        """Call ``ask`` with ``arguments`` the first time; return that same result every time."""
        if ask not in self._known:
            self._known[ask] = ask(*arguments)
        return self._known[ask]


def _read(path: Path, what: str, problems: list[str]) -> bytes | None:
    """Return the contents of ``path``, or None if it cannot be read; add why to ``problems``."""
    try:
        return read_bounded(path, what, KEY_FILE_LIMIT)
    except ConfigError as error:
        problems += error.problems
        return None


def _signing_key(path: Path) -> list[str]:
    """Return the problems of a file of keys ``ed25519 NAME SEED``, the seed in unpadded base64."""
    problems: list[str] = []
    data = _read(path, "the signing key", problems)
    if data is None:
        return problems
    try:
        lines = data.decode().splitlines()
        keys = [line.split() for line in lines if line.strip()]
        seeds = [base64.b64decode(key[2] + "=" * (-len(key[2]) % 4), validate=True) for key in keys]
    except (ValueError, IndexError):
        keys, seeds = [], []
    right = keys and all(len(key) == 3 and key[0] == "ed25519" for key in keys)
    if not right or any(len(seed) != _KEY_BYTES for seed in seeds):
        problems.append(
            f"{path}: it is not a signing key; each line must be: ed25519 NAME, and 32 bytes in "
            "unpadded base64"
        )
        return problems
    for key, seed in zip(keys, seeds, strict=True):
        if not any(seed):
            problems.append(
                f"{path}: the seed of {key[1]} is all zero bytes, so that anyone can sign as this "
                "server; mount a key made by Synapse or by the verb generate"
            )
    return problems


def _tls(folder: Path) -> list[str]:
    problems: list[str] = []
    certificate, key = folder / "tls.crt", folder / "tls.key"
    readable = _read(certificate, "the TLS certificate", problems) is not None
    if _read(key, "the TLS key", problems) is None or not readable:
        return problems
    import ssl  # Slow to import, and needed only where TLS is served.

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, lambda: "")
    except OSError as error:  # Includes ssl.SSLError.
        reason = getattr(error, "reason", None) or "PEM cannot be read"
        problems.append(
            f"{certificate} and {key}: they are not a certificate and its key "
            f"({reason.lower().replace('_', ' ')}); mount a PEM pair without passphrase"
        )
    return problems


def _database(homeserver: Mapping[str, Any], problems: list[str]) -> None:
    database = homeserver.get("database")
    if isinstance(homeserver.get("databases"), dict):
        return  # Synapse's own parser checks those.
    name = database.get("name") if isinstance(database, dict) else database
    if name != "psycopg2":
        problems.append(
            f"homeserver.yaml: database.name is {name!r}, and workers share PostgreSQL alone; "
            "set database: {name: psycopg2, args: ...}"
        )


def _redis(homeserver: Mapping[str, Any], problems: list[str]) -> None:
    redis = homeserver.get("redis")
    if not isinstance(redis, dict) or redis.get("enabled") is not True:
        problems.append(
            "homeserver.yaml: redis is not enabled, and workers hear of events through Redis; "
            "set redis: {enabled: true, host: ...} for every process"
        )


def shared_problems(homeserver: Mapping[str, Any], *, workers: bool, redis: bool) -> list[str]:
    """Return one line for each problem of homeserver.yaml that affects every process.

    Args:
        homeserver: the settings of homeserver.yaml.
        workers: whether the homeserver has workers.
        redis: whether the workers need Redis.
    """
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
    if isinstance(instances, dict) and "master" in instances:
        problems.append(
            "homeserver.yaml: instance_map has master, which Synapse does not read; call it main"
        )
    if homeserver.get("worker_replication_secret") and homeserver.get(
        "worker_replication_secret_path"
    ):
        problems.append(
            "homeserver.yaml: worker_replication_secret and worker_replication_secret_path are "
            "both set; keep the path"
        )
    if workers and redis:
        _redis(homeserver, problems)
    if workers:
        _database(homeserver, problems)
    return problems


def _keeps_media(homeserver: Mapping[str, Any], settings: Settings) -> bool:
    """Return whether this process writes media; the main process may leave that to workers."""
    if not settings.worker.main:
        return settings.worker.media
    planned = any(worker.process.media for worker in settings.plan or ())
    return not planned and homeserver.get("enable_media_repo") is not False


def _instance_problems(instances: Mapping[str, Any]) -> list[str]:
    """Return one line for each entry of ``instances`` at which no process can be reached."""
    problems = []
    for name, place in instances.items():
        where = f"homeserver.yaml: instance_map.{name}"
        host = place.get("host") if isinstance(place, dict) else None
        if isinstance(host, str) and host_problem(host):
            problems.append(f"{where}.host={shown(repr(host))} {host_problem(host)}")
        elif isinstance(host, str) and host != unbracketed(host):
            problems.append(
                f"{where}.host={host!r} has brackets, which Synapse takes for a part of the name; "
                f"write it as {unbracketed(host)!r}"
            )
        elif isinstance(place, dict) and socket_problem(place.get("path"), where):
            problems.append(socket_problem(place["path"], where))
    return problems


def _sockets(homeserver: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return one line if the process's Unix sockets cannot be created, or a path is too long."""
    folder = settings.sockets
    if folder is None:
        return []
    if not os.access(folder, os.W_OK | os.X_OK):
        return [
            f"{folder}: unix sockets cannot be made by uid {os.geteuid()}; mount a folder that it "
            "may write"
        ]
    where = f"SYNAPSE_UNIX_SOCKETS={shown(folder)}"
    rows = [listener(kind, settings) for kind in kinds(settings, homeserver.get("instance_map"))]
    paths = [row["path"] for row in rows if "path" in row]
    # The other workers whose sockets this process connects to.
    others = [
        worker.name for worker in settings.plan or () if replicates(worker.process, settings.table)
    ]
    paths += [socket_path(settings, name, "replication") for name in ["", *others]]
    problem = socket_problem(max(paths, key=len), where)
    return [problem] if problem else []


def _is_readable_folder(path: Path) -> bool:
    return os.path.isdir(path) and os.access(path, os.R_OK | os.X_OK)


def find_problems(
    homeserver: Mapping[str, Any], settings: Settings, answers: Answers | None = None
) -> list[str]:
    """Return one line for each problem; must be called with the privileges that Synapse gets.

    Args:
        homeserver: the settings of homeserver.yaml.
        settings: the settings of this process.
        answers: shared by the processes that have the same homeserver.yaml, plan and data folder.
    """
    answers = answers or Answers()
    worker, data, plan = settings.worker, settings.data, settings.plan
    problems = shared_problems(
        homeserver,
        workers=not worker.main or bool(settings.plan),
        redis=not uses_tcp(homeserver, settings),
    )
    if plan is not None:
        problems += answers.once(contradictions, homeserver, plan, settings.table)
    else:
        problems += main_writer_problems(homeserver, settings)
        problems += duty_problems(homeserver, settings)
    if not homeserver.get("signing_key"):
        # Without a key, the main process would generate one and so become a different server.
        problems += answers.once(_signing_key, data / "signing.key")
    problems += answers.once(replication_secret_problems, settings)
    problems += answers.once(database_problems, homeserver, settings)
    if settings.modules is not None and not _is_readable_folder(settings.modules):
        problems.append(
            f"SYNAPSE_MODULES_DIR={settings.modules}: it is not a folder that uid {os.geteuid()} "
            "can read; mount one, or unset it"
        )
    if has_tls(settings):
        problems += answers.once(_tls, data)
    if _keeps_media(homeserver, settings) and not os.access(settings.media, os.W_OK | os.X_OK):
        problems.append(
            f"{settings.media}: media cannot be written by uid {os.geteuid()}; mount a folder "
            "that it owns"
        )
    instances = homeserver.get("instance_map")
    if isinstance(instances, dict):
        problems += answers.once(_instance_problems, instances)
    return problems + _sockets(homeserver, settings)


def find_warnings(homeserver: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return one line for each thing that works but is not recommended."""
    found = []
    if not settings.worker.main and not settings.named:
        found.append(
            f"SYNAPSE_WORKER_NAME is not set; this worker is called {settings.name}, and a second "
            "one of that name would break sessions: give each worker its own"
        )
    if os.path.exists(settings.data / "tls.dh"):
        found.append(f"{settings.data / 'tls.dh'} is not used: Synapse takes none since 0.99")
    table = settings.table
    tls_lost = settings.federation_tls and "federation" in settings.worker.resources
    if tls_lost and not settings.worker.main and not table.has("worker_tls"):
        found.append(
            f"Synapse {table.version} speaks no TLS on a worker (it came with "
            f"1.{table.features['worker_tls'][0]}); {settings.worker.slug} serves federation in "
            f"the clear on port {settings.ports['client']}: let the proxy speak TLS"
        )
    if uses_tcp(homeserver, settings) and (settings.worker.main or settings.plan):
        found.append(
            "redis is not enabled: workers hear of events from port "
            f"{settings.ports['tcp_replication']}, whose clients nothing checks; let nobody else "
            "reach it"
        )
    found += quarantine_warnings(homeserver, settings)
    if settings.secret_off:
        found.append(
            "SYNAPSE_REPLICATION_SECRET=off: whoever reaches port "
            f"{settings.ports['replication']} controls the homeserver"
        )
    return found
