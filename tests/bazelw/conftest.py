"""The fixture for the Debian archive that most tests of bazelw fetch from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bazelw.archive import BAZEL_VERSION, Mirror, add_suite, served


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    """A Debian archive whose sid has the Bazel of .bazelversion, served on loopback."""
    root = tmp_path / "mirror/debian"
    add_suite(root, "sid", [f"{BAZEL_VERSION}+ds-8"])
    with served(root.parent) as address:
        yield Mirror(root, f"{address}/debian")
