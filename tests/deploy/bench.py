"""Measures the reverse proxies: the latency that each adds, and what large plans cost.

./bazelw run //tests/deploy:bench
"""

import http.client
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from deploy.formats import PROXIES, routes_text
from deploy.routing import Routing
from sandbox.bwrap import read_only
from testbed.site import make_data
from tests.deploy import proxies
from tests.deploy.asking import Client, bearer
from tests.deploy.local_plans import plan
from tests.deploy.recorder import Recorder
from worker.routes import plan_routing

_REQUESTS = 2000
_WARM_UP = 200
_PATH = "/_matrix/client/v3/sync?since=s1"
_TYPING = "/_matrix/client/v3/rooms/!a/typing/@a:x.test"
_MAIN = "127.0.101.1"
_TOKEN = "syt_YWxpY2U_abcdefghijklmnopqrst_0aBcDe"
_OPAQUE = "mat_abcdefghijklmnopqrstuvwxyz_0aBcDe"  # As of Matrix Authentication Service.


def latencies(host: str, port: int, token: str = _TOKEN) -> list[float]:
    """Return the times of requests on one connection in milliseconds, sorted."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    times = []
    for number in range(_WARM_UP + _REQUESTS):
        begin = time.perf_counter()
        connection.request("GET", _PATH, headers=bearer(token))
        connection.getresponse().read()
        if number >= _WARM_UP:
            times.append((time.perf_counter() - begin) * 1000)
    connection.close()
    return sorted(times)


def line(name: str, times: list[float], direct: list[float]) -> str:
    """Return the median and the 99th percentile, and how much they are above direct requests."""
    median, high = times[len(times) // 2], times[len(times) * 99 // 100]
    added = median - direct[len(direct) // 2], high - direct[len(direct) * 99 // 100]
    return (
        f"{name:18} p50 {median:6.2f} ms  p99 {high:6.2f} ms  "
        f"added {added[0]:+6.2f} and {added[1]:+6.2f} ms"
    )


def started(name: str, routing: Routing, folder: Path, services: Path, tls: Path) -> float:
    """Return how many seconds a proxy takes from its start until it routes a request."""
    begin = time.monotonic()
    process = proxies.start(name, services, folder, tls, routing)
    seconds = time.monotonic() - begin
    process.stop()
    return seconds


def main() -> int:
    """Print the figures; return 0."""
    services = Path(os.environ["SERVICES"]).resolve().parent / "root"
    with tempfile.TemporaryDirectory(prefix="bench.") as text:
        folder = Path(text)
        tls = make_data(folder / "tls", "")
        number = 0

        def new() -> Path:
            nonlocal number
            number += 1
            made = folder / str(number)
            made.mkdir()
            return made

        _latency(new, services, tls)
        _sizes(new, services, tls)
    return 0


def _latency(new: Callable[[], Path], services: Path, tls: Path) -> None:
    routing = plan("shards")
    with Recorder(routing, tls) as recorder:
        recorder.users[_OPAQUE] = "@alice:x.test"
        server = next(route for route in routing.routes if route.name == "sync").servers[0]
        direct = latencies(server.host, server.port)
        print(f"{_REQUESTS} requests of one client on one connection")
        print(line("direct", direct, direct))
        for name in PROXIES:
            process = proxies.start(name, services, new(), tls, routing)
            try:
                print(line(name, latencies(proxies.ADDRESS, proxies.PLAIN_PORT), direct))
            finally:
                process.stop()
        options = replace(proxies.OPTIONS, script="/state/users")
        for name in ("nginx", "haproxy"):
            process = proxies.start(name, services, new(), tls, routing, options=options)
            try:
                for token, title in ((_TOKEN, "script"), (_OPAQUE, "looked up")):
                    times = latencies(proxies.ADDRESS, proxies.PLAIN_PORT, token)
                    print(line(f"{name}, {title}", times, direct))
            finally:
                process.stop()


def reloaded(name: str, workers: str, folder: Path, services: Path, tls: Path) -> float:
    """Return how many seconds a proxy takes from the request to reload until a new route holds."""
    before, after = (
        plan_routing({"SYNAPSE_REPLICATION_HOST": _MAIN}, text)
        for text in (workers, f"{workers},typing@127.0.102.1")
    )
    # The folder is mounted, since Traefik cannot notice the change of a single mounted file.
    mounts = [read_only(folder / "state", "/etc/traefik")] if name == "traefik" else []
    with Recorder(after, tls):
        process = proxies.start(name, services, folder, tls, before, mounts=mounts)
        try:
            begin = time.monotonic()
            proxies.reload(name, process, folder, after)
            while _answering() != "typing":
                time.sleep(0.005)
            return time.monotonic() - begin
        finally:
            process.stop()


def _answering() -> str:
    """Return the name of the server that answers on a new connection."""
    with Client() as client:
        return client.ask("PUT", _TYPING, bearer(_TOKEN)).name


def _sizes(new: Callable[[], Path], services: Path, tls: Path) -> None:
    for count in (1, 100, 499):  # A plan has at most 500 workers, and one more is added.
        workers = ",".join(
            f"w{number}=generic_worker@127.0.{103 + number // 250}.{number % 250 + 1}"
            for number in range(count)
        )
        routing = plan_routing({"SYNAPSE_REPLICATION_HOST": _MAIN}, workers)
        print(f"{count} generic workers")
        reloads = {name: reloaded(name, workers, new(), services, tls) for name in PROXIES}
        with Recorder(routing, tls):
            for name in PROXIES:
                begin = time.perf_counter()
                size = len(routes_text(name, routing, proxies.OPTIONS)[0])
                written = time.perf_counter() - begin
                seconds = started(name, routing, new(), services, tls)
                print(
                    f"{name:10} {size / 1000:8.0f} kB written in {written:5.2f} s, "
                    f"routes {seconds:5.2f} s after its start, and has new routes "
                    f"{reloads[name]:5.2f} s after they were given to it"
                )


if __name__ == "__main__":
    sys.exit(main())
