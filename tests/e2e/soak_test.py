"""One parent for a long time: processes die and are restarted under load, and nothing grows."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.homeserver import Homeserver, Parts
from testbed.layout import MAIN, Options
from testbed.processes import memory
from tests.e2e.message_load import Load, account
from tests.e2e.people import Person, until

SECONDS = int(os.environ["SOAK_SECONDS"])
WORKERS = {
    "events": "event_persister",
    "writer": "typing+to_device+account_data+receipts+presence+push_rules+device_lists",
    "reader": "synchrotron+client_reader",
    "creator": "event_creator+media_repository+user_dir",
    "sender": "federation_sender+pusher+appservice+background_worker",
}
NAMES = [MAIN, *WORKERS]
PARENT = "parent0"
_PAUSE_SECONDS = 5.0
_MAX_GROWTH = 8.0  # MiB, for the parent.


@pytest.fixture(scope="module")
def homeserver(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    """Yield a homeserver with one parent."""
    folder = tmp_path_factory.mktemp("soak") / "7"
    found = Homeserver(7, folder, parts, Options(WORKERS, planned=True, parents=1))
    try:
        found.start()
        yield found
    finally:
        print(found.processes[PARENT].tail(50))
        found.kill()


def zombies(parent: int) -> list[str]:
    """Return the children of ``parent`` that nobody has waited for."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[:2] == ["Z", str(parent)]:
            found.append(path.parent.name)
    return found


def disturb(homeserver: Homeserver, chance: random.Random) -> str:
    """Kill or restart one process; return what was done, once it is healthy again."""
    name = chance.choice(NAMES)
    process = homeserver.processes[name]
    before = process.pid
    if chance.random() < 0.5:
        process.signal(signal.SIGKILL)
        done = f"killed {name}"
    else:
        command = homeserver.command(MAIN, "restart", name)
        said = subprocess.run(command, text=True, capture_output=True, check=False, timeout=200)
        assert (said.returncode, said.stdout) == (0, f"restarted {name}\n"), said.stderr
        done = said.stdout.strip()
    until(lambda: process.running and process.pid != before, f"{name} is started again", 120)
    until(lambda: homeserver.healthy(name), f"{name} is healthy again", 120)
    return done


def test_nothing_is_lost_and_nothing_grows(
    homeserver: Homeserver, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every acknowledged message is stored once; the parent keeps its size and descriptors."""
    chance = random.Random(SECONDS)
    alice = Person(homeserver, "alice")
    load = Load(alice, alice.call_again("POST", "createRoom", {})["room_id"])
    parent = homeserver.processes[PARENT].pid
    disturb(homeserver, chance)
    descriptors = len(os.listdir(f"/proc/{parent}/fd"))
    size = status_size(parent)
    disturbances = 0
    deadline = time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
            disturb(homeserver, chance)
            disturbances += 1
            load.flows()
    finally:
        load.end()
    with capsys.disabled():
        print(
            f"\n{disturbances} disturbances in {SECONDS} s, {len(load.acknowledged)} messages; the "
            f"parent has {memory(parent):.0f} MiB (PSS)"
        )
    account(load, alice)
    assert zombies(parent) == []
    assert abs(len(os.listdir(f"/proc/{parent}/fd")) - descriptors) <= 2
    assert status_size(parent) - size < _MAX_GROWTH
    assert disturbances > SECONDS / 60


def status_size(pid: int) -> float:
    """Return the private and shared memory of a process that no file backs, in MiB (RssAnon)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0
