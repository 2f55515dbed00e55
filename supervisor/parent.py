"""The parent: starts the processes, restarts those that die, and stops all of them in order."""

import asyncio
import os
import signal
import traceback
from collections.abc import Coroutine, Mapping, Sequence

from supervisor.health import get, problem_of
from supervisor.notify import notify
from supervisor.output import Output, own_line
from supervisor.process import Process, Restarts
from supervisor.requests import in_flight
from supervisor.spec import MAIN, ContainerSpec

# Together at most 28 s, since docs/operating.md asks for 30 s to stop a container.
_DRAIN_SECONDS, _WORKER_SECONDS, _MAIN_SECONDS, _FLUSH_SECONDS = 5.0, 11.0, 11.0, 1.0
RESTART_DRAIN_SECONDS, _END_SECONDS, _READY_SECONDS = 15.0, 20.0, 120.0
_POLL_SECONDS = 0.1
_DRAIN_POLL_SECONDS, _QUIET_POLLS = 0.2, 3
_SOFTWARE_ERROR = 70  # EX_SOFTWARE of sysexits.h.


class Parent:
    """All processes of the container.

    Attributes:
        processes: the processes by name, in the order of the spec.
        exit_code: the exit code of the container; valid once ``next_start`` has returned None.
    """

    def __init__(
        self, spec: ContainerSpec, output: Output, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Prepare it; nothing is started yet."""
        self.processes = {one.name: Process(one, self.log) for one in spec.processes}
        self.exit_code = 0
        self._spec, self._output, self._loop = spec, output, loop
        self._starts: asyncio.Queue[Process | None] = asyncio.Queue()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._restarting = asyncio.Lock()

    def log(self, text: str) -> None:
        """Write a line of the parent's own."""
        self._output.write(own_line(text, as_json=self._spec.log_json))

    def open(self) -> None:
        """Handle signals, and begin to start the processes."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop, number)
        self._loop.add_signal_handler(signal.SIGHUP, self._forward, signal.SIGHUP)
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)
        self._spawn(self._begin())

    async def next_start(self) -> Process | None:
        """Return the next process to fork, or None once all have ended."""
        while True:
            process = await self._starts.get()
            if process is None or not self._stopping.is_set():
                return process

    def forked(self, process: Process, pid: int, pipe: int) -> None:
        """Note that ``process`` was forked."""
        process.started(pid, pipe, self._output, self._loop, as_json=self._spec.log_json)
        self._spawn(self._watch(process, pid))

    def not_forked(self, process: Process, error: OSError) -> None:
        """Note that ``process`` could not be forked, for example for lack of memory."""
        process.not_started(error.strerror or "unknown error")

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._is_done)

    def _is_done(self, task: asyncio.Task[None]) -> None:
        """Forget a task; if it failed, end with all processes, since its work would stay undone."""
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            traceback.print_exception(task.exception())
            os._exit(_SOFTWARE_ERROR)

    async def _begin(self) -> None:
        """Start the main process, which migrates the database alone, and then the others."""
        main = self.processes.get(MAIN)
        if main is not None:
            self._spawn(self._keep(main))
            await main.became_ready.wait()
        for process in self.processes.values():
            if process is not main and not self._stopping.is_set():
                self._spawn(self._keep(process))
        for process in self.processes.values():
            await process.became_ready.wait()
        notify("READY=1")

    async def _keep(self, process: Process) -> None:
        """Start ``process``, and start it again whenever it has ended."""
        while not self._stopping.is_set():
            process.wake.clear()
            self._starts.put_nowait(process)
            await process.ended.wait()
            process.ended.clear()
            if self._stopping.is_set() or process.asked_to_end:
                continue
            seconds = process.restarts.died(process.last_run_seconds)
            quoted = f"; its last line: {process.last_line}" if process.last_line else ""
            self.log(f"{process.name} {process.end}; it starts again in {seconds:g} s{quoted}")
            try:
                await asyncio.wait_for(process.wake.wait(), seconds)
            except TimeoutError:
                pass

    async def _watch(self, process: Process, pid: int) -> None:
        """Note when ``process`` answers for the first time since its start."""
        while process.pid == pid and await problem_of(process):
            await asyncio.sleep(_POLL_SECONDS)

    def _forward(self, number: signal.Signals) -> None:
        for process in self.processes.values():
            process.signal(number)

    def _reap(self) -> None:
        """Collect every process that has ended, whether ours or an orphan of one of them."""
        by_pid = {one.pid: one for one in self.processes.values() if one.running}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in by_pid:
                by_pid[pid].has_ended(status)

    def _stop(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        notify("STOPPING=1")
        self.log(f"{number.name}: all processes are drained and stopped")
        self._spawn(self._end_all())

    async def _end_all(self) -> None:
        main = self.processes.get(MAIN)
        workers = [one for one in self.processes.values() if one is not main]
        await self.drain([one for one in self.processes.values() if one.ready], _DRAIN_SECONDS)
        await self._end(workers, _WORKER_SECONDS)
        await self._end([main] if main else [], _MAIN_SECONDS)
        codes = [one.exit_code for one in self.processes.values() if one.exit_code]
        self.exit_code = 128 + abs(min(codes)) if codes and min(codes) < 0 else max([0, *codes])
        for _ in range(int(_FLUSH_SECONDS / _POLL_SECONDS)):
            if self._output.empty:
                break
            await asyncio.sleep(_POLL_SECONDS)
        self._starts.put_nowait(None)

    async def _end(self, processes: Sequence[Process], seconds: float) -> None:
        """Ask processes to end, and kill those that have not after ``seconds``."""
        pids = {process: process.pid for process in processes if process.running}
        for process in pids:
            process.signal(signal.SIGTERM)
        if await self._all_end(pids, seconds):
            return
        for process, pid in pids.items():
            if process.pid == pid:
                self.log(f"{process.name} has not ended within {seconds:g} s and is killed")
                process.signal(signal.SIGKILL)
        await self._all_end(pids, seconds)

    async def _all_end(self, pids: Mapping[Process, int], seconds: float) -> bool:
        """Return whether each process no longer runs with its process ID within ``seconds``."""
        deadline = self._loop.time() + seconds
        while any(process.pid == pid for process, pid in pids.items()):
            if self._loop.time() > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS / 2)
        return True

    async def drain(self, processes: Sequence[Process], seconds: float) -> list[str]:
        """Make processes unready, and wait until no request to them is in flight.

        Returns:
            A line for each that still has requests in flight after ``seconds``.
        """
        for process in processes:
            process.mark_draining()
        answers = await asyncio.gather(*(self._drain(process, seconds) for process in processes))
        return [line for line in answers if line]

    async def _drain(self, process: Process, seconds: float) -> str:
        deadline, quiet_polls = self._loop.time() + seconds, 0
        while process.running:
            try:
                left = max(0.1, deadline - self._loop.time())
                _, body = await get(process.spec.metrics, "/_synapse/metrics", min(left, 5.0))
            except OSError:
                return f"{process.name}: its metrics do not answer"
            servlets = in_flight(body.decode(errors="replace"))
            quiet_polls = 0 if servlets else quiet_polls + 1
            if quiet_polls >= _QUIET_POLLS:
                return ""
            if self._loop.time() + _DRAIN_POLL_SECONDS > deadline:
                names = ", ".join(servlets) or "new ones"
                return f"{process.name}: after {seconds:g} s, requests are still in flight: {names}"
            await asyncio.sleep(_DRAIN_POLL_SECONDS)
        return ""

    async def restart(self, process: Process) -> str:
        """Drain, end and start one process; return why it is not healthy afterwards, or ""."""
        async with self._restarting:
            if self._stopping.is_set():
                return f"{process.name}: the container is being stopped"
            process.restarts = Restarts()  # Whoever asks has removed the cause of its deaths.
            if process.running:
                problems = await self.drain([process], RESTART_DRAIN_SECONDS)
                for line in problems:
                    self.log(line)
                process.asked_to_end = True
                await self._end([process], _END_SECONDS)
            else:
                process.wake.set()
            try:
                await asyncio.wait_for(process.became_ready.wait(), _READY_SECONDS)
            except TimeoutError:
                return f"{process.name} is not healthy {_READY_SECONDS:g} s after its restart"
            return ""
