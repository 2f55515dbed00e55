"""Clients that send requests all the time, while something happens to the processes."""

import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Callable


class Client:
    """Sends requests of one kind, one after the other, and counts what comes back.

    Attributes:
        kind: what it does.
        answered: the number of requests that succeeded.
        failures: the errors that it got.
        slowest: the longest time that a request took, in seconds.
    """

    def __init__(self, kind: str, request: Callable[[int], object]) -> None:
        """Start sending; ``request`` gets the number of the request."""
        self.kind = kind
        self.answered, self.slowest = 0, 0.0
        self.failures: list[str] = []
        self._request = request
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(0.2):
            number += 1
            begin = time.monotonic()
            try:
                self._request(number)
                self.answered += 1
            except urllib.error.HTTPError as error:
                self.failures.append(f"HTTP {error.code} {error.read()[:200]!r}")
            except (urllib.error.URLError, OSError) as error:
                self.failures.append(repr(error))
            self.slowest = max(self.slowest, time.monotonic() - begin)

    def end(self) -> None:
        """Stop sending."""
        self._stop.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), self.kind


def check(clients: list[Client]) -> None:
    """Assert that no client saw an error, and that each got answers."""
    for client in clients:
        client.end()
    failures = {
        client.kind: Counter(client.failures).most_common(3)
        for client in clients
        if client.failures
    }
    assert failures == {}
    assert [client.kind for client in clients if not client.answered] == []
