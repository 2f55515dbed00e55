"""Formatting and types of every tracked Python file, shellcheck of every shell script."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# The real workspace, behind the links of the runfiles: so no list of files can be out of date.
WORKSPACE = Path(__file__).resolve().parents[2]
SITE = Path(pytest.__file__).resolve().parents[1]


def sources() -> list[str]:
    """Every Python file of the workspace."""
    found = [
        str(path.relative_to(WORKSPACE))
        for folder in sorted(WORKSPACE.iterdir())
        if folder.is_dir() and not folder.name.startswith((".", "bazel-"))
        for path in sorted(folder.rglob("*.py"))
    ]
    assert len(found) > 20
    return found


def run(*command: str | Path) -> None:
    """Run in the workspace; fail with what was said."""
    done = subprocess.run(
        command,
        cwd=WORKSPACE,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        env=os.environ | {"PYTHONPATH": str(SITE), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stdout


def ruff() -> Path:
    """The pinned ruff, from its wheel."""
    (found,) = SITE.glob("ruff-*.data/scripts/ruff")
    return found


def test_ruff_finds_nothing() -> None:
    """One linter, one version."""
    run(ruff(), "check", "--no-cache", *sources())
    run(ruff(), "format", "--check", "--no-cache", *sources())


def test_every_type_is_right() -> None:
    """mypy, strict."""
    run(sys.executable, "-m", "mypy", "--cache-dir=/dev/null", *sources())


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not on PATH")
def test_shellcheck_finds_nothing() -> None:
    """bazelw runs on machines that we never see."""
    scripts = ["bazelw", ".ci/run", *map(str, (WORKSPACE / "tools").rglob("*.sh"))]
    run("shellcheck", "--severity=warning", *scripts)
