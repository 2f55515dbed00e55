"""The one error that a bad input of a layer raises."""


class LayerError(Exception):
    """An input cannot become a layer; the message is one line that names it."""
