"""A Caddyfile of a plan's routes, for Caddy 2.8 to 2.11."""

from collections.abc import Iterator

from deploy.caddy_proxies import TRIED, errors, falls_back, main_proxy, proxy, upstream
from deploy.classes import (
    ORIGIN_AFTER,
    ORIGIN_BEFORE,
    ROOM_BEFORE,
    TOKEN_AFTER,
    TOKEN_BEFORE,
    USER_AFTER,
    USER_BEFORE,
    pairs,
)
from deploy.options import Options
from deploy.routing import MAIN, Route, Routing, Server, mixed_schemes

# What `Options.include` may name: ``snippet`` is for ``import synapse`` in one's own sites.
PARTS = ("snippet",)

_GLOBAL = """\
# Requests to the processes of a Synapse homeserver. Made for Caddy 2.8 to 2.11.
{
	# The certificates are files, and no other port is used.
	auto_https off
	persist_config off
	servers {
		protocols h1 h2
	}
	# A query can contain an access token, so logs have only the path.
	log {
		format filter {
			wrap json
			request>uri regexp "\\?.*" ""
		}
	}
}
"""

_SNIPPET_COMMENT = """\
# Requests to the processes of a Synapse homeserver. Made for Caddy 2.8 to 2.11.
# Use it in a site as `import synapse`. A query can contain an access token: in the global options
# and in logs of your own, use `format filter` to remove it from `request>uri`.

"""

_PROXY_COMMENT = """\
# A request goes to the first server that is up. One that fails is not used for 2 seconds; if there
# is no other, the request waits. The body is kept so that it can be sent again.
"""

_KEYS_COMMENT = """\
	# Caddy's policies cannot hash a part of a header, or continue with the main process. So two
	# characters of the room, user, access token or origin choose the server that is tried first.
"""


def _quoted(text: str) -> str:
    """Return ``text`` as one Caddyfile token that is taken literally."""
    return '"' + text.replace('"', r"\"") + '"'


def _entry(pattern: str, value: str) -> str:
    return f"\t\t{_quoted('~' + pattern)} {value}\n"


def _routes_map(routing: Routing) -> Iterator[str]:
    """Yield the map from a request to the name of its route."""
    yield "\t# The path as the client sent it, without the query.\n"
    yield _map("{http.request.orig_uri}", "synapse_path", "^([^?]*)") + "\n"
    parameters = sorted({route.initial for route in routing.routes if route.initial})
    for parameter in parameters:
        yield f"\t# A sync is initial without {parameter}, or with full_state=true.\n"
        yield f"\tmap {{http.request.uri.query}} {{synapse_{parameter}}} {{\n"
        yield _entry("(?:^|&)full_state=true(?:&|$)", "initial")
        yield _entry(f"(?:^|&){parameter}=[^&]", "incremental")
        yield "\t\tdefault initial\n\t}\n\n"
    source = "".join(f"{{synapse_{parameter}}} " for parameter in parameters)
    yield "\t# The route: the first line that matches the method and the path.\n"
    yield f'\tmap "{{method}} {source}{{synapse_path}}" {{synapse_route}} {{\n'
    for route in routing.routes:
        initial = [
            " initial" if route.initial == parameter else r" \S+" for parameter in parameters
        ]
        for paths in route.paths:
            method = f"(?:{'|'.join(paths.methods)})" if paths.methods else r"\S+"
            pattern = paths.pattern.removeprefix("^")
            yield _entry(f"^{method}{''.join(initial)} {pattern}", route.name)
    yield f"\t\tdefault {MAIN}\n\t}}\n\n"


def _map(source: str, name: str, pattern: str, default: str = "") -> str:
    """Return a map from ``source`` to the group in ``pattern``."""
    ending = f"\t\tdefault {default}\n" if default else ""
    return f"\tmap {source} {{{name}}} {{\n{_entry(pattern, '${1}')}{ending}\t}}\n"


def _keys(routing: Routing) -> Iterator[str]:
    """Yield the maps from a request to the number of its server, if a route has several."""
    wanted = {(route.by, len(route.servers)) for route in routing.routes if len(route.servers) > 1}
    if not wanted:
        return
    yield _KEYS_COMMENT
    yield _map("{http.request.uuid}", "synapse_random", "(..)$")
    yield _map(
        "{header.Authorization}",
        "synapse_token",
        "^Bearer +(.+)$",
        "{http.request.uri.query.access_token}",
    )
    yield _map(
        "{synapse_token}",
        "synapse_by_token",
        f"{TOKEN_BEFORE}(..){TOKEN_AFTER}",
        "{synapse_random}",
    )
    yield _map(
        "{synapse_token}",
        "synapse_by_user",
        f"{USER_BEFORE}([^_][^_]){USER_AFTER}",
        "{synapse_by_token}",
    )
    yield _map("{synapse_path}", "synapse_by_room", f"{ROOM_BEFORE}([^/][^/])", "{synapse_by_user}")
    yield _map(
        "{header.Authorization}",
        "synapse_by_origin",
        f"{ORIGIN_BEFORE}(..){ORIGIN_AFTER}",
        "{synapse_random}",
    )
    for by, count in sorted(wanted):
        yield f"\tmap {{synapse_by_{by}}} {{synapse_{by}_of_{count}}} {{\n"
        for number, pattern in enumerate(pairs(count)[:-1], 1):
            yield _entry(f"^{pattern}$", str(number))
        yield f"\t\tdefault {count}\n\t}}\n"


