"""The backends of HAProxy: the servers of each route, and how one of them is chosen."""

from collections.abc import Iterator

from deploy import haproxy_users
from deploy.haproxy_keys import key_lines, word
from deploy.options import Options
from deploy.routing import REPLICA, Route, Routing, Server

# Servers have 16 points for each unit of weight on the ring of hashes: more make it more even.
_WEIGHT = 16
# See _BACKEND_NOTES in haproxy.py. No worker has this name: theirs have no colon.
_WAIT = "server :wait 127.0.0.1:1 backup no-check"
# A hash of addresses chooses the same replica in every proxy, whatever the order of the addresses.
_REPLICA_OPTIONS = "init-addr none hash-key addr-port"


def backends(routing: Routing, options: Options) -> Iterator[list[str]]:
    """Yield the section of each route, that of the main process, and that of the script, if any."""
    for route in routing.routes:
        yield _backend(route, routing.main, options)
    main = Route("main", (), (routing.main,), "one", "", main=False, repeatable=False)
    yield _backend(main, routing.main, options)
    if options.script:
        yield haproxy_users.section(options, _address(routing.main))


def _backend(route: Route, main: Server, options: Options) -> list[str]:
    servers = sum(max(1, server.replicas) for server in route.servers) + (1 if route.main else 0)
    # One each second, and one more for each other server that may have to be tried first.
    retries = max(1, options.hold_seconds + servers - 1)
    return [
        f"backend synapse_{route.name} from synapse_defaults",
        f"    retries {retries}",
        *([] if route.repeatable else ["    http-request disable-l7-retry if METH_POST"]),
        *(key_lines(route.by, options) if _has_choice(route) else []),
        *(_server(server, route) for server in route.servers),
        *([f"    {_address(main)} backup"] if route.main else []),
        f"    {_WAIT}",
    ]


def _has_choice(route: Route) -> bool:
    return len(route.servers) > 1 or any(server.replicas for server in route.servers)


def _server(server: Server, route: Route) -> str:
    weight = f" weight {_WEIGHT}" if _has_choice(route) else ""
    return f"    {_address(server)}{weight}"


def _address(server: Server) -> str:
    address = f"unix@{server.socket}" if server.socket else server.address
    # Its certificate is for the name of the homeserver; the check only connects.
    tls = " ssl verify none no-check-ssl" if server.tls else ""
    if server.replicas:
        prefix, numbers = f"{server.name}{REPLICA}", f"1-{server.replicas}"
        return f"server-template {prefix} {numbers} {word(address)} {_REPLICA_OPTIONS}{tls}"
    return f"server {server.name} {word(address)}{tls}"
