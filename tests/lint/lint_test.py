"""Runs ruff, mypy, zizmor and shellcheck on the whole workspace."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# The real workspace, to which the symlinks in the runfiles point, so no list of files is needed.
WORKSPACE = Path(__file__).resolve().parents[2]
SITE = Path(pytest.__file__).resolve().parents[1]


def sources() -> list[str]:
    """Return every Python file of the workspace."""
    found = [
        str(path.relative_to(WORKSPACE))
        for folder in sorted(WORKSPACE.iterdir())
        if folder.is_dir() and not folder.name.startswith((".", "bazel-"))
        for path in sorted(folder.rglob("*.py"))
    ]
    assert len(found) > 20
    return found


def run(*command: str | Path) -> None:
    """Run a command in the workspace; if it fails, fail with its output."""
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


def pinned(name: str) -> Path:
    """Return the path of the pinned program ``name``, which comes from its wheel."""
    (found,) = SITE.glob(f"{name}-*.data/scripts/{name}")
    return found


def test_ruff_finds_nothing() -> None:
    """ruff, in the pinned version, has no findings and would not reformat any file."""
    run(pinned("ruff"), "check", "--no-cache", *sources())
    run(pinned("ruff"), "format", "--check", "--no-cache", *sources())


def test_zizmor_finds_nothing() -> None:
    """zizmor has no findings in the GitHub Actions workflows, which no other test checks."""
    run(pinned("zizmor"), "--offline", "--quiet", "--no-progress", ".github/workflows")


def test_every_type_is_right() -> None:
    """mypy has no findings."""
    run(sys.executable, "-m", "mypy", "--cache-dir=/dev/null", *sources())


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not on PATH")
def test_shellcheck_finds_nothing() -> None:
    """Shell scripts such as bazelw run on machines on which they were not tested."""
    scripts = ["bazelw", ".ci/run", *map(str, (WORKSPACE / "debian_mode").rglob("*.sh"))]
    assert len(scripts) > 3
    run("shellcheck", "--severity=warning", *scripts)
