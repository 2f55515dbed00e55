"""Messages acknowledged before or during a fault are stored exactly once and in order."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from testbed.homeserver import Homeserver, Parts
from testbed.layout import Options
from tests.e2e.message_load import Load, account
from tests.e2e.people import PARENTS, Person, until

WORKERS = {
    "events": "event_persister",
    "writer": "typing+to_device+account_data+receipts+presence+push_rules+device_lists",
    "reader": "synchrotron+client_reader",
    "creator": "event_creator+media_repository+user_dir",
    "sender": "federation_sender+pusher+appservice+background_worker",
}
SYNAPSES = ["main", *WORKERS]
CONTAINERS = [f"parent{number}" for number in range(PARENTS)]


@pytest.fixture(scope="module")
def homeserver(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    """Yield a running homeserver with a worker plan."""
    folder = tmp_path_factory.mktemp("faults") / "3"
    found = Homeserver(3, folder, parts, Options(WORKERS, planned=True, parents=PARENTS))
    try:
        found.start()
        yield found
    finally:
        for process in found.processes.values():
            print(f"----- {process.name}\n{process.tail(10)}")
        found.kill()


@pytest.fixture(scope="module")
def alice(homeserver: Homeserver) -> Person:
    """Return the user who sends the load."""
    return Person(homeserver, "alice")


@pytest.fixture
def load(alice: Person) -> Iterator[Load]:
    """Yield a steady load in a room of its own."""
    found = Load(alice, alice.call_again("POST", "createRoom", {})["room_id"])
    try:
        found.flows()
        yield found
    finally:
        found.end()


def recover(homeserver: Homeserver, name: str, load: Load, end: Callable[[], int]) -> float:
    """End a process and restart it; return the seconds until messages are acknowledged again."""
    end()
    begin = time.monotonic()
    homeserver.processes[name].start()
    for process in homeserver.layout.containers.get(name, [name] if name in SYNAPSES else []):
        homeserver.wait_healthy(process)
    load.flows()
    return time.monotonic() - begin


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a verb; return what it said."""
    return subprocess.run(command, text=True, capture_output=True, check=False, timeout=300)


@pytest.mark.parametrize("name", [*SYNAPSES, *CONTAINERS, "redis", "postgres"])
def test_a_killed_process_loses_nothing(
    homeserver: Homeserver,
    alice: Person,
    load: Load,
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The process is killed with SIGKILL under load and then started again.

    All processes that a killed parent has forked end with it.
    """
    seconds = recover(homeserver, name, load, homeserver.processes[name].kill)
    load.end()
    with capsys.disabled():
        print(f"\nkilled {name}: messages flow again after {seconds:.1f} s")
    account(load, alice)


def test_a_rolling_restart_loses_nothing(homeserver: Homeserver, alice: Person, load: Load) -> None:
    """Each worker in turn, then main, exits with code 0 and is started again."""
    for name, processes in homeserver.layout.containers.items() if PARENTS else ():
        before = [homeserver.processes[process].pid for process in processes]
        done = run(homeserver.command(processes[0], "rolling-restart"))
        assert done.returncode == 0, (name, done.stderr)
        assert len(done.stdout.splitlines()) == len(processes)
        after = [homeserver.processes[process].pid for process in processes]
        assert not set(before) & set(after)
    for name in () if PARENTS else [*WORKERS, "main"]:
        process = homeserver.processes[name]
        status = process.stop()
        assert status == 0, (name, status, process.tail())
        process.start()
        homeserver.wait_healthy(name)
    load.flows()
    load.end()
    account(load, alice)


def test_main_stopped_before_its_workers_is_survived(
    homeserver: Homeserver, alice: Person, load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    """Workers wait for the main process and continue, although this is not the documented order."""
    seconds = recover(homeserver, "main", load, homeserver.processes["main"].stop)
    load.end()
    with capsys.disabled():
        print(f"\nmain stopped first: messages flow again after {seconds:.1f} s")
    account(load, alice)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("redis", "unhealthy: Redis at 127.3.0.3 port 6379 does not answer: Connection refused"),
        ("postgres", "unhealthy: PostgreSQL at 127.3.0.2 port 5432 does not answer: "),
        pytest.param(
            "main",
            "unhealthy: the main process at 127.3.0.10 port 9093 does not answer: ",
            marks=pytest.mark.skipif(PARENTS > 0, reason="its parent starts it again at once"),
        ),
    ],
)
def test_ready_names_what_is_missing(homeserver: Homeserver, name: str, line: str) -> None:
    """`healthcheck --ready` fails while Synapse's own /health still returns 200."""
    homeserver.processes[name].signal(signal.SIGKILL)
    until(lambda: not homeserver.processes[name].running, f"{name} is gone")
    done = subprocess.run(
        homeserver.command("reader", "healthcheck", "--ready"),
        text=True,
        capture_output=True,
        check=False,
    )
    alive = homeserver.healthy("reader")
    homeserver.processes[name].start()
    if name == "main":
        homeserver.wait_healthy(name)
    assert alive
    assert done.returncode == 1
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(PARENTS == 1, reason="the main process is in the same container")
def test_ready_says_when_the_secret_is_wrong(homeserver: Homeserver) -> None:
    """Synapse itself would answer every send with error 500 and give no reason."""
    until(lambda: homeserver.healthy("main"), "main answers")
    (homeserver.data / "other").write_text("another-secret\n")
    command = homeserver.command(
        "reader", "wait", "2", environ={"SYNAPSE_REPLICATION_SECRET_FILE": "/data/other"}
    )
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 75
    assert done.stderr.splitlines()[-1] == (
        "error: after 2 s: the main process at 127.3.0.10 port 9093 refuses the replication "
        "secret; give every process the same signing.key, or the same "
        "SYNAPSE_REPLICATION_SECRET_FILE"
    )
