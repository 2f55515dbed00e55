"""The routes of a plan as a configuration of nginx, 1.25.1 or newer.

It needs no extra modules, except njs if a script shall find the users of access tokens.

nginx has no delayed retry and no spare server beside a hash, so both are made of what it has:

- The server of a request is a variable. If it cannot be reached, ``error_page`` passes the request
  on to a named location with the next one.
- A request for a process that is being restarted goes to a second server of the same nginx, which
  waits between its attempts. It waits by sending itself a request whose body never arrives, until
  ``proxy_read_timeout`` ends that. nginx permits ten internal redirects for each request, so
  after four attempts it passes the request to itself once more.
"""

from collections.abc import Iterable, Iterator

from deploy import nginx_users
from deploy.nginx_maps import Names, quoted, repeat_maps, request_part, route_map, server_maps
from deploy.options import Options, bracketed
from deploy.routing import Routing

# What `Options.include` can name: the part for the ``http`` block, that for a ``server`` block, and
# the script that finds the users of access tokens.
PARTS = ("http", "server", "script")
_LOAD_MODULE = "load_module modules/ngx_http_js_module.so;"
_ATTEMPTS = 4  # In each round, which is one request of nginx to itself.
_MAX_ROUNDS = 8  # Each of them is held open by the one before.
# nginx inherits these only into blocks that set no header of their own.
_FORWARDED_AGAIN = (
    'proxy_set_header Connection "";',
    "proxy_set_header X-Forwarded-For $http_x_forwarded_for;",
    "proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto;",
)
_ERROR = '{"errcode": "M_UNKNOWN", "error": "This part of the homeserver is not available"}'


def problems(routing: Routing, options: Options) -> list[str]:
    """Return a line for each thing that nginx cannot express: nothing so far."""
    del routing, options
    return []


def configuration(routing: Routing, options: Options) -> str:
    """Return an nginx.conf, or the part of it that ``options.include`` names."""
    if options.include == "script":
        return nginx_users.script(options)
    http = _http_part(routing, options)
    server = _server_part(routing, options)
    if options.include == "http":
        note = "# For the http block of nginx.conf."
        if options.script:
            note += f" Above that block, add: {_LOAD_MODULE}"
        return "\n".join([note, *http, ""])
    if options.include == "server":
        return "\n".join(["# For the server block, in addition to the http part.", *server, ""])
    lines = [
        "# nginx.conf for the processes of a Synapse homeserver; run it in a container.",
        *([_LOAD_MODULE] if options.script else []),
        "worker_processes auto;",
        "pid /tmp/nginx.pid;",
        "error_log stderr warn;",
        "worker_rlimit_nofile 8192;",
        "events { worker_connections 4096; }",
        "http {",
        *_indented(_program_part()),
        *_indented(http),
        "    server {",
        *_indented(_indented(_listen_part(options))),
        *_indented(_indented(server)),
        "    }",
        "}",
        "",
    ]
    return "\n".join(lines)


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]


def _program_part() -> list[str]:
    folders = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return [
        "# nginx writes only to /tmp, so that its root file system can be read-only.",
        *[f"{name}_temp_path /tmp/nginx-{name};" for name in folders],
        "server_tokens off;",
        "# Without the query, which can contain an access token.",
        "log_format synapse '$remote_addr [$time_iso8601] \"$request_method $synapse_path\" '",
        "    '$status $body_bytes_sent $request_time $synapse_route $upstream_addr';",
        "access_log /dev/stdout synapse;",
        "",
    ]


def _listen_part(options: Options) -> Iterator[str]:
    addresses = ("", "[::]:") if not options.address else (f"{bracketed(options.address)}:",)
    ports = [(options.client_port, " ssl"), (options.federation_port, " ssl")]
    if options.plain_port:
        ports.append((options.plain_port, ""))
    for port, ssl in ports:
        for address in addresses:
            yield f"listen {address}{port}{ssl};"
    yield "http2 on;"
    yield f"ssl_certificate {quoted(options.certificate)};"
    yield f"ssl_certificate_key {quoted(options.key)};"
    yield "ssl_protocols TLSv1.2 TLSv1.3;"
    yield "ssl_session_cache shared:synapse:10m;"


def _http_part(routing: Routing, options: Options) -> list[str]:
    names = Names(routing.servers)
    finds_users = nginx_users.needed(routing, options)
    return [
        "# Host names are resolved again after 5 s, since the address of a container can change.",
        f"resolver {bracketed(options.resolver)} valid=5s;",
        *request_part(finds_users=finds_users),
        "# The route of a request; the first pattern that matches decides.",
        *route_map(routing.routes),
        "# The processes.",
        *names.upstreams(),
        "# The servers that are tried for each route: one chosen by the key, then the next",
        "# one or the main process, and then the last of these again until it is back.",
        *server_maps(routing, names),
        *repeat_maps(routing.routes),
        *_hold_part(routing, options),
        *(nginx_users.http_part(options, names.url(routing.main)) if finds_users else []),
    ]


# The locations.


def _proxy_part(options: Options) -> list[str]:
    return [
        f"client_max_body_size {options.max_body_mib}m;",
        "client_body_buffer_size 64k;",
        "proxy_http_version 1.1;",
        "proxy_connect_timeout 5s;",
        "proxy_read_timeout 600s;",
        "proxy_send_timeout 600s;",
        "proxy_max_temp_file_size 0;",
        "recursive_error_pages on;",
    ]


