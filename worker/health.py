"""Whether this container's own Synapse answers; loads little, since engines ask it all the time."""

import http.client
from collections.abc import Mapping

from worker.asking import Probe
from worker.binding import local_address, takes_both
from worker.settings import Settings


def status_of(
    connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str] = {}
) -> int:
    """Return the status that a GET of ``path`` is answered with."""
    try:
        connection.request("GET", path, headers=dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


def reason_of(error: Exception) -> str:
    """Return why a question failed, on one line."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def itself(settings: Settings) -> Probe:
    """Return the probe of this container's Synapse, at its health port."""
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
