"""The error that is raised for invalid inputs of a layer."""


class LayerError(Exception):
    """An input cannot be used in a layer; the message is one line that names it."""
