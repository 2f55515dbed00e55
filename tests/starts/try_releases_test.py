"""Tests of how the result of trying a release is read from the tool's output."""

import pytest

from tools.try_releases import judge

PINNED = """\
release 1.100.0 of the package index
Synapse 1.100.0 for Python 3.11 on bookworm (it takes >=3.8.0,<4.0.0), built by poetry, 56 crates
Python 3.13 of trixie had no wheel as of then for cffi, lxml
"""
BUILT = PINNED + "running: ./bazelw build --synapse_repo=a image\n"
TESTED = BUILT + "running: ./bazelw test --synapse_repo=a //tests/worker_images:homeserver_test\n"


@pytest.mark.parametrize(
    ("status", "words", "row"),
    [
        (
            0,
            TESTED,
            "| 1.100.0 | bookworm, 3.11 | yes | yes | yes | 9 | Python 3.13 of trixie had no wheel "
            "as of then for cffi, lxml |",
        ),
        (
            4,
            TESTED + "error: the pin does not start; nothing was changed\nmain ended:\nA | B\n",
            "| 1.100.0 | bookworm, 3.11 | yes | yes | no | 9 | the pin does not start; nothing was "
            "changed: A \\| B |",
        ),
        (
            3,
            BUILT + "error: ./bazelw build image failed: see above\n",
            "| 1.100.0 | bookworm, 3.11 | yes | no | no | 9 | ./bazelw build image failed: see "
            "above |",
        ),
        (
            2,
            "running: ./bazelw build @build_root_trixie//:stamp.json\n"
            "error: v1.100.0: the build backend fails\n",
            "| 1.100.0 |  | no | no | no | 9 | v1.100.0: the build backend fails |",
        ),
        (
            2,
            "error: --release=1.100.0: the package index has no matrix-synapse 1.100.0\n",
            "| 1.100.0 |  | no | no | no | 9 | --release=1.100.0: the package index has no "
            "matrix-synapse 1.100.0 |",
        ),
    ],
)
def test_the_row_of_a_release(status: int, words: str, row: str) -> None:
    """The row says whether the release was pinned, built and started, and ends with the message."""
    assert judge("1.100.0", status, words, 9.0).row == row
