"""Users who send messages, sync and read rooms, as the load of benchmarks."""

import itertools
import sys
import threading
import urllib.error
from collections.abc import Iterator

from testbed.homeserver import Homeserver

_PASSWORD = "for this measurement only"
_PAUSE_SECONDS = 0.2  # Between two requests of a user.


def _log_in(homeserver: Homeserver, name: str) -> str:
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": homeserver.register(name, _PASSWORD)},
        "password": _PASSWORD,
    }
    token: str = homeserver.call("POST", "/_matrix/client/v3/login", body)["access_token"]
    return token


def _requests(room: str) -> Iterator[tuple[str, str, object]]:
    """Yield requests without end: method, path and body."""
    for number in itertools.count():
        text = {"msgtype": "m.text", "body": f"message {number}"}
        yield "PUT", f"rooms/{room}/send/m.room.message/{number}", text
        yield "GET", "sync?timeout=0", None
        yield "GET", f"rooms/{room}/messages?dir=b&limit=50", None
        yield "GET", f"rooms/{room}/joined_members", None
        yield "GET", "account/whoami", None


def use(
    homeserver: Homeserver,
    name: str,
    ends: threading.Event,
    *,
    pause: float = _PAUSE_SECONDS,
    requests: int | None = None,
) -> None:
    """Register a user, and send requests, one after another; print those that fail to stderr.

    Args:
        homeserver: the homeserver, with a reverse proxy.
        name: the local part of the user ID.
        ends: ends the requests when it is set.
        pause: seconds between two requests.
        requests: how many; without it, until ``ends`` is set.
    """
    token = _log_in(homeserver, name)
    prefix = "/_matrix/client/v3/"
    room = homeserver.call("POST", f"{prefix}createRoom", {}, token)["room_id"]
    for method, path, body in itertools.islice(_requests(room), requests):
        if ends.wait(pause):
            return
        try:
            homeserver.call(method, prefix + path, body, token)
        except (urllib.error.URLError, OSError) as error:
            print(f"{name}: {method} {path}: {error}", file=sys.stderr)
