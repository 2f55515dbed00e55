"""Tests of a complete mutation run on a small package."""

import subprocess
import sys
from pathlib import Path

import pytest

_CODE = """\
import os

LIMIT = 3


def small(number):
    return number < LIMIT


def told(text):
    os.getpid()
    return text + "!"


def never(a):
    return [a, 1]
"""
_TESTS = """\
import subprocess
import sys

from package.code import small, told

SEEN = []


def test_small():
    SEEN.append(1)
    assert small(2)
    assert not small(3)


def test_told_in_another_process():
    program = "from package.code import told; print(told('a'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "a!\\n"


def test_needs_the_first():
    told("")
    assert SEEN
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a workspace with a package, its tests, and an empty list of reasons."""
    root = tmp_path / "workspace"
    for name in ("package", "tests"):
        (root / name).mkdir(parents=True)
    (root / "package" / "__init__.py").touch()
    (root / "package" / "code.py").write_text(_CODE)
    (root / "tests" / "code_test.py").write_text(_TESTS)
    (root / "reasons.yaml").write_text("[]")
    return root


def run(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the mutation tool on ``workspace``."""
    command = [sys.executable, "-m", "tools.mutation", f"--root={workspace}"]
    command += ["--package=package", "--tests=tests", f"--reasons={workspace}/reasons.yaml"]
    return subprocess.run(
        [*command, *arguments],
        env={"PYTHONPATH": ":".join(path for path in sys.path if path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_no_test_sees_is_listed_and_fails(workspace: Path) -> None:
    """Unseen mutants are listed; a test in a subprocess sees one, a dependent test is left out."""
    done = run(workspace, "--verbose")
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    unseen = [line for line in lines if line.startswith("NOT SEEN: ")]
    assert unseen == [
        "NOT SEEN: package/code.py:11: os.getpid() -> pass",
        "NOT SEEN: package/code.py:16: [a, 1] -> [1]",
        "NOT SEEN: package/code.py:16: [a, 1] -> [a]",
        "NOT SEEN: package/code.py:16: 1 -> 2",
    ]
    assert "not asked, since it depends on other tests: tests/code_test.py::test_needs_the" in (
        done.stdout
    )
    assert "number < LIMIT -> number <= LIMIT" in done.stdout
    assert "seen by tests/code_test.py::test_told_in_another_process" in done.stdout
    assert lines[-1] == "at least 95 % must be seen"


def test_a_reason_explains_what_cannot_be_seen(workspace: Path) -> None:
    """A survivor with a reason is accepted, and a reason that matches nothing is reported."""
    (workspace / "reasons.yaml").write_text(
        "- {where: package/code.py told, changes: [os.getpid() -> pass], reason: no effect}\n"
        "- {where: package/code.py never, changes: ['[*', 1 -> 2, gone], reason: never runs}\n"
    )
    done = run(workspace, "--minimum=10")
    assert done.returncode == 0, done.stdout
    assert "not seen: package/code.py:11: os.getpid() -> pass: no effect" in done.stdout
    assert "reason that fits nothing: package/code.py never: gone" in done.stdout
    assert "4 others with a reason, 0 without" in done.stdout


def test_tests_that_fail_by_themselves_judge_nothing(workspace: Path) -> None:
    """Tests that fail on the unchanged program are refused, as they would see every change."""
    (workspace / "tests" / "code_test.py").write_text("def test_a():\n    assert 0\n")
    done = run(workspace)
    assert done.returncode == 1
    assert "error: the tests fail on the unchanged program" in done.stderr
    assert "code_test.py::test_a" in done.stderr
    assert done.stdout == ""


def test_a_module_that_cannot_be_collected_twice_is_refused(workspace: Path) -> None:
    """A second collection that fails would count every change that needs an import as seen."""
    (workspace / "tests" / "values.py").write_text("VALUES = iter([1, 2])\n")
    (workspace / "tests" / "code_test.py").write_text(
        "import sys, pytest\n"
        "from package.code import small\n"
        "sys.path.append('tests')\n"
        "from values import VALUES\n"
        "@pytest.mark.parametrize('value', VALUES)\n"
        "def test_a(value):\n    assert small(value)\n"
    )
    done = run(workspace)
    assert done.returncode == 1
    assert "error: tests/code_test.py cannot be collected twice" in done.stderr


def test_a_change_that_ends_the_process_is_seen(workspace: Path) -> None:
    """The verdict says so, since no test could fail; it counts as seen, but not as too late."""
    (workspace / "package" / "code.py").write_text(
        "import os\n\n\ndef leave(now):\n    if now:\n        os._exit(0)\n    return 3\n"
    )
    (workspace / "tests" / "code_test.py").write_text(
        "from package.code import leave\n\n\ndef test_stay():\n    assert leave(False) == 3\n"
    )
    done = run(workspace, "--verbose")
    assert "seen by the process died" in done.stdout
    assert "mutants seen" in done.stdout
    assert ", 0 of them by a time limit" in done.stdout
