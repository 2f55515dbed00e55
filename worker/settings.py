"""The environment, parsed once into a checked value."""

import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.binding import bind_problem, sockets_for, takes_both
from worker.errors import ConfigError, shown
from worker.hosts import host_problem, unbracketed
from worker.plan import NAME, RESERVED_NAMES, PlannedWorker, parse_plan
from worker.redaction import masked_text
from worker.worker_types import Table, WorkerType, load_table

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LONGEST_WAIT = 86400  # Seconds.
# SYNAPSE_X_FORWARDED -> the kinds of listener whose peers are trusted proxies.
_FORWARDED = {
    "client": frozenset({"client"}),
    "all": frozenset({"client", "federation"}),
    "off": frozenset[str](),
}
_MOST_CPUS = 4096
_MASK = re.compile(
    "0[xX][0-9A-Fa-f]{1,1024}|0[bB][01]{1,4096}|0[oO][0-7]{1,1366}|[1-9][0-9]{0,1233}"
)
_LONGEST_PATH, _LONGEST_PART = 4095, 255  # Bytes: PATH_MAX without its null, and NAME_MAX.


@dataclass(frozen=True)
class Settings:
    """A checked request; past this point no code reads the environment.

    Attributes:
        worker: the type to run.
        name: ``worker_name``; "" for the main process, which must have none.
        named: whether the operator chose the name, or the plan did.
        plan: every worker of the homeserver; None when homeserver.yaml says it instead.
        replication_host: where the main process answers; "" for the main process itself.
        replication_secret: a file with the secret; None to derive it from the signing key.
        secret_off: whether replication goes without a secret.
        database_password: a file with the password of PostgreSQL, or None.
        log_level: one of ``LOG_LEVELS``.
        log_json: whether log lines are JSON.
        hostname: what each log line carries.
        cpus: the CPUs to run on; empty for all.
        uid: the user to become when started as root.
        gid: the group to become when started as root.
        config: the mounted homeserver.yaml.
        data: the folder of keys and certificates.
        media: the folder of the media repository.
        runtime: where rendered files go.
        modules: a mounted folder with Synapse modules, or None.
        sockets: the folder of unix sockets that stand for client and replication ports, or None.
        jemalloc: whether to preload it.
        federation_tls: whether 8448 speaks TLS; otherwise 8008 serves federation too.
        forwarded: the kinds of listener that believe ``X-Forwarded-For``.
        bind_addresses: the addresses that every listener binds: none that another one covers.
        wait_seconds: how long to wait for database, Redis and main; 0 for not at all.
        ports: the port of each listener.
        table: what the Synapse that is run has, and what not.
    """

    worker: WorkerType
    name: str
    named: bool
    plan: tuple[PlannedWorker, ...] | None
    replication_host: str
    replication_secret: Path | None
    secret_off: bool
    database_password: Path | None
    log_level: str
    log_json: bool
    hostname: str
    cpus: frozenset[int]
    uid: int
    gid: int
    config: Path
    data: Path
    media: Path
    runtime: Path
    modules: Path | None
    sockets: Path | None
    jemalloc: bool
    federation_tls: bool
    forwarded: frozenset[str]
    bind_addresses: tuple[str, ...]
    wait_seconds: int
    ports: Mapping[str, int]
    table: Table


def _path_problem(path: Path) -> str:
    """Return why no file can have the path ``path``, or ""."""
    try:
        data = str(path).encode()  # Rendered files, which name it, are UTF-8.
    except UnicodeEncodeError:
        return "is not UTF-8; give a path that is"
    if b"\0" in data or len(data) > _LONGEST_PATH:
        return f"is not a path of up to {_LONGEST_PATH} bytes; give a shorter one"
    if any(len(part) > _LONGEST_PART for part in data.split(b"/")):
        return f"has a part of more than {_LONGEST_PART} bytes; give a shorter one"
    return ""


