"""The containers of a plan if one at each host runs all processes of that host from one parent.

They get ``SYNAPSE_PROCESSES``, and use ports, since the proxy is in a container of its own.
"""

from collections.abc import Mapping, Sequence

from deploy.containers import Container, Member
from deploy.routing import Routing
from worker.doctor import MAIN, main_host, target_labels
from worker.errors import shown
from worker.hosts import unbracketed
from worker.plan import PlannedWorker, media_processes, replicates
from worker.routes import routing_of, server
from worker.settings import Settings, parse
from worker.shares import ALL, host_of
from worker.together import share_environs
from worker.worker_types import load_table

WORKERS = "workers"  # The name of a container without the main process.
ENVIRON = {"SYNAPSE_UNIX_SOCKETS": "off"}  # What all containers get besides the usual variables.


def _shares(plan: Sequence[PlannedWorker], main: str) -> dict[str, tuple[str, ...]]:
    """Return the names of the processes at each host, that of the main process first.

    Args:
        plan: the workers; one whose host is its own name is in the container of the main process,
            unless other workers have hosts.
        main: the host of the main process.
    """
    together = all(worker.host in (worker.name, main) for worker in plan)
    shares: dict[str, tuple[str, ...]] = {main: (MAIN,)}
    for worker in plan:
        host = host_of(worker, main, ALL if together else "")
        shares[host] = (*shares.get(host, ()), worker.name)
    return shares


def _texts(shares: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return ``SYNAPSE_PROCESSES`` of the container at each host."""
    if len(shares) == 1:
        return dict.fromkeys(shares, ALL)
    return {host: ", ".join(names) for host, names in shares.items()}


def option_problems(environ: Mapping[str, str], plan: Sequence[PlannedWorker]) -> list[str]:
    """Return a line for each variable and each name in the plan that does not fit the option.

    Raises:
        ConfigError: if ``SYNAPSE_REPLICATION_HOST`` is not a host.
    """
    problems = []
    given = environ.get("SYNAPSE_PROCESSES", "")
    texts = _texts(_shares(plan, unbracketed(main_host(environ))))
    if given and {given} != set(texts.values()):
        problems.append(
            f"SYNAPSE_PROCESSES={shown(repr(given))} contradicts --one-container, which takes the "
            "processes of each container from the hosts in the plan; unset it"
        )
    sockets = environ.get("SYNAPSE_UNIX_SOCKETS", "")
    if sockets not in ("", "off"):
        problems.append(
            f"SYNAPSE_UNIX_SOCKETS={shown(repr(sockets))} contradicts --one-container, since the "
            "proxy is in another container; unset it"
        )
    if any(worker.name == ALL for worker in plan):
        problems.append(
            f"SYNAPSE_WORKERS: {ALL} is the name of a worker, but stands for all processes "
            "in SYNAPSE_PROCESSES; give the worker another name"
        )
    return problems


def _ports(settings: Mapping[str, Settings], host: str, called: frozenset[str]) -> tuple[int, ...]:
    """Return the ports at which others reach the processes of a container.

    Args:
        settings: the settings of its processes by name.
        host: its host.
        called: the processes that those in other containers call.
    """
    ports = []
    for name, one in settings.items():
        serves = server(name, host, one)
        if serves is not None:
            ports.append(serves.port)
        if name in called:
            ports.append(one.ports["replication"])
    return tuple(ports)


def _members(settings: Mapping[str, Settings]) -> tuple[Member, ...]:
    return tuple(
        Member(name, one.ports["metrics"], target_labels(name, one.process.joined or MAIN))
        for name, one in settings.items()
    )


def shared_containers(
    environ: Mapping[str, str], plan: tuple[PlannedWorker, ...]
) -> tuple[list[Container], Routing]:
    """Return one container for each host, that of the main process first, and the routes.

    Args:
        environ: the variables that all containers get, with the plan.
        plan: the plan.

    Raises:
        ConfigError: if a variable is invalid.
    """
    shares = _shares(plan, unbracketed(main_host(environ)))
    called = frozenset(
        name
        for name in (MAIN, *(one.name for one in plan if replicates(one.process, load_table())))
        if len(shares) > 1
    )
    media = media_processes(plan)
    containers, processes = [], []
    for host, text in _texts(shares).items():
        own = {"SYNAPSE_PROCESSES": text}
        # As the entrypoint of the container reads them.
        settings = {
            name: parse(one, plan=plan) for name, one in share_environs({**environ, **own}).items()
        }
        processes += [(name, host, one) for name, one in settings.items()]
        containers.append(
            Container(
                name=MAIN if MAIN in settings else WORKERS,
                runs=f"{len(settings)} processes" if len(settings) > 1 else "1 process",
                host=host,
                environ=own,
                ports=_ports(settings, host, called),
                media=not media.isdisjoint(settings),
                members=_members(settings),
            )
        )
    order = [MAIN, *(worker.name for worker in plan)]
    return containers, routing_of(sorted(processes, key=lambda one: order.index(one[0])))
