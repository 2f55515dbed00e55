"""Nothing of the parent is left in a child; without a guard, the test of that guard fails."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.containers import Container, Make, until

WORDS = {"main": ["report"], "sync1": ["report"]}


def reports(container: Container) -> list[Mapping[str, Any]]:
    """Return what both processes said about themselves before they opened anything."""
    return [container.report(name) for name in WORDS]


def only_own_descriptors(container: Container) -> bool:
    """Return whether each has only the standard descriptors."""
    return all(set(one["descriptors"]) <= {"0", "1", "2", "3"} for one in reports(container))


def own_signals(container: Container) -> bool:
    """Return whether each handles signals as a new Python does, and SIGTERM as it wants."""
    return all(
        set(one["handlers"]) == {"SIGINT", "SIGTERM"}
        and one["blocked"] == []
        and one["wakeup"] == -1
        for one in reports(container)
    )


def own_random_numbers(container: Container) -> bool:
    """Return whether the numbers of both differ, also those of a generator made in the parent."""
    first, second = (one["numbers"] for one in reports(container))
    return not set(first) & set(second)


GUARDS = {
    "descriptors": only_own_descriptors,
    "signals": own_signals,
    "random": own_random_numbers,
}


@pytest.mark.parametrize("guard", GUARDS)
def test_nothing_leaks(make: Make, guard: str) -> None:
    """Each process is as if it had been started by itself."""
    assert GUARDS[guard](make(WORDS).start())


@pytest.mark.parametrize("guard", GUARDS)
def test_it_is_noticed_when_a_guard_is_missing(make: Make, guard: str) -> None:
    """Without its guard, the check above fails."""
    assert not GUARDS[guard](make(WORDS).start(guard))


def test_standard_descriptors_are_its_own(make: Make) -> None:
    """Its input is empty, and its output is a pipe that no other process has."""
    first, second = (one["descriptors"] for one in reports(make(WORDS).start()))

    assert first["0"] == second["0"] == os.devnull
    assert first["1"] == first["2"] != second["1"] == second["2"]
    assert first["1"].startswith("pipe:")


def test_a_parent_with_threads_does_not_fork(make: Make) -> None:
    """A child would have only one of them, and locks that the others hold would never be free."""
    container = make(WORDS).start("thread")
    until(lambda: "ThreadsError" in container.text(), "the parent refuses")

    assert "the parent has 2 threads; it may have only one" in container.text()
    assert container.pids() == {}


def test_without_that_guard_it_would(make: Make) -> None:
    """So the test above depends on the guard."""
    container = make(WORDS).start("thread", "threads").wait_healthy()

    assert set(container.pids()) == set(WORDS)
    assert all(one["threads"] == 1 for one in reports(container))


def gone(pids: Mapping[str, int]) -> bool:
    """Return whether none of these processes runs any more."""
    return not any(
        Path(f"/proc/{pid}/stat").exists()
        and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        for pid in pids.values()
    )


def test_children_end_with_their_parent(make: Make) -> None:
    """Even if it had no time to tell them; otherwise, the next container would find them there."""
    container = make(WORDS).start().wait_healthy()
    pids = container.pids()
    container.end(signal.SIGKILL)

    until(lambda: gone(pids), "they end", 5)


def test_without_that_guard_they_would_live_on(make: Make) -> None:
    """So the test above depends on the guard."""
    container = make(WORDS).start("death").wait_healthy()
    pids = container.pids()
    container.end(signal.SIGKILL)
    try:
        assert not gone(pids)
    finally:
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)


def test_each_has_its_own_name_arguments_cpus_and_score(make: Make) -> None:
    """Each process has what its spec says."""
    own = int(Path("/proc/self/oom_score_adj").read_text())
    cpu = min(os.sched_getaffinity(0))
    container = make(WORDS, cpus=(cpu,), oom_score=150).start()

    for name, one in zip(WORDS, reports(container), strict=True):
        assert one["name"] == name
        assert one["arguments"][1].endswith(f"/{name}/health.sock")
        assert one["cpus"] == [cpu]
        assert one["oom"] == min(1000, own + 150)
    parent = f"/proc/{container.pid}"
    assert int(Path(f"{parent}/oom_score_adj").read_text()) == own
