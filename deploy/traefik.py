"""A configuration of a plan's routes for Traefik 3: its file provider's YAML."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from deploy.classes import (
    ORIGIN_AFTER,
    ORIGIN_BEFORE,
    ROOM_BEFORE,
    TOKEN_AFTER,
    USER_AFTER,
    USER_BEFORE,
    pairs,
)
from deploy.options import Options
from deploy.routing import MAIN, Paths, Route, Routing, Server
from deploy.traefik_services import Services, quoted

# What `Options.include` may name: the static configuration, which is read once at the start (entry
# points), and the dynamic one (routers and services). Both may be in the same file.
PARTS = ("static", "dynamic")

_TRIED = 3  # How many workers of a route are tried for one request; a route may have 500.
_FILE = "/etc/traefik/traefik.yml"  # Where Traefik looks for its configuration by default.

_HEADER = """\
# Requests to the processes of a Synapse homeserver. Made for Traefik 3.4 and later.
"""

_STATIC = """\
# The static configuration: what Traefik reads once when it starts.
global:
  checkNewVersion: false
  sendAnonymousUsage: false
log:
  level: ERROR
providers:
  # The dynamic configuration is in the same file, which must have this name.
  file:
    filename: {file}
entryPoints:
"""

_DYNAMIC = """\
# The dynamic configuration: the routes, in the order of their priorities.
#
# Traefik cannot hash a part of a request. So two characters of the room, user, access token or
# origin choose a server among several; a request without them goes to any of them. A worker that
# fails its health check is replaced by the next one, then by the main process. Requests that meet
# a closed port are repeated about every second.
#
# What Traefik cannot do: repeat a request whose connection was lost, send an error as JSON, and
# limit the size of a request without buffering responses; Synapse limits it. It decodes letters
# that are percent-encoded in a path.
"""


def _matcher(name: str, *values: str) -> str:
    return f"{name}({', '.join(f'`{value}`' for value in values)})"


def _any(conditions: Sequence[str], operator: str = "||") -> str:
    joined = f" {operator} ".join(conditions)
    return joined if len(conditions) == 1 else f"({joined})"


def _paths_rule(paths: Sequence[Paths]) -> str:
    """Return the rule for the patterns of a route; those with the same methods are joined."""
    patterns: dict[tuple[str, ...], list[str]] = {}
    for one in paths:
        patterns.setdefault(one.methods, []).append(one.pattern)
    rules = []
    for methods, same in patterns.items():
        rule = _matcher("PathRegexp", "|".join(same))
        if methods:
            allowed = _any([_matcher("Method", method) for method in methods])
            rule = f"({rule} && {allowed})"
        rules.append(rule)
    return _any(rules)


def _rule(route: Route) -> str:
    """Return the rule for the requests of a route."""
    rule = _paths_rule(route.paths)
    if route.initial:
        initial = f"!{_matcher('QueryRegexp', route.initial, '.')}"
        return f"({rule} && ({initial} || {_matcher('Query', 'full_state', 'true')}))"
    return rule


def _token(before: str, after: str) -> str:
    """Return the condition that the access token has a pattern."""
    return _any(
        [
            _matcher(
                "HeaderRegexp", "Authorization", f"^Bearer +{before.removeprefix('^')}{after}"
            ),
            _matcher("QueryRegexp", "access_token", f"{before}{after}"),
        ]
    )


def _key_rule(by: str, pair: str) -> str:
    """Return the condition that the key of a request has a pair of characters.

    Args:
        by: what the key is, as in `Route.by`.
        pair: a regular expression for the pair; "" for any pair.
    """
    in_path, pair = pair or "[^/][^/]", pair or ".."
    if by == "origin":
        return _matcher("HeaderRegexp", "Authorization", ORIGIN_BEFORE + pair + ORIGIN_AFTER)
    whole = _token(".*", pair + TOKEN_AFTER)
    if by == "token":
        return whole
    localpart = _token(USER_BEFORE, pair + USER_AFTER)
    user = f"({localpart} || !{_token(USER_BEFORE, USER_AFTER)} && {whole})"
    if by == "user":
        return user
    room = _matcher("PathRegexp", ROOM_BEFORE + in_path)
    has_room = _matcher("PathRegexp", f"{ROOM_BEFORE}[^/][^/]")
    return f"({room} || !{has_room} && {user})"


@dataclass(frozen=True)
class _Router:
    """One router: a rule, and the order of the servers that get what it matches.

    Attributes:
        name: its name.
        rule: its rule.
        orders: the servers in the order in which they are tried; several such orders if the request
            may go to any of them.
    """

    name: str
    rule: str
    orders: tuple[tuple[Server, ...], ...]


def _orders(routing: Routing, route: Route) -> tuple[tuple[Server, ...], ...]:
    """Return the order in which the servers are tried, for each server that can be the first."""
    last = (routing.main,) if route.main else ()
    return tuple(
        ((*route.servers[first:], *route.servers[:first])[:_TRIED] + last)
        for first in range(len(route.servers))
    )


def _routers(routing: Routing) -> Iterator[_Router]:
    """Yield the routers in the order in which they must be tried.

    Neighbours with the same servers and keys are joined, under the name of the first.
    """
    for _, same in groupby(routing.routes, lambda route: (route.servers, route.by, route.main)):
        routes = tuple(same)
        route, rule = routes[0], _any([_rule(one) for one in routes])
        orders = _orders(routing, route)
        if len(orders) > 1:
            # The last server also gets the keys whose characters belong to no other one.
            for number, pair in enumerate((*pairs(len(orders))[:-1], ""), 1):
                key_rule = _key_rule(route.by, pair)
                yield _Router(
                    f"{route.name}-{number}", f"{rule} && {key_rule}", (orders[number - 1],)
                )
        yield _Router(route.name, rule, orders)
    yield _Router(MAIN, _matcher("PathPrefix", "/"), ((routing.main,),))


def _dynamic(routing: Routing, options: Options) -> str:
    services = Services()
    routers = tuple(_routers(routing))
    lines = ["http:", "  routers:"]
    for index, router in enumerate(routers):
        lines += [
            f"    {router.name}:",
            f"      priority: {len(routers) - index}",
            f"      rule: {quoted(router.rule)}",
            f"      service: {quoted(services.any(router.name, router.orders))}",
            "      middlewares: [synapse-hold]",
        ]
    lines.append("  services:")
    for name in sorted(services.texts):
        lines += [f"    {quoted(name)}:", services.texts[name]]
    # The pauses grow from one second to two.
    attempts = max(4, 1 + round(options.hold_seconds / 1.44))
    lines += [
        "  middlewares:",
        "    synapse-hold:",
        "      retry:",
        f"        attempts: {attempts}",
        "        initialInterval: 1s",
        "  serversTransports:",
    ]
    transports = [("synapse", False)]
    if any(server.tls for server in routing.servers):
        transports.append(("synapse-tls", True))
    for name, tls in transports:
        lines += [
            f"    {name}:",
            "      # No keep-alive: a POST on a connection that was just closed is not repeated.",
            "      maxIdleConnsPerHost: -1",
            "      forwardingTimeouts:",
            "        dialTimeout: 5s",
            "        responseHeaderTimeout: 600s",
        ]
        if tls:
            lines += [
                "      # Its certificate is for the homeserver, not for the host.",
                "      insecureSkipVerify: true",
                "      disableHTTP2: true",
            ]
    lines += [
        "tls:",
        "  stores:",
        "    default:",
        "      defaultCertificate:",
        f"        certFile: {quoted(options.certificate)}",
        f"        keyFile: {quoted(options.key)}",
    ]
    return _DYNAMIC + "\n".join([*lines, ""])


def _static(options: Options) -> str:
    address = f"[{options.address}]" if ":" in options.address else options.address
    lines = []
    for name, port in (
        ("synapse-client", options.client_port),
        ("synapse-federation", options.federation_port),
        ("synapse-plain", options.plain_port),
    ):
        if not port:
            continue
        lines += [
            f"  {name}:",
            f"    address: {quoted(f'{address}:{port}')}",
            "    transport:",
            "      respondingTimeouts:",
            "        readTimeout: 600s",
            "    http:",
            "      # Synapse gets the path as the client sent it.",
            "      sanitizePath: false",
        ]
        if name != "synapse-plain":
            lines.append("      tls: {}")
    return _STATIC.format(file=_FILE) + "\n".join([*lines, ""])


def configuration(routing: Routing, options: Options) -> str:
    """Return the configuration, or the part of it that ``options.include`` names.

    Raises:
        ValueError: if there is no such part.
    """
    if options.include not in ("", *PARTS):
        raise ValueError(f"{options.include!r} is not a part of a Traefik configuration")
    parts = {"static": _static(options), "dynamic": _dynamic(routing, options)}
    wanted = [options.include] if options.include else list(PARTS)
    return "\n".join([_HEADER, *(parts[part] for part in wanted)])


def problems(routing: Routing, options: Options) -> list[str]:
    """Return a line for each thing that Traefik cannot express."""
    sockets = [server.name for server in routing.servers if server.socket]
    if not sockets:
        return []
    return [
        f"SYNAPSE_UNIX_SOCKETS: Traefik cannot connect to Unix sockets, but {', '.join(sockets)} "
        "listen on them; unset it, or use another proxy"
    ]
