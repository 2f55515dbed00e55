"""Routings and requests that the tests of all proxies share."""

from deploy.routing import Paths, Route, Routing, Server

MAIN = Server("main", "main", 8008)
READERS = tuple(Server(f"reader{number}", f"10.0.0.{number}", 8008) for number in (1, 2, 3))
TYPING = Server("typing", "typing", 8008)
FEDERATION = (Server("fed.1", "fed", 8448, tls=True), Server("Fed.1", "::1", 8448, tls=True))
CLIENT = "^/_matrix/client/(r0|v3)/"


def route(
    name: str,
    pattern: str,
    servers: tuple[Server, ...],
    *,
    by: str = "token",
    methods: tuple[str, ...] = (),
    initial: str = "",
    main: bool = True,
    repeatable: bool = False,
) -> Route:
    """Return a route with one pattern."""
    paths = (Paths(pattern, methods),)
    return Route(name, paths, servers, by, initial, main, repeatable)


ROUTING = Routing(
    (
        route("typing", CLIENT + "rooms/.*/typing", (TYPING,), main=False),
        route("initial", CLIENT + "sync$", READERS[:1], methods=("GET", "HEAD"), initial="since"),
        route(
            "sync",
            CLIENT + "sync$",
            READERS,
            by="user",
            methods=("GET", "HEAD"),
            repeatable=True,
        ),
        route("sliding", CLIENT + "sliding$", READERS[1:], by="user", initial="pos"),
        route("send", CLIENT + "rooms/[^/]+/send", READERS[:2], by="room"),
        route("federation", "^/_matrix/federation/", FEDERATION, by="origin"),
    ),
    MAIN,
)

REQUESTS = [
    (method, path, query)
    for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS")
    for path in (
        "/",
        "/_matrix/client/v3/sync",
        "/_matrix/client/v3/sync/",
        "/x/_matrix/client/v3/sync",
        "/_matrix/client/v3/sliding",
        "/_matrix/client/r0/rooms/%21a%3Ab/typing/%40a%3Ab",
        "/_matrix/client/v3/rooms/!a:b/send/m.x/1",
        "/_matrix/client/v3/rooms/a/b/send/m.x/1",
        "/_matrix/federation/v1/send/1",
        "/_matrix/other",
    )
    for query in (
        "",
        "since=",
        "since=s1",
        "pos=1",
        "since=s1&full_state=true",
        "full_state=true&pos=1",
        "full_state=trueish&since=s1",
        "xsince=1",
        "timeout=0&since=s1",
        "pos=1&since=s1",
    )
]
