"""The routes of a plan as a configuration of HAProxy 2.6 or newer; 3.0 if there are replicas.

The rules are from HAProxy's configuration manual: "retries", "retry-on", "option redispatch",
"balance hash", "hash-key", "observe", "resolvers" and "server-template".
"""

from collections.abc import Iterable, Iterator

from deploy import haproxy_users
from deploy.haproxy_backends import backends
from deploy.haproxy_keys import word
from deploy.options import Options
from deploy.routing import Route, Routing

# The rules of a frontend that choose a backend, the sections with the backends, and the script that
# finds the users of access tokens.
PARTS = ("frontend", "backends", "script")

# A request is repeated only if it fits into one buffer; an event has at most 64 KiB.
_BUFFER_BYTES = 80 * 1024
_FILES = 65536  # Open files, two for each request; some systems allow a thousand million.
_CHECK = (
    "check inter 5s fastinter 1s downinter 1s fall 1 rise 1 "
    "observe layer4 error-limit 1 on-error mark-down"
)
_SEARCH_NOTE = (
    "Names are looked up again about every two seconds. HAProxy does not use the search domains",
    "of resolv.conf for this, so where names depend on them (Kubernetes), the plan must contain",
    "complete names. A server whose name is not found keeps its last address for a day.",
)
_BACKEND_NOTES = (
    "Each server is checked, and marked down at the first failed connection. If no server is up,",
    "requests go to the server :wait, where nothing listens: HAProxy then waits for a second and",
    "chooses a server again, until it has used up its retries. Without it, HAProxy would answer",
    "503 at once, or use up all retries at once if the server has a Unix socket.",
)


def problems(routing: Routing, options: Options) -> list[str]:
    """Return a line for each part of the routes that HAProxy cannot express; there are none."""
    return []


