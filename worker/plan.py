"""A plan of workers, the same for every process, and the shared settings that follow from it.

Rules: docs/workers.md and "instance_map", "stream_writers" of the configuration manual.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.errors import ConfigError
from worker.hosts import host_problem, unbracketed
from worker.worker_types import Table, WorkerType

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MAIN_WRITER = "master"  # The main process among ``stream_writers``.
RESERVED_NAMES = ("main", MAIN_WRITER)  # Synapse's own names of the main process.
_MOST = 500  # Workers: far above any cluster, and a typing error such as :1000000 ends here.
_ENTRY = re.compile(
    r"(?:(?P<name>[^=:@]+)=)?(?P<type>[^=:@]+)(?::(?P<count>[^=:@]+))?(?:@(?P<host>.+))?"
)


@dataclass(frozen=True)
class PlannedWorker:
    """One worker of a plan.

    Attributes:
        name: its ``worker_name``.
        type: what it is.
        host: where the others reach it.
    """

    name: str
    type: WorkerType
    host: str


def _entry(text: str, table: Table, problems: list[str]) -> list[PlannedWorker]:
    match = _ENTRY.fullmatch(text)
    if match is None:
        problems.append(
            f"SYNAPSE_WORKERS: {text!r} is no entry; write [NAME=]ROLE[+ROLE...][:COUNT][@HOST]"
        )
        return []
    kind = table.find(match["type"].strip())
    if kind is None:
        problems.append(
            f"SYNAPSE_WORKERS: {match['type']!r} is not a worker type; choose one of "
            f"{table.choices()}"
        )
        return []
    if kind.main:
        problems.append(
            f"SYNAPSE_WORKERS: {text!r} is the main process, which is always there; leave it out"
        )
        return []
    if table.lacks(kind):
        problems.append(f"SYNAPSE_WORKERS: {text!r}: {table.lacks(kind)}; leave it out")
        return []
    count_text = (match["count"] or "1").strip()
    count = int(count_text) if re.fullmatch("[0-9]{1,6}", count_text) else 0
    if not 1 <= count <= _MOST:
        problems.append(
            f"SYNAPSE_WORKERS: {text!r}: {count_text!r} is not a count from 1 to {_MOST}"
        )
        return []
    base = (match["name"] or kind.slug).strip()
    if not NAME.fullmatch(base) or base in RESERVED_NAMES:
        problems.append(
            f"SYNAPSE_WORKERS: {base!r} cannot be a worker's name; use up to 64 of A-Z a-z 0-9 "
            "_ . -, neither main nor master"
        )
        return []
    names = [base] if match["count"] is None else [f"{base}{n}" for n in range(1, count + 1)]
    host = (match["host"] or "").strip()
    if host and count > 1:
        problems.append(
            f"SYNAPSE_WORKERS: {text!r}: {host!r} is one host for several workers; give one worker "
            "one name"
        )
        return []
    problem = host_problem(host) if host else ""
    if problem:
        problems.append(f"SYNAPSE_WORKERS: {text!r}: {host!r} {problem}")
        return []
    for name in names:
        if not host and host_problem(name):
            problems.append(
                f"SYNAPSE_WORKERS: {name!r} is where the others look for that worker, and it "
                f"{host_problem(name)}; or add @HOST"
            )
            return []
    return [PlannedWorker(name, kind, unbracketed(host) or name) for name in names]


def parse_plan(text: str, table: Table) -> tuple[PlannedWorker, ...]:
    """Return the workers of ``text``: entries between commas or on lines; ``#`` begins a comment.

    Raises:
        ConfigError: with every problem at once.
    """
    problems: list[str] = []
    workers: list[PlannedWorker] = []
    for line in text.splitlines():
        for part in line.partition("#")[0].split(","):
            if part.strip():
                workers += _entry(part.strip(), table, problems)
    problems += _clashes(workers)
    if len(workers) > _MOST:
        problems.append(f"SYNAPSE_WORKERS has {len(workers)} workers; at most {_MOST} are taken")
    if problems:
        raise ConfigError(problems)
    return tuple(workers)


def _clashes(workers: Sequence[PlannedWorker]) -> list[str]:
    """Return a line for each name and each singleton that stands there twice."""
    problems = []
    names = [worker.name for worker in workers]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(
            f"SYNAPSE_WORKERS: the name {name} stands there {names.count(name)} times; two workers "
            "of one name keep each other's deleted tokens valid: give each its own"
        )
    roles = {role.name: role for worker in workers for role in worker.type.roles}
    for role in roles.values():
        having = [worker.name for worker in workers if role in worker.type.roles]
        if len(having) > 1 and not role.many:
            problems.append(
                f"SYNAPSE_WORKERS: {', '.join(having)} all have the role {role.name}, which one "
                "worker alone may have; drop it from the others"
            )
    return problems


def shared_settings(
    workers: Sequence[PlannedWorker],
    table: Table,
    location: Callable[[str, str], dict[str, Any]] = lambda name, host: {},
) -> dict[str, Any]:
    """Return what every process must have in its shared configuration for ``workers``.

    Args:
        workers: the plan.
        table: what the Synapse that is run has.
        location: makes the entry of ``instance_map`` from a worker's name and host.

    Returns:
        Setting to value; None for a setting that must not be there.
    """
    settings: dict[str, Any] = {}
    instances = {
        worker.name: location(worker.name, worker.host)
        for worker in workers
        if replicates(worker.type, table)
    }
    writers: dict[str, list[str]] = {}
    for worker in workers:
        for stream in table.streams(worker.type):
            writers.setdefault(stream, []).append(worker.name)
        for role in worker.type.roles:
            if role.takes_list:
                settings.setdefault(role.duty, []).append(worker.name)
            elif role.duty:
                settings.setdefault(role.duty, worker.name)
            if role.legacy:
                settings[role.legacy] = None  # The newer setting says it; both may contradict.
            if "media" in role.resources:
                settings["enable_media_repo"] = False
    if instances:
        settings["instance_map"] = instances
    if writers:
        for stream in sorted(table.shared_with_main() & writers.keys()):
            writers[stream].append(MAIN_WRITER)
        settings["stream_writers"] = writers
    return settings


def replicates(kind: WorkerType, table: Table) -> bool:
    """Whether others call a worker of this kind: it writes a stream, or federates for them."""
    return bool(table.streams(kind)) or any(
        role.duty == "federation_sender_instances" for role in kind.roles
    )


def _same(one: object, other: object) -> bool:
    """Whether both mean the same workers; Synapse takes a name for a list of one."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return (one if isinstance(one, list) else [one]) == (
        other if isinstance(other, list) else [other]
    )


