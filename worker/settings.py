"""Parses the environment of a process into validated settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from supervisor.spec import MAIN
from worker.environ import EnvironReader
from worker.errors import ConfigError
from worker.hosts import host_problem, unbracketed
from worker.plan import NAME, RESERVED_NAMES, PlannedWorker, parse_plan
from worker.replicas import VARIABLE, replica_name
from worker.shares import own_sockets_dir, own_values, ports_of, read_share, read_sockets_dir
from worker.worker_types import ProcessType, Table, load_table

DRAINING = "draining"  # The file in the runtime folder that exists while a process is drained.
PROCESSES = "processes"  # Below the runtime folder: a folder for each process of a share.


@dataclass(frozen=True)
class Settings:
    """The validated settings of one process, parsed from its environment.

    Attributes:
        process: the type of the process to run.
        name: ``worker_name``; "" for the main process, which must have none.
        name_given: whether the operator, the plan or the host name set the name, so that it is not
            the default.
        plan: every worker of the homeserver; None if homeserver.yaml configures them instead.
        share: the processes that run in this container together; empty if it runs only this one.
        replication_host: the host of the main process; "" for the main process, or with sockets.
        replication_secret_file: a file with the replication secret; None if no variable names one.
        replication_secret_off: whether replication uses no secret.
        database_password_file: a file with the PostgreSQL password, or None.
        log_level: one of ``LOG_LEVELS``.
        log_json: whether log lines are JSON.
        hostname: the host name in log lines.
        cpus: the CPUs to run on; empty for all.
        oom_score: what to add to the container's ``oom_score_adj``, if it runs several processes.
        uid: the user ID to switch to when started as root.
        gid: the group ID to switch to when started as root.
        uid_given: whether the operator set the user ID.
        config_path: the mounted homeserver.yaml.
        data_dir: the folder of keys and certificates.
        media_dir: the folder of the media repository.
        runtime_dir: the folder for the rendered files of this process.
        modules_dir: a mounted folder with Synapse modules, or None.
        sockets_dir: the folder of the Unix sockets that replace two of the ports, or None.
        jemalloc: whether to preload jemalloc.
        federation_tls: whether port 8448 serves federation with TLS; otherwise port 8008 serves it.
        forwarded_kinds: the kinds of listener that trust ``X-Forwarded-For``.
        bind_addresses: the addresses that every listener binds, except those a wildcard covers.
        wait_seconds: how long to wait for the database, Redis and the main process; 0 not to wait.
        ports: the port of each kind of listener.
        table: the worker types and features of the Synapse that is run.
    """

    process: ProcessType
    name: str
    name_given: bool
    plan: tuple[PlannedWorker, ...] | None
    share: tuple[str, ...]
    replication_host: str
    replication_secret_file: Path | None
    replication_secret_off: bool
    database_password_file: Path | None
    log_level: str
    log_json: bool
    hostname: str
    cpus: frozenset[int]
    oom_score: int
    uid: int
    gid: int
    uid_given: bool
    config_path: Path
    data_dir: Path
    media_dir: Path
    runtime_dir: Path
    modules_dir: Path | None
    sockets_dir: Path | None
    jemalloc: bool
    federation_tls: bool
    forwarded_kinds: frozenset[str]
    bind_addresses: tuple[str, ...]
    wait_seconds: int
    ports: Mapping[str, int]
    table: Table

    @property
    def container_dir(self) -> Path:
        """The runtime folder of the container, which its processes share."""
        return self.runtime_dir.parents[1] if self.share else self.runtime_dir

    @property
    def own_sockets_dir(self) -> Path:
        """The folder of the Unix sockets if processes share this container, and none is set."""
        return own_sockets_dir(self.container_dir)

    def is_local(self, name: str) -> bool:
        """Return whether the process ``name``, "" for main, runs in this container as well."""
        return (name or MAIN) in self.share

    def port_of(self, name: str, kind: str) -> int:
        """Return the port of another process, "" for main, for a kind of listener."""
        if not self.share:
            return self.ports[kind]
        return ports_of(name, self.plan or (), self.table.ports)[kind]


def _process_and_name(
    reader: EnvironReader, table: Table, plan: Sequence[PlannedWorker] | None
) -> tuple[ProcessType | None, str]:
    """Return the type and the name of this process, both checked against the plan."""
    type_text, name = reader.text("SYNAPSE_WORKER"), reader.text("SYNAPSE_WORKER_NAME")
    planned_by_name = {worker.name: worker for worker in plan or ()}
    process = table.find(type_text) if type_text else None
    if type_text and process is None:
        reader.add_problem(
            "SYNAPSE_WORKER", f"is not a worker_app or worker type; choose one of {table.choices()}"
        )
    elif process is not None and table.process_problem(process):
        reader.add_problem(
            "SYNAPSE_WORKER",
            f"cannot run: {table.process_problem(process)}; leave its work to the main process",
        )
    elif reader.text(VARIABLE):
        return process, replica_name(reader, table, process, plan)
    elif not type_text and name in planned_by_name:
        return planned_by_name[name].process, name
    elif not type_text and not (name and planned_by_name):
        reader.problems.append(f"SYNAPSE_WORKER is not set; choose one of {table.choices()}")
    if process is not None and process.is_main:
        if name:
            reader.add_problem(
                "SYNAPSE_WORKER_NAME",
                "is set for the main process, which would then send requests to itself; unset it",
            )
        return process, ""
    if name in RESERVED_NAMES:
        reader.add_problem(
            "SYNAPSE_WORKER_NAME", "is reserved for the main process; choose another"
        )
    elif name and not NAME.fullmatch(name):
        reader.add_problem(
            "SYNAPSE_WORKER_NAME",
            "is not a valid worker name; use at most 64 characters of A-Z a-z 0-9 _ . -",
        )
    elif plan is not None:
        return _planned_process(reader, process, name, plan)
    return process, name or (process.slug if process else "")


def _planned_process(
    reader: EnvironReader, process: ProcessType | None, name: str, plan: Sequence[PlannedWorker]
) -> tuple[ProcessType | None, str]:
    """Return the type and name of this worker according to the plan."""
    if name:
        for worker in plan:
            if worker.name == name and (process is None or worker.process.types == process.types):
                return worker.process, name
            if worker.name == name:
                types = worker.process.joined
                reader.add_problem(
                    "SYNAPSE_WORKER",
                    f"contradicts SYNAPSE_WORKERS, where {name} is {types}; unset SYNAPSE_WORKER",
                )
                return process, name
        names = ", ".join(worker.name for worker in plan)
        remedy = f"choose one of {names}" if names else "add it there"
        reader.add_problem("SYNAPSE_WORKER_NAME", f"is not in SYNAPSE_WORKERS; {remedy}")
        return process, name
    candidates = [
        worker for worker in plan if process is not None and worker.process.types == process.types
    ]
    if len(candidates) == 1:
        return candidates[0].process, candidates[0].name
    if process is not None:
        problem = "no worker of this type; add one, or correct SYNAPSE_WORKER"
        if candidates:
            names = ", ".join(worker.name for worker in candidates)
            problem = f"{len(candidates)} workers of this type; choose one of {names}"
        reader.problems.append(f"SYNAPSE_WORKER_NAME is not set, and SYNAPSE_WORKERS has {problem}")
    return process, ""


def _replication_host(reader: EnvironReader, table: Table) -> str:
    host = reader.text("SYNAPSE_REPLICATION_HOST")
    if not host:
        reader.problems.append(
            "SYNAPSE_REPLICATION_HOST is not set; set it to the host name of the main process"
        )
    elif host_problem(host):
        reader.add_problem("SYNAPSE_REPLICATION_HOST", host_problem(host))
    elif table.host_problem(host):
        reader.add_problem("SYNAPSE_REPLICATION_HOST", table.host_problem(host))
    return unbracketed(host)


def _replication_secret(reader: EnvironReader) -> tuple[Path | None, bool]:
    """Return the file of the replication secret, and whether the secret is turned off."""
    switch = reader.text("SYNAPSE_REPLICATION_SECRET", "on")
    if switch not in ("on", "off"):
        # The value is not shown, since it may be the secret itself.
        reader.problems.append(
            "SYNAPSE_REPLICATION_SECRET is neither on nor off; to use your own secret, write it to "
            "a file and set SYNAPSE_REPLICATION_SECRET_FILE to its path"
        )
    path = reader.secret_file("SYNAPSE_REPLICATION_SECRET_FILE")
    if path is not None and switch == "off":
        reader.problems.append(
            "SYNAPSE_REPLICATION_SECRET_FILE contradicts SYNAPSE_REPLICATION_SECRET=off; unset one "
            "of them"
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
    reader = EnvironReader(own_values(environ, environ.get("SYNAPSE_WORKER_NAME") or MAIN))
    table = table or load_table()
    plan_valid = True
    if plan is None and reader.text("SYNAPSE_WORKERS"):
        try:
            plan = parse_plan(environ["SYNAPSE_WORKERS"], table)
        except ConfigError as error:
            reader.problems += error.problems
            plan_valid = False
    process, name = _process_and_name(reader, table, plan) if plan_valid else (None, "")
    together = read_share(reader, plan) if plan_valid else ()
    replication_secret_file, replication_secret_off = _replication_secret(reader)
    runtime_dir = reader.path("SYNAPSE_RUNTIME_DIR", "/synapse_runtime")
    sockets_dir = read_sockets_dir(reader, table, runtime_dir)
    bind_addresses = reader.addresses("SYNAPSE_BIND_ADDRESSES")
    host = ""
    hears_host = process is not None and not process.is_main and sockets_dir is None
    if hears_host and MAIN not in together:
        host = _replication_host(reader, table)
    data_dir = reader.path("SYNAPSE_DATA_DIR", "/data")
    settings = Settings(
        process=process or table.apps["synapse.app.homeserver"],
        name=name,
        name_given=plan is not None
        or bool(reader.text("SYNAPSE_WORKER_NAME") or reader.text(VARIABLE)),
        plan=plan,
        share=together,
        replication_host=host,
        replication_secret_file=replication_secret_file,
        replication_secret_off=replication_secret_off,
        database_password_file=reader.secret_file("SYNAPSE_DATABASE_PASSWORD_FILE"),
        log_level=reader.log_level("SYNAPSE_LOG_LEVEL"),
        log_json=not reader.choice("SYNAPSE_LOG_FORMAT", "text", "json"),
        hostname=reader.hostname("SYNAPSE_HOSTNAME"),
        cpus=reader.cpus("SYNAPSE_CPU_AFFINITY"),
        oom_score=reader.oom_score("SYNAPSE_OOM_SCORE", 200 if name else 100),
        uid=reader.identity("UID"),
        gid=reader.identity("GID"),
        uid_given="UID" in environ,
        config_path=reader.path("SYNAPSE_CONFIG_PATH", data_dir / "homeserver.yaml"),
        data_dir=data_dir,
        media_dir=reader.path("SYNAPSE_MEDIA_DIR", "/synapse_media"),
        runtime_dir=runtime_dir / PROCESSES / (name or MAIN) if together else runtime_dir,
        modules_dir=reader.path("SYNAPSE_MODULES_DIR", "/")
        if reader.text("SYNAPSE_MODULES_DIR")
        else None,
        sockets_dir=sockets_dir,
        jemalloc=reader.choice("SYNAPSE_JEMALLOC", "on", "off"),
        federation_tls=reader.choice("SYNAPSE_FEDERATION_TLS", "on", "off"),
        forwarded_kinds=reader.forwarded("SYNAPSE_X_FORWARDED"),
        bind_addresses=bind_addresses,
        wait_seconds=reader.seconds("SYNAPSE_WAIT_SECONDS"),
        ports=ports_of(name, plan or (), table.ports) if together else table.ports,
        table=table,
    )
    if reader.problems or process is None:
        raise ConfigError(reader.problems)
    return settings
