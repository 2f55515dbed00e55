"""A steady load of messages, and the proof that none of them was lost or stored twice."""

import threading
import time
import urllib.error
from typing import Any

from tests.e2e.people import Person, until


class Load:
    """Sends messages one after the other and records which ones the homeserver acknowledged.

    Attributes:
        acknowledged: the text of each message that got an event id, in order.
    """

    def __init__(self, person: Person, room: str) -> None:
        """Start sending."""
        self._person, self.room = person, room
        self.acknowledged: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            path = f"rooms/{self.room}/send/m.room.message/load{number}"
            body = {"msgtype": "m.text", "body": str(number)}
            # Like a client, repeat the same transaction until it is acknowledged.
            while not self._stop.is_set():
                try:
                    self._person.call("PUT", path, body)
                except (urllib.error.URLError, OSError):
                    time.sleep(0.1)
                    continue
                self.acknowledged.append(str(number))
                break

    def flows(self, more: int = 3, seconds: float = 90) -> float:
        """Wait until ``more`` messages are acknowledged; return how many seconds it took."""
        begin, target = time.monotonic(), len(self.acknowledged) + more
        until(lambda: len(self.acknowledged) >= target, "messages are acknowledged", seconds)
        return time.monotonic() - begin

    def end(self) -> None:
        """Stop sending."""
        self._stop.set()
        self._thread.join(120)
        assert not self._thread.is_alive()


def stored(person: Person, room: str) -> list[str]:
    """Return the text of every message in ``room``, oldest first."""
    texts: list[str] = []
    token = ""
    while True:
        start = f"&from={token}" if token else ""
        page: dict[str, Any] = person.call_again(
            "GET", f"rooms/{room}/messages?dir=f&limit=500{start}"
        )
        texts += [
            event["content"]["body"] for event in page["chunk"] if event["type"] == "m.room.message"
        ]
        if "end" not in page:
            return texts
        token = page["end"]


def account(load: Load, person: Person) -> None:
    """Assert that the acknowledged messages are stored exactly once and in order."""
    there = stored(person, load.room)
    acknowledged = set(load.acknowledged)
    # The last message may be stored but not acknowledged, if sending was stopped in between.
    assert [text for text in there if text in acknowledged] == load.acknowledged
    assert len(there) - len(load.acknowledged) in (0, 1)
