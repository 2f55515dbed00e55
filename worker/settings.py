"""Parses the environment of a process into validated settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.environ import Environ
from worker.errors import ConfigError
from worker.hosts import host_problem, unbracketed
from worker.plan import NAME, RESERVED_NAMES, PlannedWorker, parse_plan
from worker.worker_types import ProcessType, Table, load_table


@dataclass(frozen=True)
class Settings:
    """The validated settings of one process, parsed from its environment.

    Attributes:
        worker: the worker type to run.
        name: ``worker_name``; "" for the main process, which must have none.
        named: whether the operator or the plan set the name, so that it is not the default.
        plan: every worker of the homeserver; None if homeserver.yaml configures them instead.
        replication_host: the host of the main process; "" for the main process, or with sockets.
        replication_secret: a file with the replication secret; None if no variable names one.
        secret_off: whether replication uses no secret.
        database_password: a file with the PostgreSQL password, or None.
        log_level: one of ``LOG_LEVELS``.
        log_json: whether log lines are JSON.
        hostname: the host name in log lines.
        cpus: the CPUs to run on; empty for all.
        uid: the user ID to switch to when started as root.
        gid: the group ID to switch to when started as root.
        uid_given: whether the operator set the user ID.
        config: the mounted homeserver.yaml.
        data: the folder of keys and certificates.
        media: the folder of the media repository.
        runtime: the folder for rendered files.
        modules: a mounted folder with Synapse modules, or None.
        sockets: the folder of Unix sockets that replace the client and replication ports, or None.
        jemalloc: whether to preload jemalloc.
        federation_tls: whether port 8448 serves federation with TLS; otherwise port 8008 serves it.
        forwarded: the kinds of listener that trust ``X-Forwarded-For``.
        bind_addresses: the addresses that every listener binds, except those a wildcard covers.
        wait_seconds: how long to wait for the database, Redis and the main process; 0 not to wait.
        ports: the port of each kind of listener.
        table: the worker types and features of the Synapse that is run.
    """

    worker: ProcessType
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
    uid_given: bool
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


def _worker(
    read: Environ, table: Table, plan: Sequence[PlannedWorker] | None
) -> tuple[ProcessType | None, str]:
    """Return the worker type to run and its name, both checked against the plan."""
    text, name = read.text("SYNAPSE_WORKER"), read.text("SYNAPSE_WORKER_NAME")
    known = {worker.name: worker for worker in plan or ()}
    process = table.find(text) if text else None
    if text and process is None:
        read.wrong(
            "SYNAPSE_WORKER", f"is not a worker_app or worker type; choose one of {table.choices()}"
        )
    elif process is not None and table.lacks(process):
        read.wrong(
            "SYNAPSE_WORKER",
            f"cannot run: {table.lacks(process)}; leave its duty to the main process",
        )
    elif not text and name in known:
        return known[name].process, name
    elif not text and not (name and known):
        read.problems.append(f"SYNAPSE_WORKER is not set; choose one of {table.choices()}")
    if process is not None and process.main:
        if name:
            read.wrong(
                "SYNAPSE_WORKER_NAME",
                "is set for the main process, which would then call itself; unset it",
            )
        return process, ""
    if name in RESERVED_NAMES:
        read.wrong("SYNAPSE_WORKER_NAME", "is reserved for the main process; choose another")
    elif name and not NAME.fullmatch(name):
        read.wrong(
            "SYNAPSE_WORKER_NAME",
            "has characters that no worker name may have; use up to 64 of A-Z a-z 0-9 _ . -",
        )
    elif plan is not None:
        return _planned(read, process, name, plan)
    return process, name or (process.slug if process else "")


def _planned(
    read: Environ, process: ProcessType | None, name: str, plan: Sequence[PlannedWorker]
) -> tuple[ProcessType | None, str]:
    """Return the type and name of this worker according to the plan."""
    names = ", ".join(worker.name for worker in plan) or "nobody"
    if name:
        for worker in plan:
            if worker.name == name and (process is None or worker.process.types == process.types):
                return worker.process, name
            if worker.name == name:
                types = worker.process.joined
                read.wrong("SYNAPSE_WORKER", f"is not what {name} is in SYNAPSE_WORKERS: {types}")
                return process, name
        read.wrong("SYNAPSE_WORKER_NAME", f"is not in SYNAPSE_WORKERS, which has {names}")
        return process, name
    alike = [
        worker for worker in plan if process is not None and worker.process.types == process.types
    ]
    if len(alike) == 1:
        return alike[0].process, alike[0].name
    if process is not None:
        count = f"{len(alike)} such workers" if alike else "no such worker"
        read.problems.append(
            f"SYNAPSE_WORKER_NAME is not set, and SYNAPSE_WORKERS has {count}; give one of {names}"
        )
    return process, ""


def _host(read: Environ, table: Table) -> str:
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


def _secret(read: Environ) -> tuple[Path | None, bool]:
    """Return the file of the replication secret, and whether the secret is turned off."""
    switch = read.text("SYNAPSE_REPLICATION_SECRET", "on")
    if switch not in ("on", "off"):
        # The value is not shown, since it may be the secret itself.
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
    """Return the validated settings of ``environ``.

    Args:
        environ: the environment of a process.
        table: the table of the Synapse that is run; by default, of the installed one.
        plan: the result of ``parse_plan`` for SYNAPSE_WORKERS, if it is already known.

    Raises:
        ConfigError: if there are problems, with all of them.
    """
    read = Environ(environ)
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
        worker=worker or table.apps["synapse.app.homeserver"],
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
        uid_given="UID" in environ,
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
