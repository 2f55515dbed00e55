"""Reads a plan of workers, and determines the environment and targets of all its processes."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.documents import document_kind
from worker.errors import ConfigError, shown
from worker.examination import Examination
from worker.files import MAX_KEY_FILE_BYTES, read_bounded
from worker.hosts import address, host_problem
from worker.plan import PlannedWorker, parse_plan, replicates
from worker.replicas import VARIABLE
from worker.shares import host_of, ports_of
from worker.worker_types import load_table

MAIN = "main"  # The name of the main process here; no worker may have this name.


def read_plan(argument: str) -> str:
    """Return ``argument``, or the contents of the file that it names if it contains a slash.

    Raises:
        ConfigError: if the file cannot be read, or is not UTF-8.
    """
    if "/" not in argument:
        return argument
    path = Path(argument)
    try:
        return read_bounded(path, "the plan", MAX_KEY_FILE_BYTES).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(
            [
                f"{shown(path)}: the plan is not UTF-8: byte {error.start} is invalid; save it as "
                "UTF-8"
            ]
        ) from None


def planned(plan_text: str) -> tuple[PlannedWorker, ...] | None:
    """Return the workers of a plan, or None if its text is empty, which is the same as unset.

    Raises:
        ConfigError: if `parse_plan` finds problems.
    """
    return parse_plan(plan_text, load_table()) if plan_text else None


def main_host(environ: Mapping[str, str]) -> str:
    """Return the host at which workers reach the main process; ``main`` if it is not set.

    Raises:
        ConfigError: if it is not a valid host.
    """
    host = environ.get("SYNAPSE_REPLICATION_HOST") or MAIN
    if host_problem(host):
        raise ConfigError([f"SYNAPSE_REPLICATION_HOST={shown(host)!r} {host_problem(host)}"])
    return host


def environs(
    environ: Mapping[str, str], plan_text: str, plan: tuple[PlannedWorker, ...]
) -> dict[str, dict[str, str]]:
    """Return the environment of each process of a plan by name; the main process is first.

    Args:
        environ: the environment that all of them get.
        plan_text: the plan, as in ``SYNAPSE_WORKERS``.
        plan: the workers of the plan.
    """
    shared = {
        name: value
        for name, value in environ.items()
        if name not in ("SYNAPSE_WORKER", "SYNAPSE_WORKER_NAME", VARIABLE)
    }
    shared["SYNAPSE_WORKERS"] = plan_text
    shared["SYNAPSE_REPLICATION_HOST"] = environ.get("SYNAPSE_REPLICATION_HOST") or MAIN
    process_environs = {MAIN: shared | {"SYNAPSE_WORKER": "synapse.app.homeserver"}}
    for worker in plan:
        process_environs[worker.name] = shared | {"SYNAPSE_WORKER_NAME": worker.name}
    return process_environs


def ask_synapse_for_each(examination: Examination) -> None:
    """Check one process of each kind with Synapse's own parser; add the problems that it finds.

    The parser takes two seconds to load, and a tenth of a second for each check.
    """
    from worker.synapse_check import ask_synapse

    names_by_kind: dict[object, list[str]] = {}
    for name, settings in examination.settings.items():
        names_by_kind.setdefault(document_kind(examination.homeserver, settings), []).append(name)
    for names in names_by_kind.values():
        try:
            ask_synapse(examination.homeserver, examination.settings[names[0]])
        except ConfigError as error:
            examination.problems.add(error.problems, names)


def describe(plan: tuple[PlannedWorker, ...]) -> list[str]:
    """Return one line for each process: name, worker types, and the replication address if any."""
    table = load_table()
    port = table.ports["replication"]
    lines = [f"ok: {MAIN}: the main process"]
    for worker in plan:
        replication = f", replication at {address(worker.host, port)}"
        lines.append(
            f"ok: {worker.name}: {worker.process.joined}"
            f"{replication if replicates(worker.process, table) else ''}"
        )
    return lines


def target_labels(name: str, job: str) -> dict[str, str]:
    """Return the labels that distinguish a process for Prometheus.

    ``job`` and ``index`` are those that the dashboards in Synapse's contrib/grafana use.

    Args:
        name: the name of the process.
        job: its worker types, or ``main``.
    """
    number = re.search("[0-9]+$", name)
    return {"instance": name, "job": job, "index": number[0] if number else "1"}


def scrape_targets(
    plan: tuple[PlannedWorker, ...], main_host: str, processes: str = ""
) -> list[dict[str, Any]]:
    """Return the targets for Prometheus, in the format of ``file_sd_configs``.

    Args:
        plan: the workers.
        main_host: the host of the main process.
        processes: ``SYNAPSE_PROCESSES`` of the containers.
    """
    ports = load_table().ports
    rows = [(MAIN, MAIN, main_host)]
    for worker in plan:
        rows.append((worker.name, worker.process.joined, host_of(worker, main_host, processes)))
    return [
        {
            "targets": [
                address(host, (ports_of(name, plan, ports) if processes else ports)["metrics"])
            ],
            "labels": target_labels(name, job),
        }
        for name, job, host in rows
    ]
