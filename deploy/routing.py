"""Which servers get which requests: the routes of a plan, as every proxy and the JSON need them.

This package knows nothing of the entrypoint: `worker.routes` passes it the table and the servers.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAIN = "main"  # The name of the main process here; no worker may have this name.
REPLICA = "-replica"  # Comes between a name and a number in a proxy's names for replicas.
WHOAMI = "/_matrix/client/v3/account/whoami"  # Answers with the user of an access token.
_IP_ADDRESS = re.compile("[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")

# The formats of the keys by which a proxy chooses one of several servers. Each is looked up in
# turn; a request without any of them goes to an arbitrary server.
ROOM_PATTERN = r"/(?:rooms|join|knock)/([^/?]+)"  # In the path.
USER_PATTERN = r"syt_([^_]+)_"  # In the access token: the user's localpart as base64.
ORIGIN_PATTERN = r"X-Matrix .*?origin=\"?([^\",]+)"  # In the Authorization header.


@dataclass(frozen=True)
class Server:
    """The address of one Synapse process.

    Attributes:
        name: its ``worker_name``, or ``main``.
        host: its host name or IP address, without brackets.
        port: the port that serves requests.
        tls: whether this port expects TLS.
        socket: the path of the Unix socket that replaces host and port, or "".
        replicas: how many processes there can be at most, if any number of them have this host name
            and an address each; 0 for a single process.
    """

    name: str
    host: str
    port: int
    tls: bool = False
    socket: str = ""
    replicas: int = 0

    @property
    def address(self) -> str:
        """Host and port as in a URL, or the path of the socket after ``unix:``."""
        if self.socket:
            return f"unix:{self.socket}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "https" if self.tls else "http"

    @property
    def has_name(self) -> bool:
        """Whether it has a host name, whose address can change."""
        return not self.socket and not _IP_ADDRESS.fullmatch(self.host)


@dataclass(frozen=True)
class Paths:
    """A pattern for paths, with the methods for which it holds.

    Attributes:
        pattern: a regular expression that starts with ``^`` and is matched against the path as the
            client sent it, without the query.
        methods: the HTTP methods; empty for all.
    """

    pattern: str
    methods: tuple[str, ...]

    def matches(self, method: str, path: str) -> bool:
        """Return whether a request with this method and path has this pattern."""
        return (not self.methods or method in self.methods) and bool(re.search(self.pattern, path))


@dataclass(frozen=True)
class Route:
    """Requests that go to the same servers.

    Attributes:
        name: the name of the group of paths in config/routes.bzl.
        paths: the paths.
        servers: the workers that serve them, at least one.
        by: how to choose one of several servers: ``room``, ``user``, ``token``, ``origin``, or
            ``one`` for always the first.
        initial: if not "", only requests without this query parameter, or with an empty one, or
            with ``full_state=true``, belong to the route.
        main: whether the main process stands in while none of the servers can be reached. If not,
            requests wait for them.
        repeatable: whether a POST may be repeated after its connection was lost.
    """

    name: str
    paths: tuple[Paths, ...]
    servers: tuple[Server, ...]
    by: str
    initial: str
    main: bool
    repeatable: bool

    def matches(self, method: str, path: str, query: str = "") -> bool:
        """Return whether a request belongs to this route, if to none before it."""
        if not any(paths.matches(method, path) for paths in self.paths):
            return False
        return not self.initial or is_initial(query, self.initial)


@dataclass(frozen=True)
class Routing:
    """The routes of a plan, in the order in which a proxy must try them.

    Attributes:
        routes: the routes; what none of them matches goes to the main process.
        main: the main process.
        servers: all servers of the routes, and the main process, each once, main first.
    """

    routes: tuple[Route, ...]
    main: Server

    @property
    def servers(self) -> tuple[Server, ...]:
        """All servers, each once; the main process is the first."""
        workers = (server for route in self.routes for server in route.servers)
        return tuple(dict.fromkeys((self.main, *workers)))

    def find(self, method: str, path: str, query: str = "") -> Route | None:
        """Return the route of a request, or None if it goes to the main process."""
        for route in self.routes:
            if route.matches(method, path, query):
                return route
        return None


def is_initial(query: str, parameter: str) -> bool:
    """Return whether a query string asks for an initial sync.

    Args:
        query: the query string, without ``?``.
        parameter: the parameter with the position in the stream that an incremental sync has.
    """
    incremental = re.search(f"(?:^|&){parameter}=[^&]", query)
    return not incremental or bool(re.search("(?:^|&)full_state=true(?:&|$)", query))


def _paths(rows: Iterable[Mapping[str, Any]], minor: int) -> tuple[Paths, ...]:
    return tuple(
        Paths(row["pattern"], tuple(row["methods"])) for row in rows if row["since"] <= minor
    )


def routing(
    table: Sequence[Mapping[str, Any]],
    minor: int,
    workers: Sequence[tuple[Server, frozenset[str]]],
    main: Server,
) -> Routing:
    """Return the routes of a plan.

    Args:
        table: the rows of config/routes.bzl.
        minor: the minor version of Synapse, x in 1.x.
        workers: the workers of the plan that serve requests, each with its worker types.
        main: the main process.
    """
    routes = []
    shadowed: set[str] = set()  # The patterns whose requests all go to an earlier route.
    for row in table:
        paths = tuple(one for one in _paths(row["paths"], minor) if one.pattern not in shadowed)
        for worker_type in row["types"]:
            servers = tuple(server for server, types in workers if worker_type in types)
            if servers and paths:
                if not row["initial"]:
                    shadowed |= {one.pattern for one in paths if not one.methods}
                stands_in = row["main"]
                if row["by"] == "one":
                    # Which replica is the first one is not the same for two proxies, nor for long.
                    servers = tuple(server for server in servers if not server.replicas)[:1]
                    if not servers:
                        servers, stands_in = (main,), False
                routes.append(
                    Route(
                        name=row["name"],
                        paths=paths,
                        servers=servers,
                        by=row["by"],
                        initial=row["initial"],
                        main=stands_in,
                        repeatable=row["repeatable"],
                    )
                )
                break
    return Routing(tuple(routes), main)


def mixed_schemes(routing: Routing) -> list[str]:
    """Return a line for each route of which only some servers use TLS."""
    return [
        f"SYNAPSE_WORKERS: {', '.join(server.name for server in route.servers)} share the route "
        f"{route.name}, but only some of them use TLS; set SYNAPSE_FEDERATION_TLS=off"
        for route in routing.routes
        if len({server.tls for server in route.servers}) > 1
    ]


def shared_addresses(servers: Iterable[Server]) -> list[str]:
    """Return a line for each address that several processes would have."""
    names: dict[str, list[str]] = {}
    for server in servers:
        names.setdefault(server.address.lower(), []).append(server.name)
    return [
        f"SYNAPSE_WORKERS: {', '.join(sharing)} have the same address {address}; give each process "
        "its own host"
        for address, sharing in names.items()
        if len(sharing) > 1
    ]


def document(routing: Routing) -> dict[str, Any]:
    """Return the routes as plain data, whose schema docs/routes.md describes."""

    def server(server: Server) -> dict[str, Any]:
        address: dict[str, Any] = {"name": server.name}
        if server.socket:
            return address | {"socket": server.socket}
        return address | {"host": server.host, "port": server.port, "tls": server.tls}

    return {
        "version": 1,
        "main": server(routing.main),
        "routes": [
            {
                "name": route.name,
                "match": [
                    {"pattern": paths.pattern, "methods": list(paths.methods)}
                    for paths in route.paths
                ],
                "initial": route.initial or None,
                "servers": [server(one) for one in route.servers],
                "balance": route.by,
                "fallback": MAIN if route.main else None,
                "repeat_post": route.repeatable,
            }
            for route in routing.routes
        ],
    }
