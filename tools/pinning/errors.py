"""The error whose text is the one line that the user gets."""


class PinError(Exception):
    """Something cannot be pinned; the message names it, its value and what would be right."""
