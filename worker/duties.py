"""Checks that homeserver.yaml assigns duties and streams to the process that is to run.

A plan assigns most of them itself, so most of these checks apply only without a plan.
"""

from collections.abc import Mapping
from typing import Any

from worker.plan import MAIN_WRITER
from worker.settings import Settings
from worker.worker_types import WorkerType


def _named_workers(value: object) -> list[str]:
    """Return the names in the value of a setting that takes one worker or a list of them."""
    if value is None:
        return []
    return [str(name) for name in value] if isinstance(value, list) else [str(value)]


def _missing_name_clause(option: str, value: object, name: str) -> str:
    """Return a clause for a message: ``option`` has the value ``value``, without ``name``."""
    return f"{option} is not set" if value is None else f"{option}={value!r} does not name {name}"


def _writers(homeserver: Mapping[str, Any], stream: str) -> object:
    """Return the writers of a stream as written in homeserver.yaml, or None if it is not there."""
    writers = homeserver.get("stream_writers")
    return writers.get(stream) if isinstance(writers, dict) else None


def main_writer_problems(homeserver: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return a line for each stream that lacks the main process among its writers."""
    problems = []
    for stream in sorted(settings.table.shared_with_main()):
        writers = _writers(homeserver, stream)
        if writers is None or MAIN_WRITER in _named_workers(writers):
            continue
        corrected = ", ".join([*_named_workers(writers), MAIN_WRITER])
        problems.append(
            f"homeserver.yaml: stream_writers.{stream}={writers!r} lacks {MAIN_WRITER}: the main "
            "process runs the database updates, and an update that cannot write to this stream "
            f"blocks all later ones; set stream_writers: {{{stream}: [{corrected}]}} for every "
            "process"
        )
    return problems


def quarantine_warnings(homeserver: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return a warning if this worker cannot quarantine media, or does not notify the others.

    The rules are from "Workers which quarantine media must be stream writers" of the upgrade notes
    (1.152), and from the changelog of 1.159.
    """
    table, process = settings.table, settings.process
    if process.is_main or not process.writes_media or not table.shared_with_main():
        return []
    stream = table.types["quarantined_media_changes"].stream
    writers = _writers(homeserver, stream)
    is_writer = stream in table.streams(process)
    if settings.plan is None:
        is_writer = settings.name in _named_workers(writers)
    if is_writer and not table.has("quarantined_media_replicated"):
        return [
            f"Synapse {table.version}: {settings.name} writes {stream}, but other processes are "
            "not notified, so /sync may stop working after media is quarantined; update to 1.159, "
            "or let only the main process write that stream"
        ]
    if is_writer:
        return []
    if settings.plan is not None:
        return [
            f"Synapse {table.version}: {settings.name} answers requests to quarantine media with "
            "an error; update to 1.159"
        ]
    return [
        "homeserver.yaml: "
        f"{_missing_name_clause(f'stream_writers.{stream}', writers, settings.name)}, so "
        f"{settings.name} answers requests to quarantine media with an error; set stream_writers: "
        f"{{{stream}: [{settings.name}, {MAIN_WRITER}]}} and instance_map: {{{settings.name}: "
        f"{{host: HOST, port: {settings.ports['replication']}}}}} for every process"
    ]


def duty_problems(homeserver: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return a line for each duty that this worker would not perform, or not alone."""
    problems = []
    for worker_type in settings.process.types:
        if worker_type.legacy and not settings.process.named_by_type:
            problems += _old_application_problems(homeserver, settings, worker_type)
        elif worker_type.duty:
            problems += _duty_problems(homeserver, settings, worker_type)
        if worker_type.stream:
            problems += _stream_problems(homeserver, settings, worker_type)
    return problems


def _old_application_problems(
    homeserver: Mapping[str, Any], settings: Settings, worker_type: WorkerType
) -> list[str]:
    """Return a line if the work of an old application is not moved from main to this worker.

    Synapse's old application names require that the main process has given up the duty.
    """
    assigned = homeserver.get(worker_type.duty)
    is_assigned = settings.name in _named_workers(assigned)
    if homeserver.get(worker_type.legacy) is False:
        if assigned is None or is_assigned:
            return []
        names = _named_workers(assigned)
        corrected = settings.name
        if worker_type.takes_list:
            corrected = f"[{', '.join([*names, settings.name])}]"
        remedy = f"set {worker_type.duty}: {corrected} for every process"
        if names:
            remedy += f", or start this worker with SYNAPSE_WORKER_NAME={names[0]}"
        return [
            f"homeserver.yaml: {_missing_name_clause(worker_type.duty, assigned, settings.name)}, "
            f"so this worker would do nothing; {remedy}"
        ]
    if worker_type.takes_list and is_assigned:
        return []
    remedy = f"set {worker_type.legacy}: false for every process"
    if worker_type.takes_list:
        remedy += f", or {worker_type.duty}: [{settings.name}]"
    return [
        f"homeserver.yaml: {worker_type.legacy} is not false, so the main process would do the "
        f"work of {settings.process.app} too; {remedy}"
    ]


def _duty_problems(
    homeserver: Mapping[str, Any], settings: Settings, worker_type: WorkerType
) -> list[str]:
    assigned = homeserver.get(worker_type.duty)
    if settings.name in _named_workers(assigned):
        return []
    if "media" in worker_type.resources:
        return []  # One media worker runs the jobs; the others only serve media.
    corrected = f"[{settings.name}]" if worker_type.takes_list else settings.name
    return [
        f"homeserver.yaml: {_missing_name_clause(worker_type.duty, assigned, settings.name)}, so "
        "this "
        f"worker would do nothing as {worker_type.name}; set {worker_type.duty}: {corrected} for "
        "every process"
    ]


def _stream_problems(
    homeserver: Mapping[str, Any], settings: Settings, worker_type: WorkerType
) -> list[str]:
    problems = []
    writers = _writers(homeserver, worker_type.stream)
    corrected = f"[{settings.name}, {MAIN_WRITER}]" if worker_type.main_writes else settings.name
    if settings.name not in _named_workers(writers):
        option = f"stream_writers.{worker_type.stream}"
        problems.append(
            f"homeserver.yaml: {_missing_name_clause(option, writers, settings.name)}, so this "
            "worker "
            f"cannot write that stream; set stream_writers: {{{worker_type.stream}: {corrected}}} "
            "for "
            "every process"
        )
    instance_map = homeserver.get("instance_map")
    if not isinstance(instance_map, dict) or settings.name not in instance_map:
        problems.append(
            f"homeserver.yaml: instance_map has no entry {settings.name}, so other processes "
            f"cannot reach this worker; set instance_map: {{{settings.name}: {{host: HOST, port: "
            f"{settings.ports['replication']}}}}} for every process"
        )
    return problems