def contradictions(
    homeserver: Mapping[str, Any], workers: Sequence[PlannedWorker], table: Table
) -> list[str]:
    """Return a line for each setting of ``homeserver`` that the plan says otherwise."""
    problems = []
    planned = shared_settings(workers, table)
    for name, value in planned.items():
        have = homeserver.get(name)
        if value is None or have is None or name == "instance_map" or _same(have, value):
            continue
        if name == "enable_media_repo":
            continue  # The default of every homeserver.yaml; the plan's media workers replace it.
        problems.append(
            f"homeserver.yaml: {name} is {have!r}, but SYNAPSE_WORKERS makes it {value!r}; drop it "
            "there"
        )
    for role in table.roles.values():
        if role.legacy and homeserver.get(role.legacy) is False and role.legacy not in planned:
            problems.append(
                f"homeserver.yaml: {role.legacy} is false, but no worker of SYNAPSE_WORKERS has "
                f"the role {role.name}, so nobody would do it; drop the setting or plan a worker"
            )
        if role.duty and role.duty not in planned and homeserver.get(role.duty):
            problems.append(
                f"homeserver.yaml: {role.duty} names {homeserver[role.duty]!r}, but no worker of "
                f"SYNAPSE_WORKERS has the role {role.name}; drop the setting or plan a worker"
            )
    streams = homeserver.get("stream_writers")
    if isinstance(streams, dict) and "stream_writers" not in planned and streams:
        problems.append(
            f"homeserver.yaml: stream_writers has {', '.join(map(str, streams))}, but no worker of "
            "SYNAPSE_WORKERS writes a stream; drop it there"
        )
    return problems
