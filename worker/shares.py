"""Several processes of a plan in one container: which ones, their ports, and their own values.

In a container that runs one process, each port is the same for all processes, since each has an
address of its own.  Processes that share an address need different ports: the main process keeps
the usual ones, and each worker has those of its place in the plan.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from supervisor.spec import MAIN
from worker.environ import EnvironReader
from worker.errors import shown
from worker.plan import PlannedWorker
from worker.worker_types import Table

ALL = "all"
# A worker's port is this plus its place in the plan, from 1; a plan has at most 500 workers.
WORKER_PORTS = {
    "health": 17500,
    "client": 18000,
    "federation": 18500,
    "metrics": 19000,
    "replication": 19500,
}
# Variables that may hold values of their own for some processes: ``VALUE, NAME=VALUE``.
PER_PROCESS = ("SYNAPSE_CPU_AFFINITY", "SYNAPSE_LOG_LEVEL", "SYNAPSE_OOM_SCORE")


def share_problem(text: str, plan: Sequence[PlannedWorker] | None) -> str:
    """Return what is wrong with ``SYNAPSE_PROCESSES``, or "".

    Returns:
        The end of a sentence that starts with the setting.
    """
    if plan is None:
        return "needs a plan; set SYNAPSE_WORKERS, or unset SYNAPSE_PROCESSES to run one process"
    known = [MAIN, *(worker.name for worker in plan)]
    choices = f"choose all, or some of {', '.join(known)}"
    names = _listed(text)
    if names == [ALL]:
        return ""
    for name in names:
        if name not in known:
            return f"names {shown(repr(name))}, which is not in SYNAPSE_WORKERS; {choices}"
        if names.count(name) > 1:
            return f"names {name} twice; remove one"
    return "" if names else f"names no process; {choices}"


def read_share(reader: EnvironReader, plan: Sequence[PlannedWorker] | None) -> tuple[str, ...]:
    """Return the processes that run in this container together; none if it runs only one."""
    text = reader.text("SYNAPSE_PROCESSES")
    if not text:
        return ()
    if plan is None or share_problem(text, plan):
        reader.add_problem("SYNAPSE_PROCESSES", share_problem(text, plan))
        return ()
    return share(text, plan)


def own_sockets_dir(runtime_dir: Path) -> Path:
    """Return the folder of Unix sockets that processes which share a container have by default."""
    return runtime_dir / "sockets"


def read_sockets_dir(reader: EnvironReader, table: Table, runtime_dir: Path) -> Path | None:
    """Return the folder of the Unix sockets, or None if there are only ports.

    By default, a container with all processes has one.  One with some of them must be reached by
    the others, so it uses ports.
    """
    text = reader.text("SYNAPSE_UNIX_SOCKETS")
    if text == "off":
        return None
    if not text:
        together = _listed(reader.text("SYNAPSE_PROCESSES")) == [ALL]
        return own_sockets_dir(runtime_dir) if together and table.has("unix_sockets") else None
    if not table.has("unix_sockets"):
        reader.add_problem(
            "SYNAPSE_UNIX_SOCKETS",
            f"needs Synapse 1.{table.features['unix_sockets'][0]} or newer, but this is "
            f"{table.version}; unset it",
        )
    return reader.path("SYNAPSE_UNIX_SOCKETS", "/")


def share(text: str, plan: Sequence[PlannedWorker]) -> tuple[str, ...]:
    """Return the names of the processes of this container, in the order of the plan, main first."""
    known = [MAIN, *(worker.name for worker in plan)]
    names = _listed(text)
    return tuple(known) if names == [ALL] else tuple(name for name in known if name in names)


def host_of(worker: PlannedWorker, main_host: str, text: str) -> str:
    """Return the host at which others reach a worker.

    Without a host in the plan, a worker has its name as its host, but where all processes are in
    one container, that of the main process.

    Args:
        worker: the worker.
        main_host: the host of the main process.
        text: ``SYNAPSE_PROCESSES`` of the containers; "" if each runs one process.
    """
    together = _listed(text) == [ALL] and worker.host == worker.name
    return main_host if together else worker.host


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def ports_of(
    name: str, plan: Sequence[PlannedWorker], ports: Mapping[str, int]
) -> Mapping[str, int]:
    """Return the port of each kind of listener of the process ``name``.

    Args:
        name: the name of a worker, or "" or ``main`` for the main process.
        plan: every worker of the homeserver.
        ports: the ports of a process that has an address of its own.
    """
    if name in ("", MAIN):
        # The parent answers at the usual port for health.
        return {**ports, "health": WORKER_PORTS["health"]}
    place = next(place for place, worker in enumerate(plan, 1) if worker.name == name)
    return {**ports, **{kind: first + place for kind, first in WORKER_PORTS.items()}}


def _split(text: str) -> tuple[str, dict[str, str]]:
    """Return the value for every process, and the values of single processes by name."""
    parts = [part.partition("=") for part in text.split(",")]
    general = ",".join(key.strip() for key, equals, _ in parts if not equals)
    return general, {key.strip(): value.strip() for key, equals, value in parts if equals}


def own_values(environ: Mapping[str, str], name: str) -> dict[str, str]:
    """Return ``environ`` as it is for the process ``name``, whose values replace general ones.

    Only processes that share a container have such values.
    """
    chosen = dict(environ)
    if not environ.get("SYNAPSE_PROCESSES"):
        return chosen
    for variable in PER_PROCESS:
        general, own = _split(environ.get(variable, ""))
        if own:
            chosen[variable] = own.get(name, general)
    return chosen


def unknown_names(environ: Mapping[str, str], plan: Sequence[PlannedWorker]) -> list[str]:
    """Return one line for each variable that has a value for a process that is not in the plan."""
    known = {MAIN, *(worker.name for worker in plan)}
    return [
        f"{variable} has a value for {shown(repr(name))}, which is not in SYNAPSE_WORKERS; correct "
        "the name"
        for variable in PER_PROCESS
        for name in _split(environ.get(variable, ""))[1]
        if name not in known
    ]
