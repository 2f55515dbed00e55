"""Prepares a process for its stop: makes it unready, and waits for the requests in flight."""

import http.client
import re
import time

from supervisor.requests import in_flight
from worker.binding import is_dual_stack, local_address
from worker.errors import ConfigError, NotReadyError
from worker.files import write_text
from worker.health import reason_of
from worker.settings import DRAINING, Settings

MAX_DRAIN_SECONDS = 600
DEFAULT_DRAIN_SECONDS = 15
_PAUSE_SECONDS = 0.2
_QUIET_POLLS = 3  # Successive polls without a request in flight.
_REQUEST_SECONDS = 5


def _metrics(settings: Settings, seconds: float) -> str:
    address = local_address(settings.bind_addresses, dual_stack=is_dual_stack())
    port = settings.ports["metrics"]
    connection = http.client.HTTPConnection(address, port, timeout=seconds)
    try:
        connection.request("GET", "/_synapse/metrics")
        return connection.getresponse().read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise NotReadyError(
            [f"drain: the metrics at {address} port {port} do not answer: {reason_of(error)}"]
        ) from None
    finally:
        connection.close()


def drain(settings: Settings, seconds: float) -> None:
    """Make ``healthcheck --ready`` fail, and return once no request is in flight.

    Args:
        settings: the settings of the process in this container.
        seconds: how long to wait at most.

    Raises:
        NotReadyError: if requests are still in flight then, or if Synapse does not answer.
    """
    deadline = time.monotonic() + seconds
    write_text(settings.runtime_dir / DRAINING, "")
    quiet_polls = 0
    while True:
        left = deadline - time.monotonic()
        servlets = in_flight(_metrics(settings, max(0.1, min(left, _REQUEST_SECONDS))))
        quiet_polls = 0 if servlets else quiet_polls + 1
        if quiet_polls >= _QUIET_POLLS:
            return
        if time.monotonic() + _PAUSE_SECONDS > deadline:
            raise NotReadyError(
                [
                    f"drain: after {seconds:g} s, requests are still in flight: "
                    f"{', '.join(servlets) or 'new ones'}; take the process out of the proxy first"
                ]
            )
        time.sleep(_PAUSE_SECONDS)


def drain_seconds(text: str | None) -> int:
    """Return the argument of the verb ``drain`` in seconds.

    Raises:
        ConfigError: if it is not a number in the range.
    """
    if text is None:
        return DEFAULT_DRAIN_SECONDS
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) <= MAX_DRAIN_SECONDS:
        raise ConfigError(
            [
                f"drain {text[:40]!r} is not a number of seconds from 1 to {MAX_DRAIN_SECONDS}; "
                "use one, for example 15"
            ]
        )
    return int(text)
