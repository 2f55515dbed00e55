"""Examines processes before they start: one process for most verbs, all of them for `doctor`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.check import Answers, find_problems, find_warnings
from worker.documents import dropped
from worker.errors import ConfigError
from worker.files import read_homeserver
from worker.launch import drop_rights
from worker.plan import PlannedWorker
from worker.settings import Settings, parse

_MOST_NAMES = 8  # Maximum number of processes listed after a line.


@dataclass
class Findings:
    """Lines in the order in which they were found, each with the processes that it concerns."""

    _names: dict[str, dict[str, None]] = field(default_factory=dict)  # Ordered sets.

    def __bool__(self) -> bool:
        return bool(self._names)

    def add(self, lines: Sequence[str], names: Sequence[str]) -> None:
        """Add ``lines``, which were found for the processes ``names``."""
        for line in lines:
            self._names.setdefault(line, {}).update(dict.fromkeys(names))

    def lines(self) -> list[str]:
        """Return each line once, without the processes that it concerns."""
        return list(self._names)

    def attributed(self, processes: int) -> list[str]:
        """Return each line once, followed by those of the ``processes`` that it concerns.

        Args:
            processes: the number of all processes.
        """
        return [f"{line} ({_listed([*names], processes)})" for line, names in self._names.items()]


def _listed(names: Sequence[str], processes: int) -> str:
    if len(names) == processes:
        return "every process"
    more = len(names) - _MOST_NAMES
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown


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
    found = Examination()
    for name, environ in environs.items():
        try:
            found.settings[name] = parse(environ, plan=plan)
        except ConfigError as error:
            found.problems.add(error.problems, [name])
    names = list(found.settings)
    if not names:
        return found
    first = found.settings[names[0]]
    try:
        found.warnings.add(drop_rights(first), names)
        found.homeserver = read_homeserver(first.config)
    except ConfigError as error:
        found.problems.add(error.problems, names)
        return found
    found.warnings.add(dropped(found.homeserver), names)
    answers = Answers()
    for name, settings in found.settings.items():
        found.warnings.add(find_warnings(found.homeserver, settings), [name])
        found.problems.add(find_problems(found.homeserver, settings, answers), [name])
    return found
