"""Tests of loading into a container engine, and of the message when there is none."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

LAUNCHER = Path(os.environ["LOAD_LAUNCHER"]).absolute()


def works(engine: str) -> bool:
    """Return whether ``engine`` is on PATH and works."""
    command = [engine, "info"]
    return (
        bool(shutil.which(engine))
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )


def test_without_an_engine_it_says_what_to_do(tmp_path: Path) -> None:
    """On a machine without a container engine, the message names docker and podman."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "cat", "dirname", "env", "mktemp", "rm", "readlink", "sed", "tail"):
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    # The launcher of rules_oci finds its files through Bazel's environment variables.
    runfiles = {name: text for name, text in os.environ.items() if name.startswith("RUNFILES_")}
    done = subprocess.run(
        [shutil.which("bash") or "bash", str(LAUNCHER)],
        env={"PATH": str(tools), **runfiles},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    # In host mode, rules_oci prints this message, on more than one line.
    said = done.stderr.lower()
    assert "docker" in said
    assert "podman" in said


def test_the_engine_has_the_image_that_was_built(tmp_path: Path) -> None:
    """The image ID in the engine is the digest of the config that was built."""
    engines = [engine for engine in ("docker", "podman") if works(engine)]
    if not engines:
        pytest.skip("neither docker nor podman answers here")
    done = subprocess.run([str(LAUNCHER)], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    layout = Path(os.environ["IMAGE"])
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads((layout / "blobs" / entry["digest"].replace(":", "/")).read_text())
    found = subprocess.run(
        [engines[0], "image", "inspect", "--format", "{{.Id}}", "localhost/synapse-worker-test:t"],
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    assert found.strip().removeprefix("sha256:") == manifest["config"]["digest"].split(":")[1]
