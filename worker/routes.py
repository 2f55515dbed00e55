"""The routes of a plan, and the proxy configurations that deploy/ makes of them."""

from argparse import Namespace
from collections.abc import Iterable, Mapping

from deploy.formats import format_problems, routes_text
from deploy.options import HELP, parse_options
from deploy.routing import Routing, Server, routing, shared_addresses
from worker.doctor import MAIN, environs, main_host, planned, read_plan
from worker.errors import ConfigError, shown
from worker.hosts import unbracketed
from worker.listeners import listener_kinds, socket_path
from worker.settings import Settings, parse
from worker.shares import host_of
from worker.worker_types import load_table


def server(name: str, host: str, settings: Settings, replicas: int = 0) -> Server | None:
    """Return the address at which a process serves requests, or None if it serves none.

    Args:
        name: its name.
        host: its host.
        settings: its settings.
        replicas: as in `deploy.routing.Server`.
    """
    kinds = [kind for kind in listener_kinds(settings, None) if kind in ("client", "federation")]
    if not kinds:
        return None
    kind = kinds[0]  # The client port serves federation as well if the process does both.
    sockets = settings.sockets_dir is not None and kind == "client"
    return Server(
        name=name,
        host=host,
        port=settings.ports[kind],
        tls=kind == "federation",
        socket=socket_path(settings, "" if name == MAIN else name, kind) if sockets else "",
        replicas=replicas,
    )


def routing_of(
    processes: Iterable[tuple[str, str, Settings]], replicas: Mapping[str, int] | None = None
) -> Routing:
    """Return the routes for processes.

    Args:
        processes: each with its name, host and settings; main is the first.
        replicas: by name, how many processes there can be at most with this host; those that are
            missing are single.

    Raises:
        ConfigError: if two of them would have the same address.
    """
    table = load_table()
    servers = []
    for name, host, settings in processes:
        one = server(name, host, settings, (replicas or {}).get(name, 0))
        if one is not None:
            servers.append((one, frozenset(row.name for row in settings.process.types)))
    problems = shared_addresses(one for one, _ in servers)
    if problems:
        raise ConfigError(problems)
    return routing(table.routes, table.minor, servers[1:], servers[0][0])


def plan_routing(environ: Mapping[str, str], plan_text: str) -> Routing:
    """Return the routes of a plan, for processes that get ``environ``.

    Raises:
        ConfigError: if the plan or the environment is invalid.
    """
    plan = planned(plan_text) or ()
    process_environs = environs(environ, plan_text, plan)
    processes, main = environ.get("SYNAPSE_PROCESSES", ""), unbracketed(main_host(environ))
    hosts = {MAIN: main} | {worker.name: host_of(worker, main, processes) for worker in plan}
    return routing_of(
        (name, hosts[name], parse(process_environ))
        for name, process_environ in process_environs.items()
    )


def routes(environ: Mapping[str, str], arguments: Namespace) -> str:
    """Return the text that the verb ``routes`` prints.

    Args:
        environ: the environment that every process of the plan gets.
        arguments: ``format``, ``plan``, and the options of `deploy.options.Options` by name.

    Raises:
        ConfigError: if the format, an option, the plan or the environment is invalid.
    """
    values = {name: getattr(arguments, name) for name in HELP}
    options, problems = parse_options({k: v for k, v in values.items() if v is not None})
    problems += format_problems(arguments.format, options)
    if problems:
        raise ConfigError([shown(problem) for problem in problems])
    plan = plan_routing(environ, read_plan(arguments.plan))
    text, problems = routes_text(arguments.format, plan, options)
    if problems:
        raise ConfigError(problems)
    return text
