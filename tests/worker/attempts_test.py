"""Single probes and repeated attempts: unusual answers, deadlines, and cleanup."""

import errno
import os
import queue
import select
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from worker.asking import Probe, _read_pipe, ask, healthcheck_seconds, wait
from worker.errors import ConfigError


def _raises(error: Exception) -> Callable[[], str]:
    def question() -> str:
        raise error

    return question


@pytest.mark.parametrize(
    ("question", "line"),
    [
        (_raises(KeyError("hunter2")), "Redis cannot be checked: KeyError"),
        (_raises(ConfigError(["a: wrong", "b: too"])), "a: wrong; b: too"),
        (lambda: "Redis says " + "x" * 600, "Redis says " + "x" * 489),
        (lambda: "Redis says\nno", "Redis says\\nno"),
    ],
)
def test_each_answer_is_one_line(question: Callable[[], str], line: str) -> None:
    """A line has up to 500 characters; the text of an unknown exception may contain a secret."""
    assert ask([Probe("Redis", question)], 5) == [line]


def test_a_deadline_is_said_with_two_digits_and_kept() -> None:
    """The deadline also holds when it is over before anything was asked."""
    stuck, threads = threading.Event(), []

    def question() -> str:
        threads.append(threading.current_thread())
        stuck.wait(5)
        return ""

    began = time.monotonic()
    assert ask([Probe("Redis", question)], 0.123) == ["Redis has not answered within 0.12 s"]
    assert ask([Probe("Redis", question)], 0) == ["Redis has not answered within 0 s"]
    assert time.monotonic() - began < 0.9
    stuck.set()
    # A stuck thread must not keep the process from exiting.
    assert all(thread.daemon for thread in threads)


def test_no_call_lasts_as_long_as_a_deadline_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python handles a signal that arrives just before a blocking call only after the call."""
    timeouts: list[float] = []
    select_really = select.select

    def recorded_select(*arguments: Any) -> Any:
        timeouts.append(arguments[3])
        return select_really(*arguments)

    class Answers(queue.SimpleQueue[Any]):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            timeouts.append(timeout or 0)
            return super().get(block, timeout)

    monkeypatch.setattr("worker.asking.select.select", recorded_select)
    monkeypatch.setattr("worker.asking.queue.SimpleQueue", Answers)
    reading, writing = os.pipe()
    began = time.monotonic()
    assert _read_pipe(reading, began + 0.6) == b""
    os.close(reading)
    os.close(writing)
    stuck = threading.Event()
    assert ask([Probe("Redis", lambda: str(stuck.wait(5)))], 0.6) != []
    stuck.set()
    assert 1.1 < time.monotonic() - began < 3
    assert len(timeouts) >= 4
    assert max(timeouts) <= 0.5


def test_a_pipe_is_read_until_its_deadline_alone() -> None:
    """A child that hangs neither writes to the pipe nor closes it."""
    reading, writing = os.pipe()
    began = time.monotonic()
    assert _read_pipe(reading, began - 1) == b""
    assert time.monotonic() - began < 0.9
    os.write(writing, b"text")
    os.close(writing)
    assert _read_pipe(reading, time.monotonic() + 5) == b"text"
    os.close(reading)


def test_a_machine_without_threads_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process limit counts threads too, so starting one can fail."""
    monkeypatch.setattr(threading.Thread, "start", _raises_in_method)
    assert ask([Probe("Redis", lambda: "")], 0.1) == [
        "Redis cannot be checked: no thread can be started"
    ]


def _raises_in_method(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def _open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_a_machine_without_processes_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed fork leaves no pipe open, since there may be many attempts."""

    def fork() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr("worker.asking.os.fork", fork)
    before = len(_open_files())
    assert wait([Probe("Redis", lambda: "")], 0, lambda _: None) == [
        "Redis cannot be checked: Resource temporarily unavailable"
    ]
    assert len(_open_files()) == before


def test_an_attempt_leaves_no_file_open() -> None:
    """File descriptors do not accumulate over the attempts."""
    before = len(_open_files())
    assert wait([Probe("Redis", lambda: "")], 5, lambda _: None) == []
    assert len(_open_files()) == before


@pytest.mark.parametrize(("seconds", "alarm"), [(1, 2), (30, 11)])
def test_a_child_whose_parent_was_killed_ends_by_itself(
    tmp_path: Path, seconds: int, alarm: int
) -> None:
    """It ends one second after its attempt of at most 10 s, and on SIGTERM and SIGINT at once."""
    asked = tmp_path / "asked"

    def question() -> str:
        if asked.exists():
            return ""
        asked.touch()
        left = signal.getitimer(signal.ITIMER_REAL)[0]
        plain = signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGINT) == 0
        return f"{left + 0.3:.0f} {plain}"  # Tolerates 0.8 s less and 0.2 s more.

    said: list[str] = []
    assert wait([Probe("Redis", question)], seconds, said.append) == []
    assert said == [f"waiting: {alarm} True"]


def test_attempts_are_half_a_second_apart(tmp_path: Path) -> None:
    """That is often enough during startup and puts no load on services that are starting."""
    times = tmp_path / "times"

    def question() -> str:
        with times.open("a") as file:
            file.write(f"{time.monotonic()}\n")
        first = float(times.read_text().split()[0])
        return "" if time.monotonic() - first > 0.3 else "Redis is not up"

    assert wait([Probe("Redis", question)], 20, lambda _: None) == []
    first, second = map(float, times.read_text().split())
    assert 0.5 <= second - first < 1.4


def test_waiting_ends_before_its_deadline_rather_than_after() -> None:
    """`wait` returns early when the time left is too short for another attempt."""
    began = time.monotonic()
    assert wait([Probe("Redis", lambda: "Redis is not up")], 1, lambda _: None)
    assert 0.6 < time.monotonic() - began < 1.2


def test_a_stuck_question_is_reported_by_its_own_deadline() -> None:
    """The child has a short grace period after the deadline to report it."""

    def stuck() -> str:
        time.sleep(5)
        return ""

    began = time.monotonic()
    assert wait([Probe("Redis", stuck)], 0.8, lambda _: None) == [
        "Redis has not answered within 0.8 s"
    ]
    assert time.monotonic() - began < 1.6


def test_a_child_that_hangs_altogether_is_killed() -> None:
    """The parent kills it half a second after its deadline."""

    def stop() -> str:
        os.kill(os.getpid(), signal.SIGSTOP)
        return ""

    began = time.monotonic()
    assert wait([Probe("Redis", stop)], 0.2, lambda _: None) == [
        "Redis cannot be checked: its probe was killed"
    ]
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize(
    ("running", "seconds"),
    [
        pytest.param(0.5, 4.2, id="the start of Python counts"),
        pytest.param(100, 1.7, id="something is left on a busy machine"),
        pytest.param(-100, 4.7, id="a kernel that does not know the start"),
    ],
)
def test_a_healthcheck_ends_within_five_seconds(
    monkeypatch: pytest.MonkeyPatch, running: float, seconds: float
) -> None:
    """The time counts from the start of its process, field 22 in proc_pid_stat(5)."""
    fields = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
    began = int(fields[22 - 3]) / os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr("worker.asking.time.clock_gettime", lambda _: began + running)
    assert healthcheck_seconds() == pytest.approx(seconds, abs=0.01)
