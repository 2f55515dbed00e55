"""Tests that Starlark files are formatted and linted by buildifier."""

import os
import subprocess
from pathlib import Path

import pytest

# The real workspace, behind the symlinks of the runfiles.
WORKSPACE = Path(__file__).resolve().parents[2]
# Unused variables are part of the signatures that Bazel and rules_oci prescribe.
_WARNINGS = "-unused-variable"


def sources() -> list[str]:
    """Return every BUILD and .bzl file of the workspace, except those that a tool generates."""
    found = [
        path
        for folder in sorted(WORKSPACE.iterdir())
        if folder.is_dir() and not folder.name.startswith((".", "bazel-"))
        for path in sorted(folder.rglob("*"))
        if (path.name == "BUILD.bazel" or path.suffix == ".bzl") and path.name != "synapse_pins.bzl"
    ]
    assert len(found) > 40
    return [str(path) for path in (WORKSPACE / "WORKSPACE", WORKSPACE / "BUILD.bazel", *found)]


def test_buildifier_has_no_findings() -> None:
    """Format and lint findings are reported with their lines."""
    program = Path(os.environ["BUILDIFIER"])
    if not program.stat().st_size:
        pytest.skip("buildifier was not fetched: debian mode needs NPM_CONFIG_REGISTRY for it")
    options = ["-mode=check", "-lint=warn", f"-warnings={_WARNINGS}"]
    done = subprocess.run(
        [program.absolute(), *options, *sources()],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
