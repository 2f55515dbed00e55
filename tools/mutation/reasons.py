"""The list of changes that no test can or should see, with the reasons."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from tools.mutation.source import Mutant


@dataclass(frozen=True)
class Reason:
    """The reason why some changes are not seen.

    Attributes:
        where: The module and function, as in `Mutant.where`; ``*`` matches anything.
        changes: The changes, as in `Mutant.change`; ``*`` matches anything.
        text: The reason.
    """

    where: str
    changes: tuple[str, ...]
    text: str

    def explains(self, mutant: Mutant, change: str) -> bool:
        """Return whether it applies to ``mutant`` by its pattern ``change``."""
        return _fits(mutant.where, self.where) and _fits(mutant.change, change)


def _fits(text: str, pattern: str) -> bool:
    return text == pattern or fnmatchcase(text, pattern.replace("[", "[[]"))


def read_reasons(path: Path) -> list[Reason]:
    """Return the reasons in a YAML file: a list of ``where``, ``changes`` and ``reason``.

    Raises:
        ValueError: If an entry does not have exactly these keys.
    """
    found = []
    for number, entry in enumerate(yaml.safe_load(path.read_text(encoding="utf-8")) or [], 1):
        if not isinstance(entry, dict) or entry.keys() != {"where", "changes", "reason"}:
            raise ValueError(f"{path}: entry {number} must have where, changes and reason")
        found.append(Reason(entry["where"], tuple(entry["changes"]), entry["reason"]))
    return found


def match(
    survivors: Iterable[Mutant], reasons: Sequence[Reason], paths: set[str]
) -> tuple[list[tuple[Mutant, str]], list[Mutant], list[str]]:
    """Return survivors with their reasons, survivors without, and reasons that match nothing.

    Args:
        survivors: The mutants that no test saw.
        reasons: The list of reasons.
        paths: The modules that were changed; reasons for other modules are ignored.
    """
    used: set[tuple[Reason, str]] = set()
    explained, bare = [], []
    for mutant in survivors:
        fitting = [
            (reason, change)
            for reason in reasons
            for change in reason.changes
            if reason.explains(mutant, change)
        ]
        used.update(fitting)
        if fitting:
            explained.append((mutant, fitting[0][0].text))
        else:
            bare.append(mutant)
    stale = [
        f"{reason.where}: {change}"
        for reason in reasons
        for change in reason.changes
        if (reason, change) not in used and any(_about(reason, path) for path in paths)
    ]
    return explained, bare, stale


def _about(reason: Reason, path: str) -> bool:
    return _fits(path, reason.where.partition(" ")[0])
