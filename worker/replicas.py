"""Names for the replicas of a worker, each of which is named after the host of its container.

No configuration names workers that write no stream and have no duty, so an engine may run any
number of them.  Container engines give each container a host name of its own; that of a pod in
Kubernetes is the name of the pod.
"""

import socket
from collections.abc import Sequence

from worker.environ import EnvironReader
from worker.errors import shown
from worker.plan import NAME, RESERVED_NAMES, PlannedWorker, is_stateless
from worker.worker_types import GENERIC, ProcessType, Table

VARIABLE = "SYNAPSE_WORKER_NAME_FROM"


def _choices(table: Table) -> str:
    """Return the worker types that may have replicas, for an error message."""
    return ", ".join(
        name
        for name, worker_type in table.types.items()
        if is_stateless(ProcessType(GENERIC, (worker_type,), named_by_type=True), table)
    )


def replica_name(
    reader: EnvironReader,
    table: Table,
    process: ProcessType | None,
    plan: Sequence[PlannedWorker] | None,
) -> str:
    """Return the host name as the name of this worker, or report to ``reader`` why it cannot be.

    Args:
        reader: the environment, in which ``VARIABLE`` is set.
        table: the table of the Synapse that is run.
        process: the type of the process; None if SYNAPSE_WORKER is not set.
        plan: the workers of the plan, or None without one.
    """
    if reader.text(VARIABLE) != "hostname":
        reader.add_problem(VARIABLE, "is not supported; use hostname, or unset the variable")
    elif reader.text("SYNAPSE_WORKER_NAME"):
        reader.add_problem("SYNAPSE_WORKER_NAME", f"contradicts {VARIABLE}; unset one of them")
    elif process is None:
        reader.problems.append(
            f"SYNAPSE_WORKER is not set, but {VARIABLE} needs it; choose one of {_choices(table)}"
        )
    elif process.is_main:
        reader.add_problem(VARIABLE, "is set for the main process, which has no name; unset it")
    elif not is_stateless(process, table):
        reader.add_problem(
            "SYNAPSE_WORKER",
            "is a type whose workers the shared configuration lists by name, so this worker cannot "
            f"be named after its host; set SYNAPSE_WORKER_NAME instead of {VARIABLE}, or use only "
            f"{_choices(table)}",
        )
    elif plan is not None and not any(worker.process.types == process.types for worker in plan):
        reader.add_problem(
            "SYNAPSE_WORKER", "is not in SYNAPSE_WORKERS; add it there, or correct SYNAPSE_WORKER"
        )
    else:
        return _host_name(reader, process, plan or ())
    return ""


def _host_name(reader: EnvironReader, process: ProcessType, plan: Sequence[PlannedWorker]) -> str:
    name = socket.gethostname()
    if not NAME.fullmatch(name) or name in RESERVED_NAMES:
        reader.problems.append(
            f"{VARIABLE}=hostname: the host name {shown(repr(name))} is not a valid worker name; "
            "use at most 64 characters of A-Z a-z 0-9 _ . -, but neither main nor master"
        )
    for worker in plan:
        if worker.name == name and worker.process.types != process.types:
            reader.problems.append(
                f"{VARIABLE}=hostname: in SYNAPSE_WORKERS, {name} is {worker.process.joined}; give "
                "this container another host name"
            )
    return name