class _Environ:
    """Reads single variables and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return self._environ.get(name) or default

    def wrong(self, name: str, what: str) -> None:
        self.problems.append(f"{name}={shown(repr(masked_text(self._environ[name])))} {what}")

    def choice(self, name: str, default: str, other: str) -> bool:
        """Return whether the variable has ``default``, of the two values that it may have."""
        value = self.text(name, default)
        if value not in (default, other):
            self.wrong(name, f"is neither {default} nor {other}; use one of them")
        return value == default

    def forwarded(self, name: str) -> frozenset[str]:
        value = self.text(name, "client")
        if value not in _FORWARDED:
            self.wrong(name, f"is not a choice of listeners; use one of {', '.join(_FORWARDED)}")
        return _FORWARDED.get(value, _FORWARDED["off"])

    def path(self, name: str, default: Path | str) -> Path:
        value = Path(self.text(name, str(default)))
        if self.text(name) and not value.is_absolute():
            self.wrong(name, "is not an absolute path; begin it with /")
        elif self.text(name) and _path_problem(value):
            self.wrong(name, _path_problem(value))
        return value

    def secret_file(self, name: str) -> Path | None:
        """Return the file with a secret; the value is never shown, since it may be the secret."""
        value = Path(self.text(name, "/"))
        if not value.is_absolute():
            self.problems.append(f"{name} is not an absolute path; write the secret into a file")
        return value if self.text(name) else None

    def identity(self, name: str) -> int:
        value = self.text(name, "991")
        if not re.fullmatch("[0-9]{1,9}", value) or int(value) == 0:
            self.wrong(name, "is not a numeric id above 0; give one, such as 991")
            return 991
        return int(value)

    def cpus(self, name: str) -> frozenset[int]:
        """Parse a bit mask, as Synapse's old ``cpu_affinity`` took it: 0x3 is the first two."""
        value = self.text(name)
        if not value:
            return frozenset()
        mask = int(value, 0) if _MASK.fullmatch(value) else 0
        if not 0 < mask < 1 << _MOST_CPUS:
            self.wrong(
                name,
                "is not a CPU mask; give a positive number whose bits are CPUs, such as 0x3 for "
                "the first two",
            )
            return frozenset()
        return frozenset(cpu for cpu in range(mask.bit_length()) if mask >> cpu & 1)

    def log_level(self, name: str) -> str:
        level = self.text(name, "INFO").upper()
        level = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level)
        if level not in LOG_LEVELS:
            self.wrong(name, f"is not a log level; choose one of {', '.join(LOG_LEVELS)}")
        return level

    def addresses(self, name: str) -> tuple[str, ...]:
        values = [value.strip() for value in self.text(name, "0.0.0.0").split(",")]
        if bind_problem(values):
            self.wrong(name, bind_problem(values))
            return ()
        return sockets_for(values, both=takes_both())

    def hostname(self, name: str) -> str:
        value = self.text(name) or socket.gethostname()
        if not value.isprintable() or len(value) > 255:
            self.wrong(name, "is not one printable line of up to 255 characters")
        return value

    def seconds(self, name: str) -> int:
        value = self.text(name, "0")
        if not re.fullmatch("[0-9]{1,5}", value) or int(value) > LONGEST_WAIT:
            self.wrong(name, f"is not a number of seconds from 0 to {LONGEST_WAIT}")
            return 0
        return int(value)


def _worker(
    read: _Environ, table: Table, plan: Sequence[PlannedWorker] | None
) -> tuple[WorkerType | None, str]:
    """Return what to run and its name; both checked against the plan."""
    text, name = read.text("SYNAPSE_WORKER"), read.text("SYNAPSE_WORKER_NAME")
    known = {worker.name: worker for worker in plan or ()}
    kind = table.find(text) if text else None
    if text and kind is None:
        read.wrong("SYNAPSE_WORKER", f"is not a worker type; choose one of {table.choices()}")
    elif kind is not None and table.lacks(kind):
        read.wrong("SYNAPSE_WORKER", f"cannot run: {table.lacks(kind)}; leave its role to main")
    elif not text and name in known:
        return known[name].type, name
    elif not text and not (name and known):
        read.problems.append(f"SYNAPSE_WORKER is not set; choose one of {table.choices()}")
    if kind is not None and kind.main:
        if name:
            read.wrong(
                "SYNAPSE_WORKER_NAME",
                "is set for the main process, which would then call itself; unset it",
            )
        return kind, ""
    if name in RESERVED_NAMES:
        read.wrong("SYNAPSE_WORKER_NAME", "is reserved for the main process; choose another")
    elif name and not NAME.fullmatch(name):
        read.wrong(
            "SYNAPSE_WORKER_NAME",
            "has characters that no worker name may have; use up to 64 of A-Z a-z 0-9 _ . -",
        )
    elif plan is not None:
        return _planned(read, kind, name, plan)
    return kind, name or (kind.slug if kind else "")


def _planned(
    read: _Environ, kind: WorkerType | None, name: str, plan: Sequence[PlannedWorker]
) -> tuple[WorkerType | None, str]:
    """Return type and name of this worker as the plan has it."""
    names = ", ".join(worker.name for worker in plan) or "nobody"
    if name:
        for worker in plan:
            if worker.name == name and (kind is None or worker.type.roles == kind.roles):
                return worker.type, name
            if worker.name == name:
                roles = "+".join(role.name for role in worker.type.roles)
                read.wrong("SYNAPSE_WORKER", f"is not what {name} is in SYNAPSE_WORKERS: {roles}")
                return kind, name
        read.wrong("SYNAPSE_WORKER_NAME", f"is not in SYNAPSE_WORKERS, which has {names}")
        return kind, name
    alike = [worker for worker in plan if kind is not None and worker.type.roles == kind.roles]
    if len(alike) == 1:
        return alike[0].type, alike[0].name
    if kind is not None:
        count = f"{len(alike)} such workers" if alike else "no such worker"
        read.problems.append(
            f"SYNAPSE_WORKER_NAME is not set, and SYNAPSE_WORKERS has {count}; give one of {names}"
        )
    return kind, ""


