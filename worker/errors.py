"""The one exception for an operator's mistakes, and where warnings are collected."""

from collections.abc import Sequence


class ConfigError(Exception):
    """Problems that the operator must mend, one line each.

    Args:
        problems: the lines; each names a variable or path, its value and the remedy.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
