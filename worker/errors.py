"""The exceptions that end the entrypoint with lines for the operator and an exit code."""

from collections.abc import Sequence
from pathlib import Path

_LONGEST = 400  # Maximum number of characters of a path or value in a message.


def one_line(text: str) -> str:
    """Return ``text`` with every non-printable character escaped, including line breaks."""
    if text.isprintable():
        return text
    return "".join(part if part.isprintable() else ascii(part)[1:-1] for part in text)


def shown(value: Path | str, longest: int = _LONGEST) -> str:
    """Return ``value`` for a message: on one line, and truncated after ``longest`` characters."""
    text = one_line(str(value))
    if len(text) <= longest:
        return text
    return f"{text[:longest]}... ({len(text)} characters)"


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
