"""What the parent answers over HTTP and at the control socket."""

from http import HTTPStatus

from supervisor.control import Order, Report, shown
from supervisor.health import problems
from supervisor.parent import RESTART_DRAIN_SECONDS, Parent
from supervisor.process import Process
from supervisor.spec import MAIN
from supervisor.web import Answer, Request, json_answer

TARGETS = "/prometheus/targets"
_PATHS = f"/health, /health/NAME or {TARGETS}"


class Answers:
    """Answers questions about the processes, and requests to restart them."""

    def __init__(self, parent: Parent) -> None:
        """Answer for the processes of ``parent``."""
        self._parent = parent

    def _chosen(self, name: str) -> list[Process] | None:
        """Return the process called ``name``, all of them for "", or None if there is none."""
        if not name:
            return list(self._parent.processes.values())
        process = self._parent.processes.get(name)
        return [process] if process else None

    async def web(self, request: Request) -> Answer:
        """Return the answer to a request over HTTP.

        It says how a process ended, but not what it wrote, since anyone may ask.
        """
        if request.path == TARGETS:
            return json_answer(self._targets(request.host))
        if request.path == "/health":
            return await self._health("")
        name = request.path.removeprefix("/health/")
        if name and name != request.path and self._chosen(name):
            return await self._health(name)
        return Answer(
            HTTPStatus.NOT_FOUND, f"path {shown(request.path)}: is unknown; use {_PATHS}\n"
        )

    async def _health(self, name: str) -> Answer:
        unhealthy = await problems(self._chosen(name) or [], of_container=not name)
        if not unhealthy:
            return Answer(HTTPStatus.OK, "OK")
        lines = [f"{process} {problem}\n" for process, problem in unhealthy.items()]
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "".join(lines))

    def _targets(self, host: str) -> list[object]:
        """Return the document for ``http_sd_configs`` of Prometheus.

        Each process has a port of its own at the host to which Prometheus sent its request.
        """
        return [
            {
                "targets": [f"{host or one.metrics.host}:{one.metrics.port}"],
                "labels": dict(one.labels),
            }
            for one in (process.spec for process in self._parent.processes.values())
        ]

    async def control(self, order: Order, report: Report) -> list[str]:
        """Do what a verb asks for; return the problems."""
        verb, name = order.verb, order.name
        chosen = self._chosen(name)
        if chosen is None:
            names = ", ".join(self._parent.processes)
            return [f"{shown(name)} is not a process of this container; choose one of {names}"]
        if verb in ("health", "ready"):
            return await self._problems(chosen, ready=verb == "ready", strict=bool(name))
        if verb == "drain":
            return await self._parent.drain(chosen, order.seconds or RESTART_DRAIN_SECONDS)
        # The main process last, as in a stop.
        chosen.sort(key=lambda process: process.name == MAIN)
        for process in chosen:
            problem = await self._parent.restart(process)
            if problem:
                return [problem]
            report(f"restarted {process.name}")
        return []

    async def _problems(self, processes: list[Process], *, ready: bool, strict: bool) -> list[str]:
        unhealthy = await problems(processes, of_container=not (strict or ready))
        lines = []
        for process in processes:
            if process.name in unhealthy:
                last_line = process.last_line if not process.running else ""
                quoted = f"; its last line: {last_line}" if last_line else ""
                lines.append(f"{process.name} {unhealthy[process.name]}{quoted}")
            elif ready and process.draining:
                lines.append(f"{process.name} is being drained before its stop")
        return lines
