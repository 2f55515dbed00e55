"""A main process that does not write a stream refuses what a worker writes to it.

Hence `main = False` of these routes in config/routes.bzl: a proxy must wait for the worker.
"""

import hashlib
import hmac
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from testbed.image import container, entrypoint, read_image, unpack
from testbed.processes import Process, answers
from tests.upstream.servlets import SHARED_SECRET, configuration
from worker.worker_types import load_table

ADDRESS, PORT = "127.0.99.1", 8008
CLIENT = "/_matrix/client/v3"
STREAMS = ("push_rules", "receipts", "thread_subscriptions", "to_device", "typing")


def call(method: str, path: str, body: Any = None, token: str = "") -> tuple[int, dict[str, Any]]:
    """Send a request to the main process; return the status and the answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"http://{ADDRESS}:{PORT}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture(scope="module")
def main(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Yield the main process, for which another process writes ``STREAMS``; it is not running."""
    folder = tmp_path_factory.mktemp("refusals")
    image = read_image(Path(os.environ["IMAGE"]))
    unpack(image, folder / "root")
    work = folder / "work"
    work.mkdir()
    document = configuration([("client",)], media=False, main=True) | {
        "database": {"name": "sqlite3", "args": {"database": "/tmp/work/homeserver.db"}},
        "instance_map": {"other": {"host": "127.0.99.2", "port": 9093}},
        "redis": {"enabled": False},
        "stream_writers": dict.fromkeys(STREAMS, "other"),
        "enable_registration": False,
    }
    document["listeners"][0] |= {"port": PORT, "bind_addresses": [ADDRESS]}
    (work / "homeserver.yaml").write_text(json.dumps(document))
    (work / "signing.key").write_text("ed25519 a_1 " + "A" * 43 + "\n")
    inside = container(image, folder / "root", {"/tmp/work": work}, {"HOME": "/tmp/work"})
    command = [
        entrypoint(image)[0],
        "-m",
        "synapse.app.homeserver",
        "-c",
        "/tmp/work/homeserver.yaml",
    ]
    process = Process("main", inside.command(*command), folder / "main.log")
    process.start()
    process.wait_until(lambda: answers(ADDRESS, PORT))
    yield process
    process.stop()
    print(process.tail(60))
    subprocess.run(["rm", "-rf", folder / "root"], check=True)


@pytest.fixture(scope="module")
def token(main: Process) -> str:
    """Return the access token of a new user."""
    _, nonce = call("GET", "/_synapse/admin/v1/register")
    fields = [nonce["nonce"], "alice", "secret", "notadmin"]
    mac = hmac.new(SHARED_SECRET.encode(), "\0".join(fields).encode(), hashlib.sha1).hexdigest()
    user = {"username": "alice", "password": "secret", "admin": False, "mac": mac} | nonce
    status, answer = call("POST", "/_synapse/admin/v1/register", user)
    assert status == 200, answer
    text: str = answer["access_token"]
    return text


@pytest.fixture(scope="module")
def requests(token: str) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return a valid request that writes to each of ``STREAMS``."""
    _, room = call("POST", f"{CLIENT}/createRoom", {}, token)
    room_path = f"{CLIENT}/rooms/{quote(room['room_id'])}"
    message = {"msgtype": "m.text", "body": "hello"}
    _, sent = call("PUT", f"{room_path}/send/m.room.message/1", message, token)
    event = quote(sent["event_id"])
    unstable = "/_matrix/client/unstable/io.element.msc4306"
    thread = f"{unstable}/rooms/{quote(room['room_id'])}/thread/{event}/subscription"
    rule: dict[str, Any] = {"actions": [], "conditions": []}
    return {
        "push_rules": ("PUT", f"{CLIENT}/pushrules/global/override/x", rule),
        "receipts": ("POST", f"{room_path}/receipt/m.read/{event}", {}),
        "thread_subscriptions": ("PUT", thread, {}),
        "to_device": (
            "PUT",
            f"{CLIENT}/sendToDevice/m.x/1",
            {"messages": {"@alice:x.test": {"*": {}}}},
        ),
        "typing": (
            "PUT",
            f"{room_path}/typing/%40alice%3Ax.test",
            {"typing": True, "timeout": 1000},
        ),
    }


@pytest.mark.parametrize("stream", STREAMS)
def test_main_refuses_to_write(
    stream: str, requests: dict[str, tuple[str, str, dict[str, Any]]], token: str
) -> None:
    """The answer is 500 at once, so that main cannot stand in for the worker."""
    start = time.monotonic()
    status, answer = call(*requests[stream], token)
    assert (status, answer["errcode"]) == (500, "M_UNKNOWN")
    assert time.monotonic() - start < 10
    (route,) = [route for route in load_table().routes if route["name"] == stream]
    assert route["main"] is False
