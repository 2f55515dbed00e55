"""Checks whether this container's Synapse answers; imports little, since it runs often."""

import http.client
import socket
from collections.abc import Mapping

from worker.asking import Probe
from worker.binding import is_dual_stack, local_address
from worker.settings import Settings


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a Unix socket."""

    def __init__(self, path: str) -> None:
        """Prepare a connection to the socket ``path``."""
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def status_of(
    connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str] = {}
) -> int:
    """Send a GET request for ``path``; return the status code of the response."""
    try:
        connection.request("GET", path, headers=dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


def reason_of(error: Exception) -> str:
    """Return the reason why a probe failed, on one line."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def health_probe(settings: Settings) -> Probe:
    """Return the probe of the health port of this container's Synapse."""
    own_address = local_address(settings.bind_addresses, dual_stack=is_dual_stack())
    port = settings.ports["health"]
    name = f"{settings.process.app} at {own_address} port {port}"

    def ask() -> str:
        try:
            status = status_of(http.client.HTTPConnection(own_address, port), "/health")
        except (OSError, http.client.HTTPException) as error:
            return f"{name} does not answer: {reason_of(error)}"
        return "" if status == http.client.OK else f"{name} answers /health with {status}"

    return Probe(name, ask)