def _host(read: _Environ, table: Table) -> str:
    host = read.text("SYNAPSE_REPLICATION_HOST")
    if not host:
        read.problems.append(
            "SYNAPSE_REPLICATION_HOST is not set; give the host name of the main process"
        )
    elif host_problem(host):
        read.wrong("SYNAPSE_REPLICATION_HOST", host_problem(host))
    elif table.refuses_host(host):
        read.wrong("SYNAPSE_REPLICATION_HOST", table.refuses_host(host))
    return unbracketed(host)


def _secret(read: _Environ) -> tuple[Path | None, bool]:
    """Return the secret's file, and whether there is to be no secret."""
    switch = read.text("SYNAPSE_REPLICATION_SECRET", "on")
    if switch not in ("on", "off"):
        # Never shown: it may be the secret itself.
        read.problems.append(
            "SYNAPSE_REPLICATION_SECRET is neither on nor off; put a secret of your own into a "
            "file and name that in SYNAPSE_REPLICATION_SECRET_FILE"
        )
    path = read.secret_file("SYNAPSE_REPLICATION_SECRET_FILE")
    if path is not None and switch == "off":
        read.problems.append(
            "SYNAPSE_REPLICATION_SECRET_FILE contradicts SYNAPSE_REPLICATION_SECRET=off; unset one"
        )
    return path, switch == "off"


def parse(
    environ: Mapping[str, str],
    table: Table | None = None,
    plan: tuple[PlannedWorker, ...] | None = None,
) -> Settings:
    """Return the checked settings of ``environ``.

    Args:
        environ: the environment of a process.
        table: of the Synapse that is run; by default that installed.
        plan: what ``parse_plan`` returned for SYNAPSE_WORKERS, when that is known already.

    Raises:
        ConfigError: with every problem at once.
    """
    read = _Environ(environ)
    table = table or load_table()
    planned = True
    if plan is None and read.text("SYNAPSE_WORKERS"):
        try:
            plan = parse_plan(environ["SYNAPSE_WORKERS"], table)
        except ConfigError as error:
            read.problems += error.problems
            planned = False
    worker, name = _worker(read, table, plan) if planned else (None, "")
    secret, secret_off = _secret(read)
    sockets = read.path("SYNAPSE_UNIX_SOCKETS", "/") if read.text("SYNAPSE_UNIX_SOCKETS") else None
    if sockets is not None and not table.has("unix_sockets"):
        read.wrong(
            "SYNAPSE_UNIX_SOCKETS",
            f"needs Synapse 1.{table.features['unix_sockets'][0]} or newer, and this is "
            f"{table.version}; unset it",
        )
    host = ""
    if worker is not None and not worker.main and sockets is None:
        host = _host(read, table)
    data = read.path("SYNAPSE_DATA_DIR", "/data")
    settings = Settings(
        worker=worker or table.types["synapse.app.homeserver"],
        name=name,
        named=plan is not None or bool(read.text("SYNAPSE_WORKER_NAME")),
        plan=plan,
        replication_host=host,
        replication_secret=secret,
        secret_off=secret_off,
        database_password=read.secret_file("SYNAPSE_DATABASE_PASSWORD_FILE"),
        log_level=read.log_level("SYNAPSE_LOG_LEVEL"),
        log_json=not read.choice("SYNAPSE_LOG_FORMAT", "text", "json"),
        hostname=read.hostname("SYNAPSE_HOSTNAME"),
        cpus=read.cpus("SYNAPSE_CPU_AFFINITY"),
        uid=read.identity("UID"),
        gid=read.identity("GID"),
        config=read.path("SYNAPSE_CONFIG_PATH", data / "homeserver.yaml"),
        data=data,
        media=read.path("SYNAPSE_MEDIA_DIR", "/synapse_media"),
        runtime=read.path("SYNAPSE_RUNTIME_DIR", "/synapse_runtime"),
        modules=read.path("SYNAPSE_MODULES_DIR", "/") if read.text("SYNAPSE_MODULES_DIR") else None,
        sockets=sockets,
        jemalloc=read.choice("SYNAPSE_JEMALLOC", "on", "off"),
        federation_tls=read.choice("SYNAPSE_FEDERATION_TLS", "on", "off"),
        forwarded=read.forwarded("SYNAPSE_X_FORWARDED"),
        bind_addresses=read.addresses("SYNAPSE_BIND_ADDRESSES"),
        wait_seconds=read.seconds("SYNAPSE_WAIT_SECONDS"),
        ports=table.ports,
        table=table,
    )
    if read.problems or worker is None:
        raise ConfigError(read.problems)
    return settings