def _attempt(name: str, url: str, on_failure: str) -> list[str]:
    """Return a location that sends the request to ``url``, and to ``on_failure`` if that fails."""
    return _location(name, url, on_failure, _unless("$synapse_again = n", 502))


def _first_attempt(routing: Routing, options: Options, url: str, on_failure: str) -> list[str]:
    """Return the location of all requests, and the one that finds their users, if any."""
    finds_users = nginx_users.needed(routing, options)
    return [
        *(nginx_users.server_part() if finds_users else []),
        *_location("/", url, on_failure, nginx_users.location_part() if finds_users else []),
    ]


def _location(name: str, url: str, on_failure: str, before: Iterable[str] = ()) -> list[str]:
    return [
        f"location {name} {{",
        *_indented(before),
        f"    proxy_pass {url};",
        f"    error_page 502 504 = {on_failure};",
        "}",
    ]


def _unless(condition: str, status: int) -> list[str]:
    """Return directives that answer with an error if ``condition`` holds."""
    return [
        "default_type application/json;",
        "add_header Access-Control-Allow-Origin * always;",
        f"if ({condition}) {{ return {status} '{_ERROR}'; }}",
    ]


def _failed() -> list[str]:
    return [
        "location @synapse_failed {",
        "    default_type application/json;",
        "    add_header Access-Control-Allow-Origin * always;",
        "    add_header Retry-After 5 always;",
        f"    return 503 '{_ERROR}';",
        "}",
    ]


def _server_part(routing: Routing, options: Options) -> list[str]:
    return [
        *_proxy_part(options),
        "proxy_set_header Host $host;",
        'proxy_set_header Connection "";',
        "# Replaces the client's header: only the address of the connection is trustworthy.",
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "proxy_set_header X-Forwarded-Proto $scheme;",
        'proxy_set_header X-Synapse-Round "";',
        *_first_attempt(routing, options, "$synapse_first", "@synapse_second"),
        *_attempt("@synapse_second", "$synapse_second", "@synapse_hold"),
        *_attempt("@synapse_hold", "http://synapse_hold", "@synapse_failed"),
        *_failed(),
    ]


def _pause(options: Options) -> int:
    """Return the time between two attempts, in seconds."""
    return max(1, -(-options.hold_seconds // (_ATTEMPTS * _MAX_ROUNDS)))


def _hold_part(routing: Routing, options: Options) -> list[str]:
    """Return the server that waits until a process is back, and the one that it waits with."""
    address = options.own_address
    pause = _pause(options)
    rounds = max(1, options.hold_seconds // (pause * _ATTEMPTS))
    lines = [
        f"# Holds requests for about {rounds * pause * _ATTEMPTS} s while a process restarts.",
        f"upstream synapse_hold {{ server {address}; keepalive 32; }}",
        "# A dot for each round of attempts so far.",
        "map $http_x_synapse_round $synapse_last_round {",
        "    default n;",
        f'    "~^[.]{{{rounds - 1},}}$" y;' if rounds > 1 else "    '' y;",
        "}",
        "server {",
        f"    listen {address} default_server;",
        "    access_log off;",
        *_indented(_proxy_part(options)),
        "    proxy_set_header Host $host;",
        *_indented(_FORWARDED_AGAIN),
        '    proxy_set_header X-Synapse-Round "";',
        *_indented(_first_attempt(routing, options, "$synapse_last", "@synapse_wait_1")),
    ]
    for number in range(1, _ATTEMPTS + 1):
        attempt = f"@synapse_try_{number + 1}" if number < _ATTEMPTS else "@synapse_round"
        lines += [
            f"    location @synapse_wait_{number} {{",
            *_indented(_indented(_unless("$synapse_again = n", 502))),
            *_indented(_indented(_waiting(pause, attempt))),
            "    }",
        ]
        if number < _ATTEMPTS:
            wait = f"@synapse_wait_{number + 1}"
            lines += _indented(_location(attempt, "$synapse_last", wait))
    return [
        *lines,
        "    location @synapse_round {",
        *_indented(_indented(_unless("$synapse_last_round = y", 503))),
        "        proxy_pass http://synapse_hold;",
        "        proxy_set_header Host $host;",
        *_indented(_indented(_FORWARDED_AGAIN)),
        '        proxy_set_header X-Synapse-Round "$http_x_synapse_round.";',
        "    }",
        "}",
        "# Receives the requests whose body never arrives.",
        "server {",
        f"    listen {address};",
        "    server_name wait.invalid;",
        "    access_log off;",
        "    client_body_timeout 600s;",
        "    location / { proxy_pass http://synapse_hold; }",
        "}",
    ]


def _waiting(seconds: int, then: str) -> list[str]:
    """Return directives that wait for some seconds, and continue at the location ``then``."""
    return [
        "proxy_pass http://synapse_hold;",
        "proxy_method POST;",
        "proxy_pass_request_body off;",
        "proxy_set_header Host wait.invalid;",
        "proxy_set_header Content-Length 1;",
        *_FORWARDED_AGAIN,
        'proxy_set_header X-Synapse-Round "";',
        f"proxy_read_timeout {seconds}s;",
        f"error_page 502 504 = {then};",
    ]
