"""The index, the git server and the workspace, as fixtures."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.pins.servers import GitServer, Index
from tests.pins.workspace import Workspace


@pytest.fixture(scope="session")
def index() -> Iterator[Index]:
    """The package index."""
    with Index() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def silent_index() -> Iterator[Index]:
    """A package index that does not say when its files were uploaded."""
    with Index(tells=False) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def locked_index() -> Iterator[Index]:
    """A package index of one test, which sets the credentials that it asks for."""
    with Index() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="session")
def first_commit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first git server leaves its first commit for the others."""
    return tmp_path_factory.mktemp("first") / "commit"


@pytest.fixture
def server(tmp_path: Path, first_commit: Path) -> Iterator[GitServer]:
    """The git server."""
    server = GitServer(tmp_path / "git", first_commit)
    yield server
    server.stop()


@pytest.fixture
def workspace(tmp_path: Path, index: Index, cache: Path) -> Workspace:
    """An empty workspace."""
    return Workspace(tmp_path / "workspace", index.address, cache)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for caches."""
    return tmp_path_factory.mktemp("cache")