def _order(routing: Routing, route: Route, first: int) -> tuple[Server, ...]:
    """Return the servers of a request in the order in which they are tried."""
    servers = (*route.servers[first:], *route.servers[:first])[:TRIED]
    if route.main and not falls_back(routing, route):
        return (*servers, routing.main)
    return servers


def _pools(routing: Routing) -> dict[tuple[tuple[Server, ...], bool], Route]:
    """Return the first route of all those that have the same servers, by servers and main."""
    pools: dict[tuple[tuple[Server, ...], bool], Route] = {}
    for route in routing.routes:
        pools.setdefault((route.servers, route.main), route)
    return pools


def _targets(routing: Routing) -> Iterator[str]:
    """Yield the map from a route to its servers."""
    pools = _pools(routing)
    yield "\n\t# The servers of a route, the number of the first, and whether to repeat a POST.\n"
    yield "\tmap {synapse_route} {synapse_servers} {synapse_first} {synapse_repeat} {\n"
    for route in routing.routes:
        pool = pools[route.servers, route.main].name
        count = len(route.servers)
        first = f"{{synapse_{route.by}_of_{count}}}" if count > 1 else "1"
        yield f"\t\t{route.name} {pool} {first} {'post' if route.repeatable else 'no'}\n"
    yield f"\t\tdefault {MAIN} 1 no\n\t}}\n"
    yield "\tvars {\n"
    for name in ("servers", "first", "repeat"):
        yield f"\t\tsynapse_{name} {{synapse_{name}}}\n"
    yield "\t}\n\n"


def _handlers(routing: Routing) -> Iterator[str]:
    """Yield a handler for each list of servers; the last one is that of the main process."""
    for route in _pools(routing).values():
        imports = [
            f"import {proxy(routing, route).snippet} "
            + " ".join(map(upstream, _order(routing, route, first)))
            for first in range(len(route.servers))
        ]
        yield f"\t@synapse_{route.name} vars synapse_servers {route.name}\n"
        yield f"\thandle @synapse_{route.name} {{\n"
        for number, line in enumerate(imports[:-1], 1):
            yield f"\t\t@{number} vars synapse_first {number}\n"
            yield f"\t\thandle @{number} {{\n\t\t\t{line}\n\t\t}}\n"
        if len(imports) == 1:
            yield f"\t\t{imports[0]}\n\t}}\n"
        else:
            yield f"\t\thandle {{\n\t\t\t{imports[-1]}\n\t\t}}\n\t}}\n"
    main = f"import {main_proxy(routing).snippet} {upstream(routing.main)}"
    yield f"\thandle {{\n\t\t{main}\n\t}}\n\n"


def _snippet(routing: Routing, options: Options) -> str:
    proxies = {main_proxy(routing), *(proxy(routing, route) for route in routing.routes)}
    return "".join(
        [
            _PROXY_COMMENT,
            *(line for one in sorted(proxies) for line in one.lines(options)),
            "# The routes of the plan.\n(synapse) {\n",
            f"\trequest_body {{\n\t\tmax_size {options.max_body_mib}MiB\n\t}}\n\n",
            *_routes_map(routing),
            *_keys(routing),
            *_targets(routing),
            *_handlers(routing),
            *errors(routing),
            "}\n",
        ]
    )


def configuration(routing: Routing, options: Options) -> str:
    """Return the Caddyfile, or the part of it that ``options.include`` names.

    Raises:
        ValueError: if there is no such part.
    """
    if options.include not in ("", *PARTS):
        raise ValueError(f"{options.include!r} is not a part of a Caddyfile")
    snippet = _snippet(routing, options)
    if options.include:
        return _SNIPPET_COMMENT + snippet
    bind = f"\tbind {options.address}\n" if options.address else ""
    sites = (
        f":{options.client_port}, :{options.federation_port} {{\n{bind}"
        f"\ttls {_quoted(options.certificate)} {_quoted(options.key)}\n\timport synapse\n}}\n"
    )
    if options.plain_port:
        sites += f"\nhttp://:{options.plain_port} {{\n{bind}\timport synapse\n}}\n"
    return f"{_GLOBAL}\n{snippet}\n{sites}"


def problems(routing: Routing, options: Options) -> list[str]:
    """Return a line for each thing that Caddy cannot express."""
    return mixed_schemes(routing)
