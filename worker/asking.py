"""Asks services at once, each in a thread, within one deadline that none of them can hold up.

Neither name service (getaddrinfo) nor libpq can be interrupted.  So an unanswered question is left
to its thread, and the process ends without it: ``signals.run`` waits for no thread, and ``wait``
asks from child processes.  ``healthcheck`` has no child, since an engine may kill it at any time:
Synapse would inherit the child and never reap it.
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

_HEALTHCHECK = 4.7  # Seconds from the start of the process: `healthcheck` ends within 5 s.
_SLOWEST_START = 3.0  # Seconds of them for Python at most.
_ATTEMPT = 10  # Seconds: a resolver whose first name server is down needs 5 s of its own.
_PAUSE = 0.5  # Seconds between two attempts.
_GRACE = 0.5  # Seconds for a child to answer, once its own deadline is over.
_LONGEST_LINE = 500  # Characters.
_CALL = 0.4  # Seconds of one call: a signal that comes just before it is only heard after it.
_SHORTEST = 0.3  # Seconds left that are worth another attempt.


@dataclass(frozen=True)
class Probe:
    """A question to one service.

    Attributes:
        name: the service, as messages call it.
        ask: returns "" when the service answers as it should, or one line that begins with its
            name; it may take as long as it likes.
    """

    name: str
    ask: Callable[[], str]


def healthcheck_seconds() -> float:
    """Return how long `healthcheck` may ask: the start of Python counts, on a busy machine too."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    began = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # proc_pid_stat(5), starttime.
    running = time.clock_gettime(time.CLOCK_BOOTTIME) - began
    # Kernels in user space may not know when a process began.
    return _HEALTHCHECK - min(max(running, 0.0), _SLOWEST_START)


def _answer(probe: Probe) -> str:
    """Return the probe's line, whatever happens in it."""
    try:
        return probe.ask()
    except ReportedError as error:
        return "; ".join(error.problems)
    except Exception as error:  # Its text may quote a secret.
        return f"{probe.name} cannot be asked: {type(error).__name__}"


def ask(probes: Sequence[Probe], seconds: float, mask: Callable[[str], str] = str) -> list[str]:
    """Ask all at once.

    Args:
        probes: what to ask.
        seconds: the deadline of the whole.
        mask: masks the secrets in a line.

    Returns:
        One line for each that does not answer as it should.
    """
    deadline = time.monotonic() + seconds
    answers: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()

    def put(number: int) -> None:
        answers.put((number, _answer(probes[number])))

    lines = [f"{probe.name} has not answered within {seconds:.2g} s" for probe in probes]
    for number, probe in enumerate(probes):
        try:
            threading.Thread(target=put, args=[number], daemon=True).start()
        except RuntimeError:
            answers.put((number, f"{probe.name} cannot be asked: no thread can be started"))
    for _ in probes:
        answer = _next(answers, deadline)
        if answer is None:
            break
        number, line = answer
        lines[number] = line
    return [one_line(mask(line))[:_LONGEST_LINE] for line in lines if line]


def _next(answers: queue.SimpleQueue[tuple[int, str]], deadline: float) -> tuple[int, str] | None:
    """Return the next answer, or None when none arrives until the deadline."""
    while True:
        left = max(0.0, deadline - time.monotonic())
        try:
            return answers.get(timeout=min(left, _CALL))
        except queue.Empty:
            if left <= _CALL:
                return None


def _become_child(questions: Callable[[], list[str]], seconds: float, writing: int) -> None:
    """Ask, and write the lines to the pipe ``writing``; ends this process."""
    try:
        forget_signals()
        # Ends this process even when its parent was killed and it hangs.
        signal.setitimer(signal.ITIMER_REAL, seconds + 2 * _GRACE)
        with os.fdopen(writing, "w") as pipe:
            json.dump(questions(), pipe)
    finally:
        os._exit(0)


def _read(pipe: int, deadline: float) -> bytes:
    """Return what arrives until the pipe is closed or the deadline is over."""
    data = b""
    while True:
        left = max(0.0, deadline - time.monotonic())
        if select.select([pipe], [], [], min(left, _CALL))[0]:
            part = os.read(pipe, 65536)
            if not part:
                break
            data += part
        elif left <= _CALL:
            break
    return data


def _ask_in_child(probes: Sequence[Probe], seconds: float, mask: Callable[[str], str]) -> list[str]:
    """Ask as ``ask`` does, and leave nothing behind: neither threads nor processes."""
    deadline = time.monotonic() + seconds + _GRACE
    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        return [f"{probe.name} cannot be asked: {error.strerror}" for probe in probes]
    if child == 0:
        _become_child(lambda: ask(probes, seconds, mask), seconds, writing)
    try:
        os.close(writing)
        answer = _read(reading, deadline)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
    try:
        lines: list[str] = json.loads(answer)
    except ValueError:
        return [f"{probe.name} cannot be asked: its probe was killed" for probe in probes]
    return lines


def wait(
    probes: Sequence[Probe],
    seconds: float,
    say: Callable[[str], None],
    mask: Callable[[str], str] = str,
) -> list[str]:
    """Ask again and again until all answer.

    Args:
        probes: what to ask.
        seconds: how long to go on; it ends a moment before rather than after.
        say: gets a line for each service that is waited for, whenever that line changes.
        mask: masks the secrets in a line.

    Returns:
        A line for each service that still does not answer.
    """
    deadline = time.monotonic() + seconds
    missing: list[str] = []
    while True:
        before, left = missing, deadline - time.monotonic()
        missing = _ask_in_child(probes, min(left, _ATTEMPT), mask)
        if not missing:
            return []
        for line in missing:
            if line not in before:
                say(f"waiting: {line}")
        time.sleep(max(0.0, min(_PAUSE, deadline - time.monotonic() - _SHORTEST)))
        if deadline - time.monotonic() <= _SHORTEST:
            return missing
