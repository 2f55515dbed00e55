"""A plan of workers, which is the same for every process, and the shared settings derived from it.

The rules are from docs/workers.md and "instance_map", "stream_writers" of the configuration manual.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.errors import ConfigError, shown
from worker.hosts import host_problem, unbracketed
from worker.worker_types import ProcessType, Table

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MAIN_WRITER = "master"  # The name of the main process in ``stream_writers``.
RESERVED_NAMES = ("main", MAIN_WRITER)  # Synapse's own names for the main process.
_MAX_WORKERS = 500  # Workers; more than any cluster has, to catch a typing error such as :1000000.
_MAX_PROBLEMS = 50  # Lines to report for one plan.
_ENTRY = re.compile(
    r"(?:(?P<name>[^=:@]+)=)?(?P<type>[^=:@]+)(?::(?P<count>[^=:@]+))?(?:@(?P<host>.+))?"
)


@dataclass(frozen=True)
class PlannedWorker:
    """One worker of a plan.

    Attributes:
        name: its ``worker_name``.
        process: what it runs.
        host: the host at which other processes reach it.
        entry: the name that all workers of its entry in the plan have in common, or "".
    """

    name: str
    process: ProcessType
    host: str
    entry: str = ""


def _quoted(text: str) -> str:
    return shown(repr(text))


def _entry_workers(entry: str, table: Table, problems: list[str]) -> list[PlannedWorker]:
    match = _ENTRY.fullmatch(entry)
    shown_entry = f"SYNAPSE_WORKERS: {_quoted(entry)}"
    if match is None:
        problems.append(
            f"{shown_entry} is not a valid entry; write [NAME=]TYPE[+TYPE...][:COUNT][@HOST]"
        )
        return []
    process = table.find(match["type"].strip())
    if process is None:
        problems.append(
            f"SYNAPSE_WORKERS: {_quoted(match['type'])} is not a worker_app or worker type; choose "
            f"one of {table.choices()}"
        )
        return []
    if process.is_main:
        problems.append(f"{shown_entry} is the main process, which is always included; remove it")
        return []
    if table.process_problem(process):
        problems.append(f"{shown_entry}: {table.process_problem(process)}; remove it")
        return []
    count_text = (match["count"] or "1").strip()
    count = int(count_text) if re.fullmatch("[0-9]{1,6}", count_text) else 0
    if not 1 <= count <= _MAX_WORKERS:
        problems.append(
            f"{shown_entry}: {_quoted(count_text)} is not a count from 1 to {_MAX_WORKERS}"
        )
        return []
    base_name = (match["name"] or process.slug).strip()
    names = (
        [base_name]
        if match["count"] is None
        else [f"{base_name}{number}" for number in range(1, count + 1)]
    )
    if not NAME.fullmatch(names[-1]) or base_name in RESERVED_NAMES:
        problems.append(
            f"SYNAPSE_WORKERS: {_quoted(base_name)} is not a valid worker name; use at most 64 "
            "characters of A-Z a-z 0-9 _ . -, but neither main nor master"
        )
        return []
    host = (match["host"] or "").strip()
    if host and count > 1:
        problems.append(
            f"{shown_entry}: {_quoted(host)} would be the host of several workers; write one entry "
            "for each worker"
        )
        return []
    problem = (host_problem(host) or table.host_problem(host)) if host else ""
    if problem:
        problems.append(f"{shown_entry}: {_quoted(host)} {problem}")
        return []
    for name in names:
        if not host and host_problem(name):
            problems.append(
                f"SYNAPSE_WORKERS: {name!r} is also the host of that worker, but it "
                f"{host_problem(name)}; or add @HOST"
            )
            return []
    return [PlannedWorker(name, process, unbracketed(host) or name, base_name) for name in names]


def parse_plan(plan_text: str, table: Table) -> tuple[PlannedWorker, ...]:
    """Return the workers of a plan: entries separated by commas or lines; ``#`` starts a comment.

    Raises:
        ConfigError: if there are problems, with at most ``_MAX_PROBLEMS`` of them.
    """
    problems: list[str] = []
    workers: list[PlannedWorker] = []
    for line in plan_text.splitlines():
        for entry in line.partition("#")[0].split(","):
            if entry.strip():
                workers += _entry_workers(entry.strip(), table, problems)
            if len(workers) > _MAX_WORKERS or len(problems) > _MAX_PROBLEMS:
                raise ConfigError(_limited(problems, too_many=len(workers) > _MAX_WORKERS))
    problems += _clashes(workers)
    if problems:
        raise ConfigError(_limited(problems))
    return tuple(workers)


def _limited(problems: list[str], *, too_many: bool = False) -> list[str]:
    """Return the first ``_MAX_PROBLEMS`` problems, and a line for each limit that was exceeded."""
    lines = problems[:_MAX_PROBLEMS]
    if len(problems) > _MAX_PROBLEMS:
        lines.append("SYNAPSE_WORKERS has more problems than these; fix these first")
    if too_many:
        lines.append(
            f"SYNAPSE_WORKERS has more than {_MAX_WORKERS} workers; plan at most {_MAX_WORKERS}"
        )
    return lines


def _clashes(workers: Sequence[PlannedWorker]) -> list[str]:
    """Return a line for each name used twice, and each single-worker type with two workers."""
    problems = []
    count_by_name = Counter(worker.name for worker in workers)
    for name in sorted(name for name, count in count_by_name.items() if count > 1):
        problems.append(
            f"SYNAPSE_WORKERS: the name {name} is given {count_by_name[name]} times; workers with "
            "the same name ignore each other's updates, so deleted access tokens stay valid: give "
            "each worker its own name"
        )
    holders_by_type: dict[str, list[str]] = {}
    for worker in workers:
        for worker_type in worker.process.types:
            if not worker_type.many:
                holders_by_type.setdefault(worker_type.name, []).append(worker.name)
    for type_name, holders in holders_by_type.items():
        if len(holders) > 1:
            problems.append(
                f"SYNAPSE_WORKERS: {', '.join(holders)} all have the worker type {type_name}, "
                "which only one worker may have; remove it from the others"
            )
    return problems


def planned_settings(workers: Sequence[PlannedWorker], table: Table) -> dict[str, Any]:
    """Return the settings for ``workers`` that the shared configuration of every process must have.

    ``instance_map`` is not included, since it says where the workers are, not what they do.

    Args:
        workers: the workers of the plan.
        table: the table of the Synapse that is run.
    """
    settings: dict[str, Any] = {}
    writers: dict[str, list[str]] = {}
    for worker in workers:
        for stream in table.streams(worker.process):
            writers.setdefault(stream, []).append(worker.name)
        for worker_type in worker.process.types:
            if worker_type.takes_list:
                settings.setdefault(worker_type.duty, []).append(worker.name)
            elif worker_type.duty:
                settings.setdefault(worker_type.duty, worker.name)
            if "media" in worker_type.resources:
                settings["enable_media_repo"] = False
    if writers:
        for stream in sorted(table.shared_with_main() & writers.keys()):
            writers[stream].append(MAIN_WRITER)
        settings["stream_writers"] = writers
    return settings


def replaced_settings(workers: Sequence[PlannedWorker]) -> frozenset[str]:
    """Return the older settings that must be dropped for ``workers``.

    The newer ones mean the same, and Synapse may treat both together as a contradiction.
    """
    return frozenset(
        worker_type.legacy
        for worker in workers
        for worker_type in worker.process.types
        if worker_type.legacy
    )


def replicates(process: ProcessType, table: Table) -> bool:
    """Return whether others call a worker of this type: a stream writer or federation sender."""
    return bool(table.streams(process)) or any(
        worker_type.duty == "federation_sender_instances" for worker_type in process.types
    )


def media_processes(plan: Sequence[PlannedWorker]) -> frozenset[str]:
    """Return the names of the processes that serve media; ``main`` if no worker does."""
    return frozenset(
        worker.name
        for worker in plan
        if any("media" in one.resources for one in worker.process.types)
    ) or frozenset(["main"])


def is_stateless(process: ProcessType, table: Table) -> bool:
    """Return whether any number of workers may have this type, without any process knowing them.

    The shared configuration names writers of streams and workers with a duty, but no others.
    """
    return (
        not process.is_main
        and not table.streams(process)
        and all(worker_type.many and not worker_type.duty for worker_type in process.types)
    )


def _same(value: object, other_value: object) -> bool:
    """Return whether both name the same workers; Synapse treats a name as a list of one."""
    if isinstance(value, dict) and isinstance(other_value, dict):
        return value.keys() == other_value.keys() and all(
            _same(value[key], other_value[key]) for key in value
        )
    return (value if isinstance(value, list) else [value]) == (
        other_value if isinstance(other_value, list) else [other_value]
    )


def contradictions(
    homeserver: Mapping[str, Any], workers: Sequence[PlannedWorker], table: Table
) -> list[str]:
    """Return a line for each setting of ``homeserver`` that contradicts the plan."""
    problems = []
    planned, replaced = planned_settings(workers, table), replaced_settings(workers)
    for name, value in planned.items():
        configured = homeserver.get(name)
        if configured is None or _same(configured, value):
            continue
        if name == "enable_media_repo":
            continue  # The default in every homeserver.yaml; the plan's media workers override it.
        problems.append(
            f"homeserver.yaml: {name} is {configured!r}, but SYNAPSE_WORKERS sets it to {value!r}; "
            "remove it from homeserver.yaml"
        )
    for name, worker_type in table.types.items():
        duty, legacy = worker_type.duty, worker_type.legacy
        if legacy and homeserver.get(legacy) is False and legacy not in replaced:
            problems.append(
                f"homeserver.yaml: {legacy} is false, but no worker in SYNAPSE_WORKERS has the "
                f"worker type {name}, so no process would do this work; remove the setting, or add "
                "such a worker to the plan"
            )
        if duty and duty not in planned and homeserver.get(duty):
            problems.append(
                f"homeserver.yaml: {duty} names {homeserver[duty]!r}, but no worker in "
                f"SYNAPSE_WORKERS has the worker type {name}; remove the setting, or add such a "
                "worker to the plan"
            )
    writers = homeserver.get("stream_writers")
    if isinstance(writers, dict) and "stream_writers" not in planned and writers:
        problems.append(
            f"homeserver.yaml: stream_writers has {', '.join(map(str, writers))}, but no worker in "
            "SYNAPSE_WORKERS writes a stream; remove it"
        )
    return problems