def configuration(routing: Routing, options: Options) -> str:
    """Return the configuration, or the part of it that ``options.include`` names.

    Args:
        routing: the routes.
        options: the administrator's choices; ``include`` is one of ``PARTS``, or "".
    """
    if options.include == "script":
        return haproxy_users.script(options)
    if options.include == "frontend":
        sections = [_frontend_part(routing, options)]
    elif options.include == "backends":
        sections = [_backends_note(options), *_shared(routing), *backends(routing, options)]
    else:
        sections = [
            _global(options),
            *_shared(routing),
            _frontend(routing, options),
            *backends(routing, options),
        ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _error(code: str, message: str) -> str:
    """Return the arguments of a response with an error that Matrix clients can read."""
    body = f'{{"errcode": "{code}", "error": "{message}"}}'
    return (
        "content-type application/json hdr Access-Control-Allow-Origin '*' "
        f"hdr Cache-Control no-store string {word(body)}"
    )


def _comments(lines: Iterable[str], indent: str = "") -> list[str]:
    return [f"{indent}# {line}" for line in lines]


def _pair(options: Options) -> tuple[str, list[str], list[str]]:
    """Return how HAProxy finds certificate and key: a bind argument, global settings, a section."""
    certificate, key = options.certificate, options.key
    if not options.client_port and not options.federation_port:
        return "", [], []
    if key in (certificate, f"{certificate}.key"):
        return f"crt {word(certificate)}", [], []
    if certificate.endswith(".crt") and key == certificate.removesuffix(".crt") + ".key":
        settings = _comments(["The key of NAME.crt is in NAME.key."], "    ")
        return f"crt {word(certificate)}", [*settings, "    ssl-load-extra-del-ext"], []
    section = [
        "# This section needs HAProxy 3.0. Older versions find the key of NAME.crt in NAME.key.",
        "crt-store synapse",
        f"    load crt {word(certificate)} key {word(key)} alias homeserver",
    ]
    return "crt @synapse/homeserver", [], section


def _global(options: Options) -> list[str]:
    _, settings, section = _pair(options)
    return [
        "# If HAProxy is started as root, add: user haproxy, group haproxy.",
        "global",
        "    log stdout format raw local0 info",
        f"    fd-hard-limit {_FILES}",
        "    # Only requests that fit into a buffer can be sent to another server.",
        f"    tune.bufsize {_BUFFER_BYTES}",
        "    ssl-default-bind-options ssl-min-ver TLSv1.2",
        *settings,
        *([f"    {haproxy_users.setting(options)}"] if options.script else []),
        *(["", *section] if section else []),
    ]


def _backends_note(options: Options) -> list[str]:
    script = f"Add to it, too: {haproxy_users.setting(options)}."
    return _comments(
        [
            "Load this file after the others, for example: haproxy -f haproxy.cfg -f synapse.cfg.",
            f"Add to the section global: tune.bufsize {_BUFFER_BYTES}. Only requests that fit into",
            "a buffer can be sent to another server.",
            *([script] if options.script else []),
        ]
    )


def _shared(routing: Routing) -> Iterator[list[str]]:
    """Yield the sections that the frontend and the backends share."""
    names = any(server.has_name for server in routing.servers)
    if names:
        yield [
            *_comments(_SEARCH_NOTE),
            "resolvers synapse",
            "    parse-resolv-conf",
            "    accepted_payload_size 8192",
            "    timeout resolve 2s",
            "    timeout retry 1s",
            "    hold valid 2s",
            *(f"    hold {state} 1d" for state in ("nx", "refused", "timeout", "other")),
        ]
    unreachable = _error("M_UNKNOWN", "The homeserver cannot be reached at the moment")
    yield [
        "defaults synapse_defaults",
        "    mode http",
        "    log global",
        "    # Logs the path without the query, which may contain an access token.",
        "    log-format '%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %tsc %rc %HM %HPO'",
        "    option dontlognull",
        "    timeout connect 5s",
        "    timeout client 10m",
        "    timeout server 10m",
        "    timeout http-request 1m",
        "    timeout http-keep-alive 1m",
        "    timeout client-fin 30s",
        "    # A request on an idle connection is lost if the server is just closing it.",
        "    option http-server-close",
        "    option abortonclose",
        "    # HAProxy can repeat only requests that it has received completely.",
        "    option http-buffer-request",
        "    option redispatch 1",
        "    retry-on conn-failure empty-response",
        *_comments(_BACKEND_NOTES, "    "),
        f"    default-server {_CHECK}{' resolvers synapse init-addr libc,none' if names else ''}",
        *(f"    http-error status {status} {unreachable}" for status in (500, 502, 503, 504)),
    ]


def _frontend(routing: Routing, options: Options) -> list[str]:
    certificate, _, _ = _pair(options)
    tls = f" ssl {certificate} alpn h2,http/1.1"
    binds: dict[str, str] = {}
    for port, arguments in (
        (options.client_port, tls),
        (options.federation_port, tls),
        (options.plain_port, ""),
    ):
        for address in _binds(options.address):
            if port:
                binds.setdefault(f"{address}:{port}", arguments)
    return [
        "frontend synapse from synapse_defaults",
        *(
            f"    bind {address}{' v6only' if address.startswith(':::') else ''}{arguments}"
            for address, arguments in binds.items()
        ),
        "    # The backends wait for the body, after its declared length has been checked here.",
        "    no option http-buffer-request",
        *_rules(routing, options),
    ]


def _binds(address: str) -> tuple[str, ...]:
    if address:
        return (f"[{address}]" if ":" in address else address,)
    return ("", "::")  # On a common socket, IPv4 clients would have addresses like ::ffff:1.2.3.4.


def _frontend_part(routing: Routing, options: Options) -> list[str]:
    return [
        "# For a frontend section with: mode http. It does not need option http-buffer-request.",
        *_rules(routing, options),
    ]


def _rules(routing: Routing, options: Options) -> Iterator[str]:
    """Yield the lines of a frontend that choose the backend of a request."""
    too_large = _error("M_TOO_LARGE", f"The request has more than {options.max_body_mib} MiB")
    yield "    # Synapse limits bodies whose length is not declared."
    yield (
        f"    http-request return status 413 {too_large} "
        f"if {{ req.body_size gt {options.max_body_mib * 1024 * 1024} }}"
    )
    yield "    # Forwarding headers from clients are never passed on."
    for name in ("Forwarded", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP"):
        yield f"    http-request del-header {name}"
    yield from _forwarded(options)
    yield ""
    yield "    # The first route that matches gets the request."
    for parameter in sorted({route.initial for route in routing.routes if route.initial}):
        yield f"    acl synapse_has_{parameter} query -m reg {word(f'(?:^|&){parameter}=[^&]')}"
    if any(route.initial for route in routing.routes):
        yield "    acl synapse_full_state query -m reg '(?:^|&)full_state=true(?:&|$)'"
    for route in routing.routes:
        yield from _choice(route)
    yield "    default_backend synapse_main"


def _forwarded(options: Options) -> Iterator[str]:
    """Yield the lines of a frontend that set X-Forwarded-For and X-Forwarded-Proto."""
    if options.trusts_peer:
        yield "    # Only the last address is from the proxy in front of this one."
        yield "    http-request set-var(txn.client) req.hdr_ip(X-Forwarded-For,-1)"
        yield "    http-request set-var(txn.client) src if !{ var(txn.client) -m found }"
        yield "    http-request set-header X-Forwarded-For %[var(txn.client)]"
        is_known = "{ req.hdr(X-Forwarded-Proto) -m str http https }"
        yield f"    http-request set-header X-Forwarded-Proto https if !{is_known}"
    else:
        yield "    http-request set-header X-Forwarded-For %[src]"
        yield "    http-request set-header X-Forwarded-Proto https if { ssl_fc }"
        yield "    http-request set-header X-Forwarded-Proto http if !{ ssl_fc }"


def _choice(route: Route) -> Iterator[str]:
    """Yield the lines that send the requests of a route to its backend."""
    patterns: dict[tuple[str, ...], list[str]] = {}
    for paths in route.paths:
        patterns.setdefault(paths.methods, []).append(paths.pattern)
    for number, (methods, group) in enumerate(patterns.items(), 1):
        acl = f"synapse_{route.name}" + (f"_{number}" if len(patterns) > 1 else "")
        for pattern in group:
            yield f"    acl {acl} path -m reg {word(pattern)}"
        condition = f"{acl} {{ method {' '.join(methods)} }}" if methods else acl
        use = f"    use_backend synapse_{route.name} if {condition}"
        if route.initial:
            yield f"{use} !synapse_has_{route.initial}"
            yield f"{use} synapse_full_state"
        else:
            yield use
