"""Checks that //tests:every and the workflow of slow tests have the tests of every package."""

import ast
import re
from pathlib import Path

# The real workspace, behind the symlinks of the runfiles.
TESTS = Path(__file__).resolve().parents[1]


def packages() -> list[str]:
    """Return the folders below tests/ that are packages."""
    return sorted(path.parent.name for path in TESTS.glob("*/BUILD.bazel"))


def listed() -> list[str]:
    """Return the packages that tests/BUILD.bazel lists for its suites."""
    text = (TESTS / "BUILD.bazel").read_text()
    array = text.partition("_PACKAGES = ")[2].partition("]")[0] + "]"
    names: list[str] = ast.literal_eval(array)
    return names


def test_the_suites_have_every_package() -> None:
    """A package that is not in the list would be tested by ``//...`` but not by ``//tests:all``."""
    assert listed() == packages()


def test_every_package_declares_its_suites_last() -> None:
    """Each package declares the two suites that tests/BUILD.bazel names."""
    texts = {name: (TESTS / name / "BUILD.bazel").read_text() for name in packages()}
    last = '\ntest_suites(name = "every")\n'
    assert [name for name, text in texts.items() if not text.endswith(last)] == []


def test_the_suites_leave_out_slow_tests() -> None:
    """Bazel builds whatever is in a suite, even if its tests are filtered out by their tags."""
    text = (TESTS.parent / "tools/pytest.bzl").read_text()
    suites = re.findall(r"native\.test_suite\(.*\)", text)
    assert len(suites) == 2
    assert [suite for suite in suites if '"-slow"' not in suite] == []


def test_only_what_is_asked_for_compiles_other_releases() -> None:
    """``bazel test //...`` builds all targets, not only tests."""
    text = (TESTS.parent / "tools/BUILD.bazel").read_text()
    users = [one for one in re.split("\n\n+", text) if "in _IMAGES" in one]
    assert users
    assert [one for one in users if 'tags = ["manual"]' not in one] == []


def test_the_workflow_runs_every_slow_test() -> None:
    """Its matrix names the packages, so that each has a job and a time limit of its own."""
    workflow = (TESTS.parent / ".github/workflows/slow.yml").read_text()
    (matrix,) = re.findall(r"^ +package: \[(.*)\]$", workflow, flags=re.MULTILINE)
    texts = {name: (TESTS / name / "BUILD.bazel").read_text() for name in packages()}
    assert matrix.split(", ") == [name for name, text in texts.items() if '"slow"' in text]
