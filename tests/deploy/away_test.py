"""A real proxy with our configuration while a process is away: requests wait, or main answers."""

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from deploy.routing import MAIN
from tests.deploy.asking import Client
from tests.deploy.local_plans import plan
from tests.deploy.recorder import Recorder
from tests.deploy.served import Served, served

PROXY = os.environ["PROXY"]
CLIENT = "/_matrix/client/v3"
AWAY = 3.0  # Seconds; less than `proxies.OPTIONS.hold_seconds`.


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Yield what runs for a plan with several workers of each type."""
    with served(PROXY, tmp_path_factory.mktemp("away"), plan("shards")) as both:
        yield both


def answered_by(method: str, target: str) -> str:
    """Send a request on a new connection; return the name of the server that answered."""
    with Client() as client:
        name, body = client.send(method, target, {"Authorization": "Bearer syt_YWxp_x_y"})
    assert client.status == 200, (client.status, body[:300])
    return name


def worker_that_answers(method: str, target: str) -> str:
    """Return the name of a worker that answers, once the proxy knows that the workers are back."""
    deadline = time.monotonic() + 20
    while (name := answered_by(method, target)) == MAIN:
        assert time.monotonic() < deadline, "the workers get no requests again"
        time.sleep(0.5)
    return name


@contextmanager
def stopped(recorder: Recorder, servers: Iterable[str]) -> Iterator[None]:
    """Stop servers, and start them again at the end."""
    for name in servers:
        recorder.stop(name)
    try:
        yield
    finally:
        for name in servers:
            recorder.start(name)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", f"{CLIENT}/rooms/!a/typing/@u:x.test"),
        ("PUT", f"{CLIENT}/pushrules/global/override/x"),
        ("GET", "/_matrix/client/v1/media/config"),
        ("GET", f"{CLIENT}/thirdparty/protocols"),
        ("POST", f"{CLIENT}/logout"),
    ],
)
def test_a_request_waits_for_those_who_alone_can_answer(
    running: Served, method: str, target: str
) -> None:
    """While a writer or main is restarted, its clients see a delay instead of an error."""
    servers = running.names(method, target)
    back = threading.Event()
    answers: list[tuple[str, bool]] = []

    def ask() -> None:
        answers.append((answered_by(method, target), back.is_set()))

    with stopped(running.recorder, servers):
        client = threading.Thread(target=ask)
        client.start()
        time.sleep(AWAY)
        back.set()
    client.join()
    ((name, after),) = answers
    assert name in servers
    assert after


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", f"{CLIENT}/sync?since=s1"),
        ("PUT", f"{CLIENT}/rooms/!a/send/m.room.message/t1"),
        ("POST", f"{CLIENT}/createRoom"),
        ("PUT", "/_matrix/federation/v1/send/1"),
    ],
)
def test_others_answer_for_a_worker_that_is_away(running: Served, method: str, target: str) -> None:
    """A worker of the same type takes its requests, and the main process those of all of them."""
    servers = running.names(method, target)
    assert len(servers) > 1
    first = worker_that_answers(method, target)
    assert first in servers
    with stopped(running.recorder, [first]):
        with_others = {answered_by(method, target) for _ in range(5)}
    with stopped(running.recorder, servers):
        with_main = {answered_by(method, target) for _ in range(3)}
    assert with_others <= servers - {first} | {MAIN}
    assert with_main == {MAIN}
    assert worker_that_answers(method, target) in servers
