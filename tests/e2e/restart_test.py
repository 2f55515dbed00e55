"""Restarts of every process under load, through the reverse proxy: no client sees an error."""

import os
import re
import secrets
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from testbed.homeserver import Homeserver, Parts
from testbed.layout import Options
from testbed.processes import Process
from tests.e2e.load import Client, check
from tests.e2e.people import PARENTS, Person

PROXY = os.environ["PROXY"]
# One worker for each stream that only one may write, and two for what several may do.
WORKERS = {
    "typing": "typing",
    "to_device": "to_device",
    "account_data": "account_data",
    "receipts": "receipts",
    "presence": "presence",
    "push_rules": "push_rules",
    "device_lists": "device_lists",
    "events": "event_persister",
    "media": "media_repository",
    "sync1": "synchrotron",
    "sync2": "synchrotron",
    "reader1": "client_reader+frontend_proxy",
    "reader2": "client_reader+frontend_proxy",
    "creator1": "event_creator",
    "creator2": "event_creator",
}
RESTARTED = ["main", *WORKERS]
KILLED = [name for name in WORKERS if not name[-1].isdigit()]


@pytest.fixture(scope="module")
def homeserver(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    """Yield a running homeserver with a worker plan."""
    folder = tmp_path_factory.mktemp("restart") / "5"
    running = Homeserver(
        5, folder, parts, Options(WORKERS, planned=True, proxy=PROXY, parents=PARENTS)
    )
    try:
        running.start()
        yield running
    finally:
        for process in running.processes.values():
            print(f"----- {process.name}\n{process.tail(10)}")
            for line, times in exceptions(process).most_common(5):
                print(f"{times} times: {line}")
        running.kill()


def exceptions(process: Process) -> Counter[str]:
    """Return how often each last line of a traceback is in the log of a process."""
    lines = process.log.read_text(errors="replace").splitlines()
    return Counter(line for line in lines if re.match(r"[\w.]+(Error|Exception|Failure)\b", line))


def requests(person: Person, room: str, event: str) -> dict[str, Callable[[int], object]]:
    """Return a function for each kind of request that a client of ``person`` sends."""
    user, call = person.id, person.call
    position = {"since": call("GET", "sync?timeout=0")["next_batch"]}

    def sync(_: int) -> None:
        answer = call("GET", f"sync?timeout=2000&since={position['since']}")
        position["since"] = answer["next_batch"]

    def send(number: int) -> object:
        body = {"msgtype": "m.text", "body": str(number)}
        return call("PUT", f"rooms/{room}/send/m.room.message/t{number}", body)

    rule: dict[str, list[str]] = {"actions": [], "conditions": []}
    return {
        "account data": lambda n: call("PUT", f"user/{user}/account_data/test", {"n": n}),
        "device": lambda n: call("PUT", f"devices/{person.device}", {"display_name": str(n)}),
        "initial sync": lambda _: call("GET", "sync?timeout=0"),
        "key upload": lambda _: call("POST", "keys/upload", {}),
        "main": lambda _: call("GET", "thirdparty/protocols"),
        "presence": lambda _: call("PUT", f"presence/{user}/status", {"presence": "online"}),
        # Not changed: Synapse 1.163 answers 500 to a second change that comes before the first has
        # reached all rooms ("Expected at most one task to cancel").
        "profile": lambda _: call("GET", f"profile/{user}/displayname"),
        "push rules": lambda n: call("PUT", f"pushrules/global/override/r{n % 9}", rule),
        "read": lambda _: call("GET", f"rooms/{room}/messages?dir=b&limit=5"),
        "receipt": lambda _: call("POST", f"rooms/{room}/receipt/m.read/{event}", {}),
        "send": send,
        "sync": sync,
        "to device": lambda n: call("PUT", f"sendToDevice/m.test/t{n}", {"messages": {}}),
        "typing": lambda _: call(
            "PUT", f"rooms/{room}/typing/{user}", {"typing": True, "timeout": 3000}
        ),
        "upload": lambda n: person.homeserver.call(
            "POST", "/_matrix/media/v3/upload", {"n": n}, person.token
        ),
        "whoami": lambda _: call("GET", "account/whoami"),
    }


@pytest.fixture
def clients(homeserver: Homeserver) -> Iterator[list[Client]]:
    """Yield clients that send every kind of request, each as a user of its own."""
    running = []
    person = Person(homeserver, f"user{secrets.token_hex(4)}")
    room = person.call("POST", "createRoom", {})["room_id"]
    body = {"msgtype": "m.text", "body": "hello"}
    event = person.call("PUT", f"rooms/{room}/send/m.room.message/first", body)["event_id"]
    for kind, request in requests(person, room, event).items():
        running.append(Client(kind, request))
    try:
        yield running
    finally:
        for client in running:
            client.end()


def stop(homeserver: Homeserver, name: str) -> Callable[[], int]:
    """Return a function that stops a process, or that lets its parent restart it."""
    if not PARENTS:
        return homeserver.processes[name].stop
    command = homeserver.command(name, "restart", name)
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL).returncode


def restart(homeserver: Homeserver, name: str, end: Callable[[], int]) -> None:
    """End a process and start it again; return a second after it is healthy."""
    end()
    homeserver.processes[name].start()
    homeserver.wait_healthy(name)
    time.sleep(1)


def report(clients: list[Client], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Print what the clients saw while ``name`` was restarted."""
    slowest = max(clients, key=lambda client: client.slowest)
    answered = sum(client.answered for client in clients)
    failures = sum(len(client.failures) for client in clients)
    with capsys.disabled():
        print(
            f"\n{PROXY}: {name}: {answered} requests answered, {failures} failed, "
            f"slowest {slowest.slowest:.1f} s ({slowest.kind})"
        )


@pytest.mark.parametrize("name", RESTARTED)
def test_no_client_sees_a_restart(
    homeserver: Homeserver,
    clients: list[Client],
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A process is stopped and started under load: requests wait, but none fails."""
    time.sleep(1)
    restart(homeserver, name, stop(homeserver, name))
    report(clients, name, capsys)
    check(clients)


@pytest.mark.parametrize("name", KILLED)
def test_no_client_sees_that_a_writer_was_killed(
    homeserver: Homeserver,
    clients: list[Client],
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nobody else can do the work of the only writer of a stream, so requests wait for it."""
    time.sleep(1)
    restart(homeserver, name, homeserver.processes[name].kill)
    report(clients, f"{name} (SIGKILL)", capsys)
    check(clients)


@pytest.mark.skipif(PARENTS > 0, reason="the verb is for all processes of a container")
def test_a_drained_process_is_not_ready_until_it_is_started_again(homeserver: Homeserver) -> None:
    """An engine that looks at readiness sends no more requests, and then stops the process."""

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            homeserver.command("sync1", *arguments),
            text=True,
            capture_output=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    assert run("healthcheck", "--ready") == (0, "ready\n")
    assert run("drain") == (0, "drained\n")
    draining = "unhealthy: this process is being drained before its stop\n"
    assert run("healthcheck", "--ready") == (1, draining)
    assert run("healthcheck") == (0, "healthy\n")
    restart(homeserver, "sync1", homeserver.processes["sync1"].stop)
    assert run("healthcheck", "--ready") == (0, "ready\n")
