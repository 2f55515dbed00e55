"""Configures nginx, a cluster's reverse proxy, to route each path as in docs/workers.md."""

from collections.abc import Iterable

from worker.plan import PlannedWorker

_CONF = """\
daemon off;
worker_processes 1;
pid /state/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_max_body_size 50m;
    client_body_temp_path /state/body;
    proxy_temp_path /state/proxy;
    fastcgi_temp_path /state/fastcgi;
    uwsgi_temp_path /state/uwsgi;
    scgi_temp_path /state/scgi;
    proxy_http_version 1.1;
    proxy_read_timeout 600s;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_ssl_verify off;
    proxy_set_header Connection "";
{upstreams}
    server {{
        listen {address}:8008;
        listen {address}:8448 ssl;
        ssl_certificate /state/tls.crt;
        ssl_certificate_key /state/tls.key;
        add_header X-Served-By $upstream_addr always;
{locations}
    }}
}}
"""


def locations(workers: Iterable[PlannedWorker]) -> list[tuple[str, list[PlannedWorker]]]:
    """Return (pattern, workers that serve it), patterns of stream writers first.

    Several workers of one type share its paths.
    """
    found: dict[str, list[PlannedWorker]] = {}
    pairs = [(worker, worker_type) for worker in workers for worker_type in worker.process.types]
    for worker, worker_type in sorted(pairs, key=lambda pair: not pair[1].stream):
        for pattern in worker_type.routes:
            holders = found.setdefault(pattern, [])
            # Only a stream's own writers serve the stream's paths.
            if not holders or worker_type in holders[0].process.types:
                holders.append(worker)
    return list(found.items())


def configuration(
    address: str, main: str, workers: Iterable[PlannedWorker], *, sockets: bool = False
) -> str:
    """Return an nginx.conf for ``workers``; paths that no worker serves go to ``main``.

    Args:
        address: the address where nginx listens, on ports 8008 and 8448 (TLS).
        main: the main process's address.
        workers: the workers of the plan, each with its address as host.
        sockets: whether processes have Unix sockets in /sockets instead of port 8008.
    """

    def server(name: str, host: str, port: int) -> str:
        return f"unix:/sockets/{name}.client.sock" if sockets and port == 8008 else f"{host}:{port}"

    lines, upstreams = [], []
    for number, (pattern, holders) in enumerate(locations(workers)):
        tls = all("client" not in holder.process.resources for holder in holders)
        port, scheme = (8448, "https") if tls else (8008, "http")
        places = [server(holder.name, holder.host, port) for holder in holders]
        servers = " ".join(f"server {place};" for place in places)
        # All requests of a user go to the same worker, so that its caches are effective.
        upstreams.append(
            f"    upstream u{number} {{ hash $http_authorization$remote_addr consistent; "
            f"{servers} keepalive 8; }}"
        )
        lines.append(f'        location ~ "{pattern}" {{ proxy_pass {scheme}://u{number}; }}')
    upstreams.append(f"    upstream main {{ server {server('main', main, 8008)}; keepalive 8; }}")
    lines.append("        location / { proxy_pass http://main; }")
    return _CONF.format(address=address, locations="\n".join(lines), upstreams="\n".join(upstreams))
