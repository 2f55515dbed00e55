"""The fixture that makes containers."""

from tests.supervisor.containers import make

__all__ = ["make"]
