"""Starts, watches and stops a process of a cluster by its process ID."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

_WAITING = ("bwrap", "unshare")  # They stay as the parents of what they start.


class StartError(Exception):
    """A process did not become ready; the message contains the end of its log."""


class Process:
    """A process in its own container, with its log in a file.

    Attributes:
        name: the name of the process in messages.
        command: the command line, including bwrap's.
        log: the file with its output.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        """Prepare the process without starting it."""
        self.name = name
        self.command = list(command)
        self.log = log
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; append its output to the log."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C must reach only the caller, which stops the cluster in order.
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Return whether it was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        """Return the process ID of the process itself, not of a program that waits for it."""
        assert self._popen is not None, f"{self.name} was not started"
        pid = self._popen.pid
        while True:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if name not in _WAITING or not children:
                return pid
            pid = int(children[0])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself if it is running."""
        if self.running:
            os.kill(self.pid, number)

    def wait(self, seconds: float) -> int:
        """Return its exit code; kill it if it has not ended after ``seconds``."""
        assert self._popen is not None
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def stop(self, seconds: float = 20) -> int:
        """Send SIGTERM, and kill it after ``seconds``; return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> int:
        """Send SIGKILL, as the kernel's out-of-memory killer would; return its exit code."""
        self.signal(signal.SIGKILL)
        assert self._popen is not None
        return self._popen.wait(20)

    def tail(self, lines: int = 30) -> str:
        """Return the end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def wait_until(
        self, ready: Callable[[], bool], seconds: float = 90, *, every: float = 0.05
    ) -> None:
        """Return once ``ready()`` is true; it is polled every ``every`` seconds.

        Raises:
            StartError: if the process ends or is not ready within ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise StartError(f"{self.name} ended:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} is not ready after {seconds:g} s:\n{self.tail()}")
            time.sleep(every)


class Forked(Process):
    """A process that a parent in a container has forked, and that it starts again."""

    def __init__(self, name: str, parent: Process) -> None:
        """Take the process ``name`` among the children of ``parent``."""
        super().__init__(name, parent.command, parent.log)
        self._parent = parent

    def start(self) -> None:
        """Return once its parent has started it again."""
        self._parent.wait_until(lambda: self.running)

    def _find(self) -> int:
        """Return its process ID, or 0 if it does not run; its parent names it after itself."""
        if not self._parent.running:
            return 0
        parent = self._parent.pid
        for pid in map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split()):
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == self.name[:15]:
                    return pid
        return 0

    @property
    def running(self) -> bool:
        """Return whether it runs."""
        return self._find() != 0

    @property
    def pid(self) -> int:
        """Return its process ID."""
        pid = self._find()
        assert pid, f"{self.name} does not run"
        return pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it if it runs."""
        with suppress(ProcessLookupError):
            pid = self._find()
            if pid:
                os.kill(pid, number)

    def wait(self, seconds: float) -> int:
        """Wait until the process that runs now has ended; only its parent learns its exit code."""
        pid, deadline = self._find(), time.monotonic() + seconds
        while pid and Path(f"/proc/{pid}").exists():
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} has not ended after {seconds:g} s")
            time.sleep(0.02)
        return 0

    def wait_until(
        self, ready: Callable[[], bool], seconds: float = 90, *, every: float = 0.05
    ) -> None:
        """Return once ``ready()`` is true, even if it ends and is started again until then."""
        self._parent.wait_until(ready, seconds, every=every)

    def kill(self) -> int:
        """Send SIGKILL, and wait for its end."""
        pid = self._find()
        if pid:
            os.kill(pid, signal.SIGKILL)
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.02)
        return 0


def answers(host: str, port: int) -> bool:
    """Return whether ``host`` accepts TCP connections at ``port``."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def memory(pid: int) -> float:
    """Return a process's memory in MiB, with shared pages divided among the sharers (PSS)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, in seconds (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
