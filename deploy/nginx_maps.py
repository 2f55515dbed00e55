"""The maps of nginx.conf: from a request to its route, and from a route to the servers to try."""

from collections.abc import Iterator, Sequence

from deploy.routing import (
    ORIGIN_PATTERN,
    ROOM_PATTERN,
    USER_PATTERN,
    Paths,
    Route,
    Routing,
    Server,
)

_INITIAL = ("since", "pos")  # The parameters that only incremental syncs have.
_KEYS = {
    "origin": "$synapse_origin",
    "room": "$synapse_room",
    "token": "$synapse_any_token",
    "user": "$synapse_user",
}


def quoted(text: str) -> str:
    """Return ``text`` as one parameter of a directive."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# The variables of a request.


def request_part(*, finds_users: bool) -> list[str]:
    """Return the maps from a request to the keys by which one of several servers is chosen.

    Args:
        finds_users: whether $synapse_found_user is the user of a token that does not name it.
    """
    found_user = [
        "map $synapse_found_user $synapse_any_user {",
        "    default $synapse_found_user;",
        '    "" $synapse_any_token;',
        "}",
    ]
    return [
        "# The path as the client sent it, and the access token.",
        "map $request_uri $synapse_path {",
        '    "~^(?<synapse_path_only>[^?]*)" $synapse_path_only;',
        "}",
        "map $http_authorization $synapse_token {",
        "    default $arg_access_token;",
        '    "~*^Bearer +(?<synapse_bearer>[^ ]+)" $synapse_bearer;',
        "}",
        "# The keys for choosing one of several workers. $request_id is different in each request.",
        "map $synapse_token $synapse_any_token {",
        "    default $synapse_token;",
        '    "" $request_id;',
        "}",
        *(found_user if finds_users else []),
        "map $synapse_token $synapse_user {",
        f"    default {'$synapse_any_user' if finds_users else '$synapse_any_token'};",
        f'    "~^{_named(USER_PATTERN, "synapse_localpart")}" $synapse_localpart;',
        "}",
        "map $synapse_path $synapse_room {",
        "    default $synapse_user;",
        f'    "~{_named(ROOM_PATTERN, "synapse_room_id")}" $synapse_room_id;',
        "}",
        "map $http_authorization $synapse_origin {",
        "    default $request_id;",
        f'    "~{_escaped(_named(ORIGIN_PATTERN, "synapse_sender"))}" $synapse_sender;',
        "}",
        "# Whether a sync is an initial one: it lacks the position that others have.",
        *[line for parameter in _INITIAL for line in _initial_map(parameter)],
    ]


def _named(pattern: str, name: str) -> str:
    """Return ``pattern`` with its only capturing group named."""
    before, group, after = pattern.rpartition("([")
    assert group
    return f"{before}(?<{name}>[{after}"


def _escaped(pattern: str) -> str:
    """Return a regular expression for use within double quotes."""
    return pattern.replace('\\"', '"').replace('"', '\\"')


def _initial_map(parameter: str) -> list[str]:
    return [
        f"map $args $synapse_without_{parameter} {{",
        "    default y;",
        '    "~(?:^|&)full_state=true(?:&|$)" y;',
        f'    "~(?:^|&){parameter}=[^&]" n;',
        "}",
    ]


def route_map(routes: Sequence[Route]) -> list[str]:
    """Return the map from a request to the name of its route: the first that matches."""
    source = "".join(f"$synapse_without_{parameter}" for parameter in _INITIAL)
    lines = [f'map "{source} $request_method $synapse_path" $synapse_route {{', "    default main;"]
    for route in routes:
        flags = "".join("y" if route.initial == parameter else "." for parameter in _INITIAL)
        lines += [f'    "~{_request_pattern(paths, flags)}" {route.name};' for paths in route.paths]
    return [*lines, "}"]


def _request_pattern(paths: Paths, flags: str) -> str:
    methods = f"(?:{'|'.join(paths.methods)})" if paths.methods else r"\S+"
    return f"^{flags} {methods} {paths.pattern.removeprefix('^')}"


# The servers.


class Names:
    """The URLs of the servers: that of an upstream block, or of a name to resolve at run time."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._upstreams: dict[Server, str] = {}
        used = set()
        for number, server in enumerate(servers):
            name = f"synapse_{server.name}"
            # nginx ignores case in the names of upstreams.
            if name.lower() in used:
                name = f"{name}.{number}"
            used.add(name.lower())
            if not server.has_name:
                self._upstreams[server] = name

    def url(self, server: Server) -> str:
        """Return the URL for ``proxy_pass``."""
        return f"{server.scheme}://{self._upstreams.get(server, server.address)}"

    def upstreams(self) -> Iterator[str]:
        """Yield the upstream blocks, which keep connections open."""
        for server, name in self._upstreams.items():
            yield f"upstream {name} {{"
            yield f"    server {quoted(server.address)};"
            yield "    keepalive 32;"
            yield "    keepalive_timeout 30s;"
            yield "}"


