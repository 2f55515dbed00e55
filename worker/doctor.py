"""Reads a homeserver.yaml and a plan of workers, and says what is wrong before anything starts."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.check import shared_problems
from worker.documents import dropped
from worker.errors import ConfigError, shown
from worker.files import KEY_FILE_LIMIT, read_bounded
from worker.hosts import address
from worker.plan import PlannedWorker, contradictions, parse_plan, replicates
from worker.worker_types import Table, load_table


def read_plan(text: str, table: Table) -> tuple[PlannedWorker, ...]:
    """Return the plan that ``text`` is, or that stands in the file of that name.

    Raises:
        ConfigError: with every problem at once.
    """
    if "/" in text:
        path = Path(text)
        try:
            text = read_bounded(path, "the plan", KEY_FILE_LIMIT).decode()
        except UnicodeDecodeError as error:
            raise ConfigError(
                [f"{shown(path)}: the plan is not UTF-8: byte {error.start} is wrong; save it so"]
            ) from None
    return parse_plan(text, table)


def examine(
    homeserver: Mapping[str, Any], plan: tuple[PlannedWorker, ...], data: Path
) -> tuple[list[str], list[str]]:
    """Return what is wrong with ``homeserver`` for the workers of ``plan``, and warnings."""
    table = load_table()
    problems = shared_problems(
        homeserver, workers=bool(plan), redis=not table.has("tcp_replication")
    )
    problems += contradictions(homeserver, plan, table)
    federates = any("federation" in worker.type.resources for worker in plan)
    for name, needed in (("signing.key", True), ("tls.crt", federates), ("tls.key", federates)):
        if needed and not os.path.exists(data / name):
            problems.append(f"{data / name} is missing; every process that needs it must have it")
    return problems, dropped(homeserver)


def describe(plan: tuple[PlannedWorker, ...]) -> list[str]:
    """Return one line for each worker of ``plan``: name, roles, and who reaches it where."""
    table = load_table()
    lines = []
    for worker in plan:
        roles = "+".join(role.name for role in worker.type.roles)
        reached = f", replication at {address(worker.host, table.ports['replication'])}"
        lines.append(f"ok: {worker.name}: {roles}{reached if replicates(worker) else ''}")
    return lines


def scrape_targets(plan: tuple[PlannedWorker, ...], main_host: str) -> list[dict[str, Any]]:
    """Return what Prometheus scrapes, so that it can tell the processes apart.

    The form is that of ``file_sd_configs``; the labels ``job`` and ``index`` are those of the
    dashboards in Synapse's contrib/grafana.
    """
    port = load_table().ports["metrics"]
    rows = [("main", "main", "", main_host)]
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
