"""The errors that are shown to the user as a one-line message, and their exit codes."""

from collections.abc import Sequence

from repositories.addresses import SourceError


class PinError(SourceError):
    """Something cannot be pinned; the message gives its name, its value, and a valid alternative.

    As in any `SourceError`, anything in the message that looks like a credential is masked.

    Attributes:
        exit_code: the exit code of ``./bazelw run pin``.
    """

    exit_code = 2


class BuildError(PinError):
    """A pin was made, but its image cannot be built."""

    exit_code = 3


class StartError(PinError):
    """The image of a pin was built, but does not pass its checks or does not start."""

    exit_code = 4


def changed(names: Sequence[str]) -> str:
    """Return what an interrupted run has changed, from the names of what it keeps."""
    if not names:
        return "nothing was changed"
    *others, last = names
    if not others:
        return f"only {last} was changed"
    return f"only {', '.join(others)} and {last} were changed"
