"""Checks whether this container's Synapse answers; imports little, since it runs often."""

import http.client
from collections.abc import Mapping

from worker.asking import Probe
from worker.binding import local_address, takes_both
from worker.settings import Settings


def status_of(
    connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str] = {}
) -> int:
    """Return the status code of the response to a GET of ``path``."""
    try:
        connection.request("GET", path, headers=dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


def reason_of(error: Exception) -> str:
    """Return the reason why a probe failed, on one line."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def itself(settings: Settings) -> Probe:
    """Return the probe of the health port of this container's Synapse."""
    local = local_address(settings.bind_addresses, both=takes_both())
    port = settings.ports["health"]
    name = f"{settings.worker.app} at {local} port {port}"

    def ask() -> str:
        try:
            status = status_of(http.client.HTTPConnection(local, port), "/health")
        except (OSError, http.client.HTTPException) as error:
            return f"{name} does not answer: {reason_of(error)}"
        return "" if status == http.client.OK else f"{name} answers /health with {status}"

    return Probe(name, ask)
