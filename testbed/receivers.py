"""Servers that act as a push gateway or application service and record what they receive."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Receiver:
    """Records every JSON document that is sent to it.

    Attributes:
        url: the URL at which it listens.
        received: (path, document) of each request, in the order of arrival.
    """

    def __init__(self, url: str) -> None:
        """Create a receiver that has received nothing."""
        self.url = url
        self.received: list[tuple[str, dict[str, Any]]] = []


@contextmanager
def receiver(address: str) -> Iterator[Receiver]:
    """Yield a receiver that listens at ``address`` on any free port."""
    found: Receiver

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found.received.append((self.path, json.loads(body or b"{}")))
            answer = b'{"rejected": []}' if "/push/" in self.path else b"{}"
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_PUT = do_GET = _take

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing, because tests read what was received from the receiver."""

    with ThreadingHTTPServer((address, 0), Handler) as server:
        found = Receiver(f"http://{address}:{server.server_port}")
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield found
        finally:
            server.shutdown()
