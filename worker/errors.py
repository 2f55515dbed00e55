"""The exceptions that end the entrypoint with messages for the operator and an exit code."""

from collections.abc import Sequence
from pathlib import Path

_MAX_SHOWN_LENGTH = 400  # Maximum number of characters of a path or value in a message.


def one_line(text: str) -> str:
    """Return ``text`` with every non-printable character escaped, including line breaks."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def shown(value: Path | str, max_length: int = _MAX_SHOWN_LENGTH) -> str:
    """Return ``value`` for a message: on one line, truncated after ``max_length`` characters."""
    line = one_line(str(value))
    if len(line) <= max_length:
        return line
    return f"{line[:max_length]}... ({len(line)} characters)"


class ReportedError(Exception):
    """Problems that the entrypoint reports, one per line, before it exits.

    Attributes:
        problems: the lines; each names a variable, path or service, and the remedy.
        exit_code: the exit code of the entrypoint.
    """

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(one_line(problem) for problem in problems)
        super().__init__("\n".join(self.problems))


class ConfigError(ReportedError):
    """Problems that the operator must fix, since another start would fail in the same way."""


class NotReadyError(ReportedError):
    """The database, Redis or the main process did not answer in time; another start may succeed.

    The exit code is EX_TEMPFAIL of sysexits.h.
    """

    exit_code = 75
