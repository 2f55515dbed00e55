"""Examines processes before they start: one process for most verbs, all of them for `doctor`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.check import SharedResults, find_problems, find_warnings
from worker.documents import dropped_warnings
from worker.errors import ConfigError
from worker.files import read_homeserver
from worker.launch import drop_rights
from worker.plan import PlannedWorker
from worker.settings import Settings, parse

_MAX_LISTED_NAMES = 8  # Maximum number of processes listed after a line.


@dataclass
class Findings:
    """Messages in the order in which they were found, each with the processes that it concerns."""

    _names_by_line: dict[str, dict[str, None]] = field(default_factory=dict)  # Ordered sets.

    def __bool__(self) -> bool:
        return bool(self._names_by_line)

    def add(self, lines: Sequence[str], names: Sequence[str]) -> None:
        """Add ``lines``, which were found for the processes ``names``."""
        for line in lines:
            self._names_by_line.setdefault(line, {}).update(dict.fromkeys(names))

    def lines(self) -> list[str]:
        """Return each line once, without the processes that it concerns."""
        return list(self._names_by_line)

    def attributed(self, process_count: int) -> list[str]:
        """Return each line once, followed by the names of the processes that it concerns.

        Args:
            process_count: the number of all processes.
        """
        return [
            f"{line} ({_listed([*names], process_count)})"
            for line, names in self._names_by_line.items()
        ]


def _listed(names: Sequence[str], process_count: int) -> str:
    if len(names) == process_count:
        return "every process"
    hidden_count = len(names) - _MAX_LISTED_NAMES
    listed = ", ".join(names[:_MAX_LISTED_NAMES])
    return f"{listed} and {hidden_count} more" if hidden_count > 0 else listed


@dataclass
class Examination:
    """What is known about processes that share a homeserver.yaml before any of them starts.

    Attributes:
        settings: the settings of each process whose environment is valid, by name.
        homeserver: homeserver.yaml; empty if it could not be read.
        problems: what prevents processes from starting.
        warnings: what works but is not recommended.
    """

    settings: dict[str, Settings] = field(default_factory=dict)
    homeserver: dict[str, Any] = field(default_factory=dict)
    problems: Findings = field(default_factory=Findings)
    warnings: Findings = field(default_factory=Findings)


def examine(
    environs: Mapping[str, Mapping[str, str]],
    plan: tuple[PlannedWorker, ...] | None = None,
) -> Examination:
    """Examine processes with the privileges of Synapse; root privileges are dropped permanently.

    Args:
        environs: the environment of each process by name; they may differ only in
            ``SYNAPSE_WORKER`` and ``SYNAPSE_WORKER_NAME``.
        plan: the result of ``parse_plan`` for their ``SYNAPSE_WORKERS``, if it is known.

    Returns:
        All findings; anything that prevents a process from starting is among the problems.
    """
    examination = Examination()
    for name, environ in environs.items():
        try:
            examination.settings[name] = parse(environ, plan=plan)
        except ConfigError as error:
            examination.problems.add(error.problems, [name])
    names = list(examination.settings)
    if not names:
        return examination
    first_settings = examination.settings[names[0]]
    try:
        examination.warnings.add(drop_rights(first_settings), names)
        examination.homeserver = read_homeserver(first_settings.config_path)
    except ConfigError as error:
        examination.problems.add(error.problems, names)
        return examination
    examination.warnings.add(dropped_warnings(examination.homeserver), names)
    shared_results = SharedResults()
    for name, settings in examination.settings.items():
        examination.warnings.add(find_warnings(examination.homeserver, settings), [name])
        examination.problems.add(
            find_problems(examination.homeserver, settings, shared_results), [name]
        )
    return examination
