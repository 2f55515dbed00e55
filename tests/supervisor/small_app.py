"""A small application that the parent can run in place of Synapse.

It answers ``/health`` on a Unix socket and serves metrics on a port, as Synapse does.

    small_app HEALTH_SOCKET METRICS_PORT WORD...

The words say what else it does: see ``_WORDS``.
"""

import http.server
import json
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

# As of an import: made in the parent.
GENERATOR = random.Random(7)
_flight: dict[str, int] = {}


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer with the metrics, which are as good as any other body for ``/health``."""
        name = "synapse_http_server_in_flight_requests_count"
        lines = [f'{name}{{method="GET",servlet="{key}"}} {n}.0' for key, n in _flight.items()]
        body = "\n".join([*lines, ""]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """Return nothing, since the peer of a Unix socket has no address."""
        return ""

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class _UnixServer(http.server.ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        """Bind the path."""
        self.socket.bind(self.server_address)


def _serve(server: http.server.HTTPServer) -> None:
    threading.Thread(target=server.serve_forever, daemon=True).start()


def _report() -> None:
    """Print what this process has, as one line of JSON."""
    descriptors = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            descriptors[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    handlers = {
        number.name: str(signal.getsignal(number))
        for number in signal.Signals
        if callable(signal.getsignal(number))
    }
    print(
        json.dumps(
            {
                "descriptors": descriptors,
                "handlers": handlers,
                "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
                "wakeup": signal.set_wakeup_fd(-1),
                "threads": len(os.listdir("/proc/self/task")),
                "numbers": [random.random(), GENERATOR.random()],
                "name": open("/proc/self/comm").read().strip(),
                "arguments": sys.argv,
                "oom": int(open("/proc/self/oom_score_adj").read()),
                "cpus": sorted(os.sched_getaffinity(0)),
                "path": sys.path,
                "notify": os.environ.get("NOTIFY_SOCKET", ""),
            }
        )
    )


def _die() -> None:
    print("the reason why")
    os._exit(3)


def _flood() -> None:
    for number in range(2000):
        sys.stdout.write(f"{number} {'x' * (number % 500)} end\n")


def _hold() -> None:
    _flight["SlowServlet"] = 1


def _ignore() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _part() -> None:
    os.write(1, b"no end of line")
    os._exit(4)


def _grandchild() -> None:
    """Leave a process behind whose parent has ended."""
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.3)
        os._exit(0)
    os.wait()


def _hup() -> None:
    signal.signal(signal.SIGHUP, lambda *_: print("hup"))


_WORDS: dict[str, Callable[[], None]] = {
    "die": _die,
    "flood": _flood,
    "grandchild": _grandchild,
    "hold": _hold,
    "hup": _hup,
    "ignore": _ignore,
    "part": _part,
    "report": _report,
}


def main() -> None:
    """Do what the words say, and serve until SIGTERM."""
    health, port, *words = sys.argv[1:]

    def end(*_: Any) -> None:
        print("ending")
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for word in words:
        _WORDS[word]()
    _serve(http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), _Handler))
    _serve(_UnixServer(health, _Handler))  # type: ignore[arg-type]
    while True:
        signal.pause()
