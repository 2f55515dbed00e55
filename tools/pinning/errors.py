"""The error whose text is the one line that the user gets."""

from config.private.addresses import SourceError


class PinError(SourceError):
    """Something cannot be pinned; the message names it, its value and what would be right.

    As of any `SourceError`, what looks like a credential in the message is masked.
    """
