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


def drain(settings: Settings, seconds: float, delay: float = 0) -> None:
    """Make ``healthcheck --ready`` fail, and return once no request is in flight.

    Args:
        settings: the settings of the process in this container.
        seconds: how long to wait at most.
        delay: how long to wait before that, in seconds, so that proxies send no new requests.

    Raises:
        NotReadyError: if requests are still in flight then, or if Synapse does not answer.
    """
    write_text(settings.runtime_dir / DRAINING, "")
    time.sleep(delay)
    deadline = time.monotonic() + seconds
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
    return DEFAULT_DRAIN_SECONDS if text is None else _seconds("drain ", text, 1)


def delay_seconds(text: str | None) -> int:
    """Return the option ``--delay`` of the verb ``drain`` in seconds.

    Raises:
        ConfigError: if it is not a number in the range.
    """
    return 0 if text is None else _seconds("drain: --delay=", text, 0)


def _seconds(words: str, text: str, least: int) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not least <= int(text) <= MAX_DRAIN_SECONDS:
        raise ConfigError(
            [
                f"{words}{text[:40]!r} is not a number of seconds from {least} to "
                f"{MAX_DRAIN_SECONDS}; use one, for example {DEFAULT_DRAIN_SECONDS}"
            ]
        )
    return int(text)
