"""The error that is shown to the user as a one-line message."""

from repositories.addresses import SourceError


class PinError(SourceError):
    """Something cannot be pinned; the message gives its name, its value, and a valid alternative.

    As in any `SourceError`, anything in the message that looks like a credential is masked.
    """
