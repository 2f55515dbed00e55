"""A client of the homeserver on a node; runs there, and needs only Python.

`start` logs in, creates a room and sends messages. `check` says which messages that were
acknowledged are missing. `load` sends requests of all kinds until the file `stop` appears, and
prints what came back. They share the file `session`.
"""

import json
import os
import ssl
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.e2e.load import Client

URL = "https://matrix.example.com/_matrix/client/v3/"
# HAProxy lets a request wait for 60 s, and the process then has it for a while.
SECONDS = 120
SESSION, STOP = Path("session"), Path("stop")
_TLS = ssl.create_default_context(cafile=os.environ["CURL_CA_BUNDLE"])


def call(method: str, path: str, body: object = None, token: str = "") -> Any:
    """Send a request of the client API; return the answer.

    Raises:
        OSError: if the server cannot be reached, or refuses (urllib.error.HTTPError).
    """
    request = urllib.request.Request(
        URL + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}"} if token else {},
    )
    with urllib.request.urlopen(request, timeout=SECONDS, context=_TLS) as answer:
        return json.load(answer)


class Session:
    """A user's session, kept in a file.

    Attributes:
        user: the user ID.
        token: the access token.
        room: the ID of the room.
        sent: the IDs of the messages that the server has acknowledged.
    """

    def __init__(self, user: str, token: str, room: str, sent: Sequence[str]) -> None:
        """Take what the file has."""
        self.user, self.token, self.room, self.sent = user, token, room, list(sent)

    def save(self) -> None:
        """Write the file."""
        SESSION.write_text(json.dumps(vars(self)))

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Send a request as this user; return the answer."""
        return call(method, path, body, self.token)

    def send(self, transaction: str) -> None:
        """Send a message; remember it once the server has acknowledged it."""
        path = f"rooms/{quote(self.room)}/send/m.room.message/{transaction}"
        body = {"msgtype": "m.text", "body": transaction}
        self.sent.append(self.call("PUT", path, body)["event_id"])

    def missing(self) -> list[str]:
        """Return the acknowledged messages that the room does not have, even after a minute.

        A worker learns of the newest ones from Redis, so after the writer has answered.
        """
        begin = time.monotonic()
        while (absent := self._absent()) and time.monotonic() < begin + 60:
            print(f"not there yet: {len(absent)} of {len(self.sent)}", file=sys.stderr)
            time.sleep(1)
        return absent

    def _absent(self) -> list[str]:
        """Return the acknowledged messages that the room does not have now."""
        present: set[str] = set()
        position = ""
        while True:
            path = f"rooms/{quote(self.room)}/messages?dir=b&limit=100{position}"
            answer = self.call("GET", path)
            present.update(event["event_id"] for event in answer["chunk"])
            if "end" not in answer:
                return [event for event in self.sent if event not in present]
            position = f"&from={answer['end']}"


def start(user: str, password: str) -> None:
    """Log in, create a room and send five messages."""
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user},
        "password": password,
    }
    login = call("POST", "login", body)
    room = call("POST", "createRoom", {}, login["access_token"])["room_id"]
    session = Session(login["user_id"], login["access_token"], room, [])
    for number in range(5):
        session.send(f"first{number}")
    session.save()


def requests(session: Session) -> dict[str, Callable[[int], object]]:
    """Return a function for each kind of request that a client sends."""
    begin, room = time.monotonic_ns(), quote(session.room)
    position = {"since": session.call("GET", "sync?timeout=0")["next_batch"]}

    def sync(_: int) -> None:
        answer = session.call("GET", f"sync?timeout=2000&since={position['since']}")
        position["since"] = answer["next_batch"]

    typing = f"rooms/{room}/typing/{quote(session.user)}"
    return {
        "initial sync": lambda number: session.call("GET", f"sync?timeout={number}"),
        "push rules": lambda number: session.call(
            "PUT",
            "pushrules/global/override/test/enabled"
            if number > 1
            else "pushrules/global/override/test",
            {"enabled": number % 2 == 0}
            if number > 1
            else {"actions": ["notify"], "conditions": []},
        ),
        "read": lambda _: session.call("GET", f"rooms/{room}/messages?dir=b&limit=5"),
        "rooms": lambda _: session.call("GET", "joined_rooms"),
        "send": lambda number: session.send(f"{begin}-{number}"),
        "sync": sync,
        "typing": lambda _: session.call("PUT", typing, {"typing": True, "timeout": 3000}),
    }


def load(session: Session) -> dict[str, Any]:
    """Send requests until the file `stop` appears; return what came back."""
    STOP.unlink(missing_ok=True)
    clients = [Client(kind, request) for kind, request in requests(session).items()]
    while not STOP.exists():
        time.sleep(0.2)
    for client in clients:
        client.end()
    session.save()
    return {
        "answered": {client.kind: client.answered for client in clients},
        "failures": {
            client.kind: Counter(client.failures).most_common(5)
            for client in clients
            if client.failures
        },
        "slowest": max((round(client.slowest, 1), client.kind) for client in clients),
    }


def main(command: str, *arguments: str) -> None:
    """Do what the arguments say."""
    if command == "start":
        start(*arguments)
        return
    session = Session(**json.loads(SESSION.read_text()))
    print(json.dumps(load(session) if command == "load" else session.missing()))


if __name__ == "__main__":
    main(*sys.argv[1:])
