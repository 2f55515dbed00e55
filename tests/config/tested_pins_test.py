"""The pins that have tests of their own are pinned; otherwise those tests would vanish silently."""

import json
import os

import pytest

PINNED = [tuple(pair) for pair in json.loads(os.environ["PINNED"])]
TESTED = [tuple(pair) for pair in json.loads(os.environ["TESTED"])]


@pytest.mark.parametrize(("repository", "branch"), TESTED)
def test_a_pin_with_tests_is_pinned(repository: str, branch: str) -> None:
    """If it is not, neither its image nor, for one of them, pinning itself is tested."""
    assert (repository, branch) in PINNED, (
        f"{repository} {branch} is not pinned, so its tests do not run; pin it again with: "
        f"./bazelw run pin -- --repo {repository} --branch {branch}, or remove it from TESTED_PINS "
        "in image/pinned.bzl"
    )


def test_there_are_pins_with_tests() -> None:
    """The test above would pass without any."""
    assert TESTED
