"""Fixtures for the fuzz tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.fuzzing import Started, Tally


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the parent of the folders that an operator mounts."""
    return tmp_path_factory.mktemp("site")


@pytest.fixture
def tally(
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Tally]:
    """Yield a counter of a fuzz test's answers, and print its figures to the test log at the end.

    During the test, this process keeps its privileges and CPUs and does not become Synapse.
    """

    def started(*_: object) -> None:
        raise Started

    for module in ("__main__", "examination"):
        monkeypatch.setattr(f"worker.{module}.drop_rights", lambda _: [])
    monkeypatch.setattr("worker.__main__.exec_synapse", started)
    counted = Tally(request.node.name)
    yield counted
    with capsys.disabled():
        print(f"\n{counted.line()}")