def _split(key: str, variable: str, urls: Sequence[str]) -> Iterator[str]:
    """Yield a split_clients block that gives each of ``urls`` an equal share of the keys."""
    yield f'split_clients "{key}" {variable} {{'
    bounds = [10000 * number // len(urls) for number in range(len(urls) + 1)]
    for url, low, high in zip(urls[:-1], bounds, bounds[1:], strict=False):
        yield f'    {(high - low) / 100:.2f}% "{url}";'
    yield f'    * "{urls[-1]}";'
    yield "}"


def server_maps(routing: Routing, names: Names) -> list[str]:
    """Return the maps from a route to the URLs that are tried: $synapse_first, _second, _last."""
    main = names.url(routing.main)
    choices: dict[str, dict[str, str]] = {"first": {}, "second": {}, "last": {}}
    lines: list[str] = []
    variables: dict[tuple[tuple[Server, ...], str], str] = {}
    for route in routing.routes:
        urls = [names.url(server) for server in route.servers]
        first = second = f'"{urls[0]}"'
        if len(urls) > 1:
            pool = (route.servers, route.by)
            if pool not in variables:
                variables[pool] = f"$synapse_{route.name}"
                key = _KEYS[route.by]
                lines += _split(key, f"{variables[pool]}_1", urls)
                lines += _split(key, f"{variables[pool]}_2", [*urls[1:], urls[0]])
            first, second = f"{variables[pool]}_1", f"{variables[pool]}_2"
        elif route.main:
            second = f'"{main}"'
        choices["first"][route.name] = first
        choices["second"][route.name] = second
        choices["last"][route.name] = f'"{main}"' if route.main else first
    for step, values in choices.items():
        lines += [f"map $synapse_route $synapse_{step} {{", f'    default "{main}";']
        lines += [f"    {name} {value};" for name, value in values.items() if value != f'"{main}"']
        lines.append("}")
    return lines


def repeat_maps(routes: Sequence[Route]) -> list[str]:
    """Return the maps that say whether a request may be sent once more after a failure."""
    repeatable = [route.name for route in routes if route.repeatable]
    return [
        "# A request may be repeated if the connection failed, or if a second one does no harm.",
        "map $synapse_route $synapse_repeatable {",
        "    default n;",
        *[f"    {name} y;" for name in repeatable],
        "}",
        "map $upstream_connect_time $synapse_connected {",
        "    volatile;",
        "    default y;",
        '    "~(?:^|-)$" n;',
        "}",
        "map $upstream_status $synapse_timed_out {",
        "    volatile;",
        "    default n;",
        '    "~504$" y;',
        "}",
        'map "$synapse_connected$synapse_timed_out$synapse_repeatable $request_method" '
        "$synapse_again {",
        "    volatile;",
        "    default n;",
        '    "~^n" y;',
        '    "~^yny POST$" y;',
        '    "~^yn. (?:GET|HEAD|PUT|DELETE|OPTIONS)$" y;',
        "}",
    ]
