"""Runs the probes of services concurrently, each in a thread, and always meets its deadline.

Neither name resolution (getaddrinfo) nor libpq can be interrupted.  So a probe without an answer is
left to its thread, and the process ends anyway: ``signals.run`` does not wait for threads, and
``wait`` runs the probes in child processes.  ``healthcheck`` uses no child process, since an engine
may kill it at any time: Synapse would inherit the child and never reap it.
"""

import json
import os
import queue
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.errors import ReportedError, one_line
from worker.signals import forget_signals

_HEALTHCHECK_SECONDS = 4.7  # From the start of the process, to end within 5 s.
_MAX_STARTUP_SECONDS = 3.0  # The most of these to deduct for the startup of Python.
_ATTEMPT_SECONDS = 10  # A resolver whose first name server is down needs 5 s by itself.
_PAUSE_SECONDS = 0.5  # Between two attempts.
_GRACE_SECONDS = 0.5  # For a child process to answer after its own deadline.
_MAX_LINE_LENGTH = 500  # Characters.
_MAX_BLOCKING_SECONDS = 0.4  # A signal that arrives just before a call is handled after it.
_MIN_ATTEMPT_SECONDS = 0.3  # No attempt is started with less time left.


@dataclass(frozen=True)
class Probe:
    """A check of one service.

    Attributes:
        name: the name of the service in messages.
        ask: returns "" if the service answers as it should, or one line that starts with its
            name; it may take any amount of time.
    """

    name: str
    ask: Callable[[], str]


def healthcheck_seconds() -> float:
    """Return how many seconds `healthcheck` has left for its probes after Python's startup."""
    stat_fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started_at = int(stat_fields[19]) / os.sysconf("SC_CLK_TCK")  # proc_pid_stat(5), starttime.
    seconds_running = time.clock_gettime(time.CLOCK_BOOTTIME) - started_at
    # User-space kernels may not know when a process started.
    return _HEALTHCHECK_SECONDS - min(max(seconds_running, 0.0), _MAX_STARTUP_SECONDS)


def _answer_of(probe: Probe) -> str:
    """Return the answer of the probe; an exception counts as an answer."""
    try:
        return probe.ask()
    except ReportedError as error:
        return "; ".join(error.problems)
    except Exception as error:  # Its message may quote a secret.
        return f"{probe.name} cannot be checked: {type(error).__name__}"


def ask(probes: Sequence[Probe], seconds: float, mask: Callable[[str], str] = str) -> list[str]:
    """Run all probes concurrently.

    Args:
        probes: the probes to run.
        seconds: the time limit for all of them together.
        mask: masks the secrets in a line.

    Returns:
        One line for each service that does not answer as it should.
    """
    deadline = time.monotonic() + seconds
    answers: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()

    def put_answer(index: int) -> None:
        answers.put((index, _answer_of(probes[index])))

    lines = [f"{probe.name} has not answered within {seconds:.2g} s" for probe in probes]
    for index, probe in enumerate(probes):
        try:
            threading.Thread(target=put_answer, args=[index], daemon=True).start()
        except RuntimeError:
            answers.put((index, f"{probe.name} cannot be checked: no thread can be started"))
    for _ in probes:
        answer = _next_answer(answers, deadline)
        if answer is None:
            break
        index, line = answer
        lines[index] = line
    return [one_line(mask(line))[:_MAX_LINE_LENGTH] for line in lines if line]


def _next_answer(
    answers: queue.SimpleQueue[tuple[int, str]], deadline: float
) -> tuple[int, str] | None:
    """Return the next answer, or None if none arrives before the deadline."""
    while True:
        seconds_left = max(0.0, deadline - time.monotonic())
        try:
            return answers.get(timeout=min(seconds_left, _MAX_BLOCKING_SECONDS))
        except queue.Empty:
            if seconds_left <= _MAX_BLOCKING_SECONDS:
                return None


def _become_child(ask_all: Callable[[], list[str]], seconds: float, write_end: int) -> None:
    """Call ``ask_all``, write its lines to the pipe ``write_end``, and end this process."""
    try:
        forget_signals()
        # Ends this process even if it hangs and its parent was killed.
        signal.setitimer(signal.ITIMER_REAL, seconds + 2 * _GRACE_SECONDS)
        with os.fdopen(write_end, "w") as pipe:
            json.dump(ask_all(), pipe)
    finally:
        os._exit(0)


def _read_pipe(pipe: int, deadline: float) -> bytes:
    """Return what arrives before the pipe is closed or the deadline has passed."""
    data = b""
    while True:
        seconds_left = max(0.0, deadline - time.monotonic())
        if select.select([pipe], [], [], min(seconds_left, _MAX_BLOCKING_SECONDS))[0]:
            chunk = os.read(pipe, 65536)
            if not chunk:
                break
            data += chunk
        elif seconds_left <= _MAX_BLOCKING_SECONDS:
            break
    return data


def _ask_in_child(probes: Sequence[Probe], seconds: float, mask: Callable[[str], str]) -> list[str]:
    """Call ``ask`` in a child process, which leaves neither threads nor processes behind."""
    deadline = time.monotonic() + seconds + _GRACE_SECONDS
    read_end, write_end = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        os.close(read_end)
        os.close(write_end)
        return [f"{probe.name} cannot be checked: {error.strerror}" for probe in probes]
    if child == 0:
        _become_child(lambda: ask(probes, seconds, mask), seconds, write_end)
    try:
        os.close(write_end)
        answer = _read_pipe(read_end, deadline)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read_end)
    try:
        lines: list[str] = json.loads(answer)
    except ValueError:
        return [f"{probe.name} cannot be checked: its probe was killed" for probe in probes]
    return lines


def wait(
    probes: Sequence[Probe],
    seconds: float,
    report: Callable[[str], None],
    mask: Callable[[str], str] = str,
) -> list[str]:
    """Run the probes repeatedly until all services answer.

    Args:
        probes: the probes to run.
        seconds: how long to continue; it ends slightly early rather than late.
        report: receives a line for each service that does not answer, whenever that line changes.
        mask: masks the secrets in a line.

    Returns:
        A line for each service that still does not answer.
    """
    deadline = time.monotonic() + seconds
    unanswered: list[str] = []
    while True:
        previous, seconds_left = unanswered, deadline - time.monotonic()
        unanswered = _ask_in_child(probes, min(seconds_left, _ATTEMPT_SECONDS), mask)
        if not unanswered:
            return []
        for line in unanswered:
            if line not in previous:
                report(f"waiting: {line}")
        time.sleep(
            max(0.0, min(_PAUSE_SECONDS, deadline - time.monotonic() - _MIN_ATTEMPT_SECONDS))
        )
        if deadline - time.monotonic() <= _MIN_ATTEMPT_SECONDS:
            return unanswered
