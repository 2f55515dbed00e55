"""Fixtures: the package index, the git server and the workspace."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.nested_bazel import NestedBazel
from tests.pins.servers import GitServer, Index
from tests.pins.workspace import RULES, Workspace


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
def workspace(tmp_path: Path, index: Index, cache: Path, bazel: NestedBazel) -> Workspace:
    """A workspace without pins."""
    return Workspace(tmp_path / "workspace", index.address, cache, bazel)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder that all tests share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def bazel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NestedBazel]:
    """The Bazel that fetches pins, for all tests."""
    nested = NestedBazel(tmp_path_factory.mktemp("bazel"), RULES)
    yield nested
    nested.stop()
