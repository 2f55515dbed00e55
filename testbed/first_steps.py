"""A basic check of a homeserver: it starts, a message reaches a sync, and it stops cleanly.

A pin is kept only if it passes this check; `tests/eras` builds on it.
"""

import threading
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from testbed.homeserver import Homeserver
from testbed.processes import StartError
from worker.redaction import without_secrets

# The workers that send and sync; each takes over this work from the main process.
SENDER, SYNCER = "event_creator", "synchrotron"
WORKERS = {name: f"synapse.app.{name}" for name in (SENDER, SYNCER)}
_REQUESTS = "synapse_http_server_requests_received_total"
_PASSWORD = "for tests only"
_SECONDS = 60
_LINES = 20


class StepError(StartError):
    """A homeserver has started but does not work correctly, or does not stop cleanly."""


def _login(homeserver: Homeserver, user: str) -> str:
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": homeserver.register(user, _PASSWORD)},
        "password": _PASSWORD,
    }
    token: str = homeserver.call("POST", "/_matrix/client/v3/login", body)["access_token"]
    return token


def talk(homeserver: Homeserver, user: str = "alice") -> float:
    """Register ``user`` and send a message through one worker to a sync waiting at another.

    Returns:
        The seconds from sending the message until the sync returned it.

    Raises:
        StepError: if the sync returns other events or nothing, or a worker got no request.
        urllib.error.URLError: if a request fails.
    """
    token = _login(homeserver, user)
    room = homeserver.call("POST", "/_matrix/client/v3/createRoom", {}, token)["room_id"]
    sync = "/_matrix/client/v3/sync?timeout={}{}"
    since = homeserver.call("GET", sync.format(0, ""), token=token)["next_batch"]
    answers: list[tuple[float, dict[str, Any]]] = []

    def wait() -> None:
        answer = homeserver.call("GET", sync.format(30000, f"&since={since}"), token=token)
        answers.append((time.monotonic(), answer))

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    time.sleep(1)
    before = time.monotonic()
    path = f"/_matrix/client/v3/rooms/{room}/send/m.room.message/1"
    sent = homeserver.call("PUT", path, {"msgtype": "m.text", "body": "hello"}, token)
    waiting.join(_SECONDS)
    if not answers:
        raise StepError(f"the sync at {SYNCER} had no answer after {_SECONDS} s")
    after, answer = answers[0]
    rooms = answer.get("rooms", {}).get("join", {})
    events = rooms.get(room, {}).get("timeline", {}).get("events", [])
    if [event["event_id"] for event in events] != [sent["event_id"]]:
        raise StepError(f"the sync at {SYNCER} has the events {events}, and {sent} was sent")
    for name in (SENDER, SYNCER):
        if not homeserver.count(name, _REQUESTS):
            raise StepError(f"{name} took no request: nginx sent all to the main process")
    return after - before


def stop(homeserver: Homeserver) -> None:
    """Stop everything in the documented order.

    Raises:
        StepError: if a process had already ended, or does not exit with code 0.
    """
    ended = [process.name for process in homeserver.processes.values() if not process.running]
    statuses = homeserver.stop()
    bad = [f"{name} ended with {status}" for name, status in statuses.items() if status]
    bad += [f"{name} had ended before it was asked to" for name in ended]
    if bad:
        raise StepError("; ".join(bad))


def _ends(homeserver: Homeserver) -> list[str]:
    """Return the ends of the logs of all processes that ended, or of all processes if none did."""
    processes = list(homeserver.processes.values())
    ended = [process for process in processes if not process.running]
    return [f"----- {process.name}\n{process.tail(_LINES)}" for process in ended or processes]


@contextmanager
def reported(homeserver: Homeserver, report: Path | None) -> Iterator[None]:
    """Stop the homeserver at the end; write errors and the logs' last lines to ``report``.

    Raises:
        StepError: if it does not stop cleanly.
    """
    lines: list[str] = ["it was cut off"]
    try:
        yield
        stop(homeserver)
        lines = []
    except StepError as error:
        lines = [str(error), *_ends(homeserver)]
        raise
    except StartError as error:
        # The message includes the end of the log of the process that did not start.
        lines = [error.args[0]]
        raise
    except urllib.error.HTTPError as error:
        words = error.read(300).decode("utf-8", "replace")
        lines = [f"{error.url} is answered with {error.code}: {words}", *_ends(homeserver)]
        raise
    except OSError as error:
        lines = [f"no answer: {error}", *_ends(homeserver)]
        raise
    finally:
        homeserver.kill()
        settings = yaml.safe_load((homeserver.data / "homeserver.yaml").read_text())
        text = without_secrets("\n".join(lines), settings)
        if text and report is not None:
            report.write_text(f"{text}\n")
