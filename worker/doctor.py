"""Reads a plan of workers for all processes at once: who they are, and what each would be given."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.documents import document_kind
from worker.errors import ConfigError, shown
from worker.examination import Examination
from worker.files import KEY_FILE_LIMIT, read_bounded
from worker.hosts import address, host_problem
from worker.plan import PlannedWorker, parse_plan, replicates
from worker.worker_types import load_table

MAIN = "main"  # What the main process is called here; no worker may have that name.


def read_plan(argument: str) -> str:
    """Return the plan that ``argument`` is, or that the file of that name contains.

    Raises:
        ConfigError: when there is no such file, or it is not text.
    """
    if "/" not in argument:
        return argument
    path = Path(argument)
    try:
        return read_bounded(path, "the plan", KEY_FILE_LIMIT).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(
            [f"{shown(path)}: the plan is not UTF-8: byte {error.start} is wrong; save it so"]
        ) from None


def planned(text: str) -> tuple[PlannedWorker, ...] | None:
    """Return the workers of the plan ``text``; None for an empty one, which is as good as unset.

    Raises:
        ConfigError: with every problem at once.
    """
    return parse_plan(text, load_table()) if text else None


def main_host(environ: Mapping[str, str]) -> str:
    """Return the host of the main process as workers are given it; ``main`` where it is not set.

    Raises:
        ConfigError: when it is not a host.
    """
    host = environ.get("SYNAPSE_REPLICATION_HOST") or MAIN
    if host_problem(host):
        raise ConfigError([f"SYNAPSE_REPLICATION_HOST={shown(host)!r} {host_problem(host)}"])
    return host


def environs(
    environ: Mapping[str, str], text: str, plan: tuple[PlannedWorker, ...]
) -> dict[str, dict[str, str]]:
    """Return the environment that each process of a plan gets, by its name; main is the first.

    Args:
        environ: what all of them are given.
        text: the plan, as ``SYNAPSE_WORKERS`` has it.
        plan: its workers.
    """
    shared = {
        name: value
        for name, value in environ.items()
        if name not in ("SYNAPSE_WORKER", "SYNAPSE_WORKER_NAME")
    }
    shared["SYNAPSE_WORKERS"] = text
    shared["SYNAPSE_REPLICATION_HOST"] = environ.get("SYNAPSE_REPLICATION_HOST") or MAIN
    processes = {MAIN: shared | {"SYNAPSE_WORKER": "synapse.app.homeserver"}}
    for worker in plan:
        processes[worker.name] = shared | {"SYNAPSE_WORKER_NAME": worker.name}
    return processes


def ask_synapse_for_each(found: Examination) -> None:
    """Let Synapse's own parser judge one process of each kind; add what it refuses.

    It takes two seconds to load, and a tenth of one for each question.
    """
    from worker.synapse_check import ask_synapse

    kinds: dict[object, list[str]] = {}
    for name, settings in found.settings.items():
        kinds.setdefault(document_kind(found.homeserver, settings), []).append(name)
    for names in kinds.values():
        try:
            ask_synapse(found.homeserver, found.settings[names[0]])
        except ConfigError as error:
            found.problems.add(error.problems, names)


def describe(plan: tuple[PlannedWorker, ...]) -> list[str]:
    """Return one line for each process: its name, its roles, and where others reach it."""
    table = load_table()
    port = table.ports["replication"]
    lines = [f"ok: {MAIN}: the main process"]
    for worker in plan:
        roles = "+".join(role.name for role in worker.type.roles)
        reached = f", replication at {address(worker.host, port)}"
        lines.append(
            f"ok: {worker.name}: {roles}{reached if replicates(worker.type, table) else ''}"
        )
    return lines


def scrape_targets(plan: tuple[PlannedWorker, ...], main_host: str) -> list[dict[str, Any]]:
    """Return what Prometheus scrapes, so that it can tell the processes apart.

    The form is that of ``file_sd_configs``; the labels ``job`` and ``index`` are those of the
    dashboards in Synapse's contrib/grafana.
    """
    port = load_table().ports["metrics"]
    rows = [(MAIN, MAIN, "", main_host)]
    for worker in plan:
        number = re.search("[0-9]+$", worker.name)
        roles = "+".join(role.name for role in worker.type.roles)
        rows.append((worker.name, roles, number[0] if number else "", worker.host))
    return [
        {
            "targets": [address(host, port)],
            "labels": {"instance": name, "job": job, "index": index or "1"},
        }
        for name, job, index, host in rows
    ]
