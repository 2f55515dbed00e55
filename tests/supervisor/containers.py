"""Starts the parent with small applications, and asks it questions."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from supervisor.control import Order, ask
from supervisor.spec import Address, ContainerSpec, ProcessSpec, dumps

DRIVER = Path(__file__).with_name("driver.py")
APP = "tests.supervisor.small_app"


def free_port() -> int:
    """Return a port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(ready: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Return once ``ready()`` is true; fail with ``what`` if it is not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


class Container:
    """A parent and its processes.

    Attributes:
        spec: what it runs.
        log: the file with what it writes.
    """

    def __init__(
        self,
        folder: Path,
        words: Mapping[str, Sequence[str]],
        *,
        as_json: bool = False,
        notify: str = "",
        **settings: Any,
    ) -> None:
        """Prepare a container.

        Args:
            folder: an existing folder for its files.
            words: what each process does, by name; see small_app.py.
            as_json: whether it logs JSON.
            notify: the socket of systemd, or "".
            settings: settings of every process.
        """
        self._folder, self._notify = folder, notify
        self.log = folder / "log"
        processes = []
        for name, of_one in words.items():
            own = folder / name
            own.mkdir()
            health, port = str(own / "health.sock"), free_port()
            values: dict[str, Any] = {"cpus": (), "oom_score": 0, "labels": {"instance": name}}
            processes.append(
                ProcessSpec(
                    name=name,
                    app=APP,
                    arguments=(health, str(port), *of_one),
                    folder=str(own),
                    health=Address(path=health),
                    metrics=Address(host="127.0.0.1", port=port),
                    sockets=(health,),
                    **values | settings,
                )
            )
        self.spec = ContainerSpec(
            processes=tuple(processes),
            folder=str(folder),
            bind_addresses=("127.0.0.1",),
            port=free_port(),
            log_json=as_json,
            modules_dir="",
        )
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self, *removed: str, output: int | None = None) -> "Container":
        """Start it, without the guards ``removed``; return itself."""
        (self._folder / "spec.json").write_text(dumps(self.spec))
        environ = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
        if self._notify:
            environ["NOTIFY_SOCKET"] = self._notify
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-u", str(DRIVER), str(self._folder / "spec.json"), *removed],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log if output is None else output,
                stderr=log,
            )
        return self

    @property
    def pid(self) -> int:
        """The process ID of the parent."""
        assert self._popen is not None
        return self._popen.pid

    def pids(self) -> dict[str, int]:
        """Return the process ID of each process that runs, by name."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except OSError:
            return {}
        names = {one.name for one in self.spec.processes}
        found = {}
        for pid in map(int, children):
            try:
                name = Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                continue
            if name in names:
                found[name] = pid
        return found

    def healthy(self, name: str = "") -> bool:
        """Return whether all processes are healthy, or one."""
        return self.get(f"/health/{name}" if name else "/health")[0] == 200

    def wait_healthy(self) -> "Container":
        """Return itself once all processes are healthy."""
        until(self.healthy, f"all are healthy; the log is {self.text()}")
        return self

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Send a request to the port for health; return status (0 without an answer) and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.spec.port, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def ask(self, verb: str, name: str = "", seconds: float = 0.0) -> tuple[list[str], list[str]]:
        """Send an order to the control socket; return the lines of its answer, and the problems."""
        lines: list[str] = []
        problems = ask(self.spec.control_path, Order(verb, name, seconds), lines.append, 60)
        return lines, problems

    def text(self) -> str:
        """Return what was logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def lines(self, name: str) -> list[str]:
        """Return what a process wrote."""
        prefix = f"{name} | "
        lines = self.text().splitlines()
        return [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]

    def report(self, name: str) -> dict[str, Any]:
        """Return what a process said about itself."""
        until(lambda: any(line.startswith("{") for line in self.lines(name)), f"{name} reports")
        found: dict[str, Any] = json.loads(
            next(line for line in self.lines(name) if line.startswith("{"))
        )
        return found

    def wait(self, seconds: float) -> int:
        """Return the exit code of the parent once it has ended by itself."""
        assert self._popen is not None
        return self._popen.wait(seconds)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to the parent; return its exit code."""
        assert self._popen is not None
        self._popen.send_signal(number)
        return self._popen.wait(40)

    def kill(self) -> None:
        """Kill the parent and its processes, if they still run."""
        if self._popen is not None and self._popen.poll() is None:
            pids = self.pids().values()
            self._popen.kill()
            self._popen.wait()
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue


Make = Callable[..., Container]


@contextmanager
def containers() -> Iterator[Make]:
    """Yield a function that makes containers, which are killed at the end."""
    made: list[Container] = []
    # The path of a socket may have at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="parent.", dir="/tmp") as folder:

        def one(words: Mapping[str, Sequence[str]], **settings: Any) -> Container:
            own = Path(folder) / str(len(made))
            own.mkdir()
            made.append(Container(own, words, **settings))
            return made[-1]

        try:
            yield one
        finally:
            for container in made:
                container.kill()


@pytest.fixture
def make() -> Iterator[Make]:
    """Yield a function that makes containers."""
    with containers() as one:
        yield one
