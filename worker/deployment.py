"""The containers of a plan, for the verbs that print files for container engines."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deploy.containers import Container, Deployment, most_replicas
from deploy.routing import REPLICA, Routing
from deploy.synapse import PASSWORD_PATH
from worker.doctor import MAIN, environs, main_host, planned
from worker.errors import ConfigError, shown
from worker.hosts import host_problem, unbracketed
from worker.monitoring import monitored
from worker.one_container import ENVIRON, option_problems, shared_containers
from worker.plan import PlannedWorker, is_stateless, media_processes, replicates
from worker.replicas import VARIABLE as NAME_FROM
from worker.routes import routing_of, server
from worker.settings import Settings, parse
from worker.worker_types import load_table

_PREFIX = "SYNAPSE_"
_NAME = re.compile("[A-Z0-9_]+")
# The variables of a container that the administrator does not set.
_DEFAULTS = {
    "SYNAPSE_DATABASE_PASSWORD_FILE": PASSWORD_PATH,
    "SYNAPSE_FEDERATION_TLS": "off",  # The proxy terminates TLS.
    "SYNAPSE_WAIT_SECONDS": "60",
}


def one_line(plan_text: str) -> str:
    """Return a plan without its comments and line ends."""
    lines = (line.partition("#")[0] for line in plan_text.splitlines())
    entries = (entry.strip() for line in lines for entry in line.split(","))
    return ", ".join(entry for entry in entries if entry)


@dataclass(frozen=True)
class _Process:
    """A process of the plan, or all workers of an entry that may be replicas of one.

    Attributes:
        name: its name.
        host: its host.
        settings: its settings, or those of the first of the workers.
        worker: the worker of the plan, or the first of them; None for the main process.
        replicas: how many workers there are; 0 if there can be only one.
    """

    name: str
    host: str
    settings: Settings
    worker: PlannedWorker | None
    replicas: int = 0


def _processes(
    settings: Mapping[str, Settings],
    plan: Sequence[PlannedWorker],
    main: str,
    *,
    with_replicas: bool,
) -> list[_Process]:
    """Return the main process, whose host is ``main``, and the workers of a plan.

    Raises:
        ConfigError: if replicas would have the name of another worker.
    """
    processes = {MAIN: _Process(MAIN, main, settings[MAIN], None)}
    problems = []
    for worker in plan:
        own = settings[worker.name]
        one = _Process(worker.name, worker.host, own, worker)
        # The path of a Unix socket contains the name of its worker; those of replicas are unknown.
        alike = with_replicas and worker.host == worker.name and own.sockets_dir is None
        if alike and is_stateless(worker.process, own.table):
            one = _Process(worker.entry, worker.entry, own, worker, 1)
            if host_problem(one.host):
                problems.append(
                    f"SYNAPSE_WORKERS: {shown(repr(one.host))} is also the host of these workers, "
                    f"but it {host_problem(one.host)}"
                )
        known = processes.get(one.name)
        if known is None:
            processes[one.name] = one
        elif (
            known.replicas
            and one.replicas
            and known.worker
            and known.worker.process.types == (worker.process.types)
        ):
            processes[one.name] = replace(known, replicas=known.replicas + 1)
        else:
            problems.append(
                f"SYNAPSE_WORKERS: {one.name} is the name of several entries with different worker "
                "types; give each of them its own name"
            )
    for one in processes.values():
        entry, replica, number = one.name.rpartition(REPLICA)
        known = processes.get(entry)
        if replica and number.isdigit() and known and known.replicas:
            problems.append(
                f"SYNAPSE_WORKERS: {one.name} is the proxy's name for a replica of {entry}; give "
                "the worker another name"
            )
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return list(processes.values())


def _container(process: _Process, *, media: bool) -> Container:
    table, worker = load_table(), process.worker
    serves = server(process.name, process.host, process.settings)
    ports: tuple[int, ...] = (serves.port,) if serves else ()
    if worker is None or replicates(worker.process, table):
        ports += (table.ports["replication"],)
    if worker is None:
        variables = {"SYNAPSE_WORKER": "synapse.app.homeserver"}
    elif process.replicas:
        variables = {"SYNAPSE_WORKER": worker.process.joined, NAME_FROM: "hostname"}
    else:
        variables = {"SYNAPSE_WORKER_NAME": process.name}
    return Container(
        name=process.name,
        runs=worker.process.joined if worker else "the main process",
        host=process.host,
        environ=variables,
        ports=ports,
        media=media,
        entry=worker.entry if worker else "",
        replicas=process.replicas,
    )


def _containers(
    process_environs: Mapping[str, Mapping[str, str]],
    plan: Sequence[PlannedWorker],
    main: str,
    *,
    with_replicas: bool,
) -> tuple[list[Container], Routing]:
    """Return a container for each process, or for all replicas of one, and the routes.

    Raises:
        ConfigError: if a variable is invalid, or processes would have the same name or address.
    """
    settings = {name: parse(one) for name, one in process_environs.items()}
    processes = _processes(settings, plan, main, with_replicas=with_replicas)
    media = media_processes(plan)
    return [_container(one, media=one.name in media) for one in processes], routing_of(
        ((one.name, one.host, one.settings) for one in processes),
        # An engine that replaces them runs old and new ones at the same time.
        {one.name: 2 * most_replicas(one.replicas) for one in processes if one.replicas},
    )


def deployment(
    environ: Mapping[str, str],
    plan_text: str,
    *,
    with_replicas: bool = False,
    one_container: bool = False,
) -> Deployment:
    """Return the containers of a plan.

    Args:
        environ: the variables, of which every process gets those whose names begin with
            ``SYNAPSE_``.
        plan_text: the plan.
        with_replicas: whether the engine can start one container several times.
        one_container: whether one container at each host runs all of its processes; without a
            plan, there is only the main process, which is a container by itself.

    Raises:
        ConfigError: if the plan or a variable is invalid.
    """
    plan_text = one_line(plan_text)
    plan = planned(plan_text) or ()
    together = one_container and bool(plan)
    own = ("SYNAPSE_WORKER", "SYNAPSE_WORKER_NAME", "SYNAPSE_PROCESSES", NAME_FROM)
    given = {
        name: value
        for name, value in environ.items()
        if name.startswith(_PREFIX) and name not in (*own, "SYNAPSE_WORKERS")
    }
    problems = [
        f"{shown(name)} contains a character that is not printable; use one line of text"
        for name, value in given.items()
        if not (_NAME.fullmatch(name) and value.isprintable())
    ]
    if together:
        problems += option_problems(environ, plan)
    elif environ.get("SYNAPSE_PROCESSES"):
        remedy = "unset it" if one_container else "unset it, or add --one-container"
        problems.append(
            "SYNAPSE_PROCESSES is set, but these files start each process in a container of its "
            f"own; {remedy}"
        )
    if problems:
        raise ConfigError(problems)
    every = _DEFAULTS | given | (ENVIRON if together else {})
    process_environs = environs(every, plan_text, plan)
    shared = {name: value for name, value in process_environs[MAIN].items() if name not in own}
    if together:
        containers, routes = shared_containers(shared, plan)
    else:
        main = unbracketed(main_host(environ))
        containers, routes = _containers(process_environs, plan, main, with_replicas=with_replicas)
    if not plan_text:
        del shared["SYNAPSE_WORKERS"]
    return Deployment(
        containers=containers,
        environ=shared,
        wait_seconds=int(shared["SYNAPSE_WAIT_SECONDS"]),
        ports=load_table().ports,
        monitored=monitored(plan, load_table()),
        routing=routes,
    )
