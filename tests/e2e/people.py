"""Users with clients, and helpers that wait for conditions and count requests."""

import os
import time
import urllib.error
from collections.abc import Callable
from typing import Any

import pytest

from testbed.homeserver import Homeserver

# From how many parents the processes are forked; 0 if each has a container of its own.
PARENTS = int(os.environ.get("PARENTS", "0"))
# The same for the second homeserver, where a test has two.
SECOND_PARENTS = int(os.environ.get("SECOND_PARENTS", PARENTS))
SECOND_PARENTS = int(os.environ.get("SECOND_PARENTS", PARENTS))
REQUESTS = "synapse_http_server_requests_received_total"


def until(ready: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Return once ``ready()`` is true; fail with ``what`` if it is not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)


def served(homeserver: Homeserver, name: str, servlet: str) -> float:
    """Return how many requests to ``servlet`` a process has received."""
    return homeserver.count(name, REQUESTS, servlet=servlet)


class Person:
    """A user with a client."""

    def __init__(self, homeserver: Homeserver, name: str) -> None:
        """Register on ``homeserver`` and log in there."""
        self.homeserver = homeserver
        self.id = homeserver.register(name, "wonderland")
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": name},
            "password": "wonderland",
        }
        answer = homeserver.call("POST", "/_matrix/client/v3/login", body)
        self.token: str = answer["access_token"]
        self.device: str = answer["device_id"]

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send a client API request as this user; return the response."""
        return self.homeserver.call(method, "/_matrix/client/v3/" + path, body, self.token)

    def call_again(
        self, method: str, path: str, body: object = None, seconds: float = 30
    ) -> dict[str, Any]:
        """Repeat a request until it succeeds, as clients do while a server recovers.

        Each process notices only through an error that its database connections are gone.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.call(method, path, body)
            except (urllib.error.URLError, OSError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def send(self, room: str, text: str) -> str:
        """Send a message; return its event ID."""
        path = f"rooms/{room}/send/m.room.message/{time.monotonic_ns()}"
        event: str = self.call("PUT", path, {"msgtype": "m.text", "body": text})["event_id"]
        return event

    def reads(self, room: str, text: str) -> bool:
        """Return whether a sync of this user has a message ``text`` in ``room``."""
        # Responses to identical requests are cached for a while, so vary the timeout.
        asked = f"sync?timeout={time.monotonic_ns() % 1000}"
        rooms = self.call("GET", asked).get("rooms", {}).get("join", {})
        events = rooms.get(room, {}).get("timeline", {}).get("events", [])
        return any(event["content"].get("body") == text for event in events)
