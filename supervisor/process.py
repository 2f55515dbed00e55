"""One process of the container, as the parent sees it."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from supervisor.output import LineSplitter, Output, PipeReader, json_line, text_line
from supervisor.spec import ProcessSpec

DRAINING = "draining"  # The file in the folder of a process that exists while it is drained.
_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 1.0, 60.0  # Between a death and the next start.
_SETTLED_SECONDS = 180.0  # After this long, a death has nothing to do with earlier ones.
_RECOVERED_SECONDS = 30.0  # After this long, a process no longer keeps dying.
MAX_DEATHS = 5  # With this many, the container is unhealthy.


@dataclass
class Restarts:
    """Counts the deaths of one process.

    Attributes:
        deaths: the number of deaths since it last ran for three minutes.
    """

    deaths: int = 0

    def died(self, ran_seconds: float) -> float:
        """Note that it died after ``ran_seconds``; return the seconds until its next start."""
        self.deaths = 1 if ran_seconds >= _SETTLED_SECONDS else self.deaths + 1
        # The exponent is limited, since two to the power of a thousand deaths is not a float.
        return min(_MAX_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(self.deaths - 1, 10))

    def keeps_dying(self, ran_seconds: float) -> bool:
        """Return whether it dies again and again.

        Args:
            ran_seconds: how long it has been running now; 0 if it is not.
        """
        return self.deaths >= MAX_DEATHS and ran_seconds < _RECOVERED_SECONDS


def end_of(status: int) -> str:
    """Return how a process ended, from its wait status."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


class Process:
    """The state of one process.

    Attributes:
        spec: what it runs.
        restarts: its deaths.
        pid: its process ID; 0 while it does not run.
        ready: whether it has answered since its last start.
        was_ready: whether it has ever answered.
        asked_to_end: whether it is to be restarted, so that its end does not count as a death.
        end: how it ended the last time, or "".
        ended_at: when that was, on the monotonic clock.
        last_run_seconds: how long it had run then.
        exit_code: that of its last end, negative for a signal; None if it has not ended.
        wake: set to end the pause before its next start.
        ended: set while it does not run after it has ended.
        became_ready: set while ``ready`` is.
    """

    def __init__(self, spec: ProcessSpec, log: Callable[[str], None]) -> None:
        """Start with a process that does not run; ``log`` writes a line of the parent's own."""
        self.spec, self._log = spec, log
        self.restarts = Restarts()
        self.pid = 0
        self.ready = self.was_ready = self.asked_to_end = False
        self.end = ""
        self.ended_at = self.last_run_seconds = self._started_at = 0.0
        self.exit_code: int | None = None
        self.wake = asyncio.Event()
        self.ended = asyncio.Event()
        self.became_ready = asyncio.Event()
        self._splitter = LineSplitter()
        self._reader: PipeReader | None = None

    @property
    def name(self) -> str:
        """Its name in the plan."""
        return self.spec.name

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.pid != 0

    @property
    def last_line(self) -> str:
        """The last line that it wrote."""
        return self._splitter.last

    @property
    def ran_seconds(self) -> float:
        """How long it has been running, or 0 if it is not."""
        return time.monotonic() - self._started_at if self.running else 0.0

    @property
    def _draining_file(self) -> Path:
        return Path(self.spec.folder) / DRAINING

    def prepare(self) -> None:
        """Remove the files that an earlier run left behind.

        Synapse locks each of its Unix sockets with a file that names its process ID; after a kill,
        that number may be another process's by now, and Synapse would not start.
        """
        locks = [f"{path}.lock" for path in self.spec.sockets]
        for path in (str(self._draining_file), *self.spec.sockets, *locks):
            with suppress(OSError):  # Synapse itself reports what keeps it from listening.
                os.unlink(path)

    def started(
        self, pid: int, pipe: int, output: Output, loop: asyncio.AbstractEventLoop, *, as_json: bool
    ) -> None:
        """Note that it runs as ``pid`` and writes to ``pipe``."""
        self.pid, self._started_at = pid, time.monotonic()
        self.ready = self.asked_to_end = False
        self.ended.clear()
        self.became_ready.clear()
        self._splitter = LineSplitter()
        self._reader = PipeReader(pipe, output, loop, self._lines(as_json=as_json))

    def not_started(self, reason: str) -> None:
        """Note that it could not be started."""
        self.end, self.ended_at = f"could not be started: {reason}", time.monotonic()
        self.last_run_seconds = 0.0
        self.asked_to_end = False
        self.ended.set()

    def _lines(self, *, as_json: bool) -> Callable[[bytes], bytes]:
        splitter, formatted = self._splitter, json_line if as_json else text_line

        def lines(data: bytes) -> bytes:
            complete = splitter.feed(data) if data else splitter.end()
            return b"".join(formatted(self.name, line) for line in complete)

        return lines

    def has_ended(self, status: int) -> None:
        """Note that it has ended with the wait status ``status``."""
        if self._reader is not None:
            self._reader.close()
        self.end, self.ended_at = end_of(status), time.monotonic()
        self.exit_code = os.waitstatus_to_exitcode(status)
        self.last_run_seconds = self.ran_seconds
        self.pid = 0
        self.ready = False
        self.became_ready.clear()
        self.ended.set()

    def is_ready(self) -> None:
        """Note that it answers."""
        if not self.ready:
            seconds = f"{self.ran_seconds:.1f} s"
            self._log(f"{self.name} (process {self.pid}) is healthy after {seconds}")
        self.ready = self.was_ready = True
        self.became_ready.set()

    def mark_draining(self) -> None:
        """Make it unready."""
        with suppress(OSError):  # A full disk must not keep the container from stopping.
            self._draining_file.touch(mode=0o600)

    @property
    def draining(self) -> bool:
        """Whether it is being drained before its stop."""
        return self._draining_file.exists()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it if it runs."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
