"""The environment, parsed once into a checked value."""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from worker.errors import ConfigError
from worker.worker_types import WorkerType, load_table

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_RESERVED_NAMES = ("main", "master")  # Synapse's own names of the main process.


@dataclass(frozen=True)
class Settings:
    """A checked request; past this point no code reads the environment.

    Attributes:
        worker: the type to run.
        name: ``worker_name``; "" for the main process, which must have none.
        replication_host: where the main process answers; "" for the main process itself.
        log_level: one of ``LOG_LEVELS``.
        hostname: what each log line carries.
        cpus: the CPUs to run on; empty for all.
        uid: the user to become when started as root.
        gid: the group to become when started as root.
        config: the mounted homeserver.yaml.
        data: the folder of keys and certificates.
        media: the folder of the media repository.
        runtime: where rendered files go.
        jemalloc: whether to preload it.
        ports: the port of each listener.
    """

    worker: WorkerType
    name: str
    replication_host: str
    log_level: str
    hostname: str
    cpus: frozenset[int]
    uid: int
    gid: int
    config: Path
    data: Path
    media: Path
    runtime: Path
    jemalloc: bool
    ports: Mapping[str, int]


def _cpus(value: str, problems: list[str]) -> frozenset[int]:
    """Parse a bit mask, as Synapse's old ``cpu_affinity`` took it: 0x3 is the first two CPUs."""
    if not value:
        return frozenset()
    try:
        mask = int(value, 0)
    except ValueError:
        mask = 0
    if mask <= 0:
        problems.append(
            f"SYNAPSE_CPU_AFFINITY={value!r} is not a CPU mask; give a positive number whose bits "
            "are CPUs, such as 0x3 for the first two"
        )
        return frozenset()
    return frozenset(cpu for cpu in range(mask.bit_length()) if mask >> cpu & 1)


def _identity(environ: Mapping[str, str], variable: str, problems: list[str]) -> int:
    value = environ.get(variable) or "991"
    if not re.fullmatch("[0-9]{1,9}", value) or int(value) == 0:
        problems.append(f"{variable}={value!r} is not a numeric id above 0; give one, such as 991")
        return 991
    return int(value)


def _worker(value: str, types: Mapping[str, WorkerType], problems: list[str]) -> WorkerType | None:
    for worker in types.values():
        if value in (worker.app, worker.slug):
            return worker
    choices = ", ".join(types)
    if value:
        problems.append(f"SYNAPSE_WORKER={value!r} is not a worker type; choose one of {choices}")
    else:
        problems.append(f"SYNAPSE_WORKER is not set; choose one of {choices}")
    return None


def _name(value: str, worker: WorkerType | None, problems: list[str]) -> str:
    if worker is not None and worker.main:
        if value:
            problems.append(
                f"SYNAPSE_WORKER_NAME={value!r} is set for the main process, which would then call "
                "itself; unset it"
            )
        return ""
    name = value or (worker.slug if worker else "")
    if name in _RESERVED_NAMES:
        problems.append(
            f"SYNAPSE_WORKER_NAME={name!r} is reserved for the main process; choose another"
        )
    elif name and not re.fullmatch("[A-Za-z0-9_.-]{1,64}", name):
        problems.append(
            f"SYNAPSE_WORKER_NAME={name!r} has characters that no worker name may have; use up to "
            "64 of A-Z a-z 0-9 _ . -"
        )
    return name


def parse(environ: Mapping[str, str]) -> Settings:
    """Return the checked settings of ``environ``.

    Raises:
        ConfigError: with every problem at once.
    """
    problems: list[str] = []
    types, ports = load_table()
    worker = _worker(environ.get("SYNAPSE_WORKER", ""), types, problems)
    level = environ.get("SYNAPSE_LOG_LEVEL") or "INFO"
    level = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(level.upper(), level.upper())
    if level not in LOG_LEVELS:
        value = environ["SYNAPSE_LOG_LEVEL"]
        choices = ", ".join(LOG_LEVELS)
        problems.append(f"SYNAPSE_LOG_LEVEL={value!r} is not a log level; choose one of {choices}")
    host = environ.get("SYNAPSE_REPLICATION_HOST", "")
    if worker is not None and not worker.main:
        if not host:
            problems.append(
                "SYNAPSE_REPLICATION_HOST is not set; give the host name of the main process"
            )
        elif not re.fullmatch(r"[A-Za-z0-9._:\[\]-]+", host) or "://" in host:
            problems.append(
                f"SYNAPSE_REPLICATION_HOST={host!r} is not a host name; give the name alone, "
                "without scheme or port"
            )
    jemalloc = environ.get("SYNAPSE_JEMALLOC") or "on"
    if jemalloc not in ("on", "off"):
        problems.append(f"SYNAPSE_JEMALLOC={jemalloc!r} is neither on nor off; use one of them")
    name = _name(environ.get("SYNAPSE_WORKER_NAME", ""), worker, problems)
    cpus = _cpus(environ.get("SYNAPSE_CPU_AFFINITY", ""), problems)
    uid = _identity(environ, "UID", problems)
    gid = _identity(environ, "GID", problems)
    if problems or worker is None:
        raise ConfigError(problems)
    data = Path(environ.get("SYNAPSE_DATA_DIR") or "/data")
    return Settings(
        worker=worker,
        name=name,
        replication_host="" if worker.main else host,
        log_level=level,
        hostname=environ.get("SYNAPSE_HOSTNAME") or socket.gethostname(),
        cpus=cpus,
        uid=uid,
        gid=gid,
        config=Path(environ.get("SYNAPSE_CONFIG_PATH") or data / "homeserver.yaml"),
        data=data,
        media=Path(environ.get("SYNAPSE_MEDIA_DIR") or "/synapse_media"),
        runtime=Path(environ.get("SYNAPSE_RUNTIME_DIR") or "/synapse_runtime"),
        jemalloc=jemalloc == "on",
        ports=ports,
    )
