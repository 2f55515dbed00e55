"""Runs a verb in the process of the test."""

from pathlib import Path

import pytest

from worker.__main__ import main
from worker.settings import Settings


def verb(data: Path, *arguments: str, **variables: str) -> int:
    """Run a verb in this process, which keeps its privileges; return the exit code."""
    environ = {
        "SYNAPSE_DATA_DIR": str(data),
        "SYNAPSE_FEDERATION_TLS": "off",
        "SYNAPSE_MEDIA_DIR": str(data),
        "SYNAPSE_REPLICATION_HOST": "main",
        "SYNAPSE_RUNTIME_DIR": str(data),
        "SYNAPSE_WORKER": "homeserver",
    }
    return main(arguments, environ | variables)


def keep_rights(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep the user and CPUs of the test; return a list of the changes that were requested."""
    requested: list[str] = []

    def drop(_: Settings) -> list[str]:
        requested.append("rights")
        return []

    for module in ("__main__", "examination"):
        monkeypatch.setattr(f"worker.{module}.drop_rights", drop)
    monkeypatch.setattr("worker.__main__.choose_cpus", lambda _: requested.append("cpus"))
    return requested
