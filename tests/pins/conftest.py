"""Fixtures: the package index, the git server and the workspace."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.pins.servers import GitServer, Index
from tests.pins.workspace import Workspace, nested_bazel


@pytest.fixture(scope="session")
def index() -> Iterator[Index]:
    """The package index that the tests share."""
    with Index() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def silent_index() -> Iterator[Index]:
    """A package index that does not report upload times."""
    with Index(tells=False) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def locked_index() -> Iterator[Index]:
    """A package index for a single test, which sets the credentials that the index requires."""
    with Index() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="session")
def first_commit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path at which the first git server leaves its first commit for the others."""
    return tmp_path_factory.mktemp("first") / "commit"


@pytest.fixture
def server(tmp_path: Path, first_commit: Path) -> Iterator[GitServer]:
    """A git server with Synapse's source."""
    server = GitServer(tmp_path / "git", first_commit)
    yield server
    server.stop()


@pytest.fixture
def workspace(tmp_path: Path, index: Index, cache: Path) -> Workspace:
    """A workspace without pins."""
    return Workspace(tmp_path / "workspace", index.address, cache)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache folder that all tests share; its Bazel server is stopped at the end."""
    folder = tmp_path_factory.mktemp("cache")
    yield folder
    if (folder / "nested").exists():
        subprocess.run(
            [*nested_bazel(folder), "shutdown"], cwd=folder / "nested", check=True, timeout=60
        )
