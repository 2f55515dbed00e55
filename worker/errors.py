"""The one exception for an operator's mistakes, and where warnings are collected."""

from collections.abc import Sequence
from pathlib import Path

_LONGEST = 200  # Characters of a path or value in a message.


def one_line(text: str) -> str:
    """Return ``text`` with every character that is not printable escaped, line ends included."""
    if text.isprintable():
        return text
    return "".join(part if part.isprintable() else ascii(part)[1:-1] for part in text)


def shown(value: Path | str) -> str:
    """Return ``value`` for a message: on one line, and cut off when it is long."""
    text = one_line(str(value))
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}... ({len(text)} characters)"


class ConfigError(Exception):
    """Problems that the operator must mend, one line each.

    Args:
        problems: the lines; each names a variable or path, its value and the remedy.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(one_line(problem) for problem in problems)
        super().__init__("\n".join(self.problems))
