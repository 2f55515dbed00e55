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


def load(folder: Path, engine: str = "") -> subprocess.CompletedProcess[str]:
    """Load with a PATH that has no container engine but ``engine``, as a docker that runs it."""
    tools = folder / "tools"
    tools.mkdir()
    for path in Path("/usr/bin").iterdir():
        if path.name not in ("docker", "podman"):
            (tools / path.name).symlink_to(path)
    if engine:
        (tools / "docker").write_text(f"#!/usr/bin/env bash\n{engine}\n")
        (tools / "docker").chmod(0o755)
    # The launcher of rules_oci finds its files through Bazel's environment variables.
    runfiles = {name: text for name, text in os.environ.items() if name.startswith("RUNFILES_")}
    return subprocess.run(
        [shutil.which("bash") or "bash", str(LAUNCHER)],
        env={"PATH": str(tools), **runfiles},
        text=True,
        capture_output=True,
        check=False,
    )


# The first line in debian mode, and that of rules_oci in host mode.
NO_ENGINE = (
    "error: neither docker nor podman is on PATH; install one, or use the layout in "
    "bazel-bin/image/image",
    "Neither docker or podman could be found.",
)


def test_without_an_engine_it_says_what_to_do(tmp_path: Path) -> None:
    """On a machine without a container engine, the message names docker and podman."""
    done = load(tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] in NO_ENGINE


def test_an_engine_that_refuses_the_image_fails_the_command(tmp_path: Path) -> None:
    """The last line of the engine's message is shown, which has the reason."""
    refusal = "no space left on device"
    done = load(tmp_path, f'cat "$3" >/dev/null; echo Loading >&2; echo {refusal} >&2; exit 125')
    assert done.returncode != 0
    message = f"error: no container engine took the image; docker: {refusal}"
    assert {message, refusal} & set(done.stderr.splitlines()), done.stderr  # Host mode: as it is.


def test_the_engine_is_told_to_load_the_image(tmp_path: Path) -> None:
    """The command prints what the engine prints."""
    done = load(tmp_path, 'cat "$3" >/dev/null && echo "$1 $2"')
    assert (done.returncode, done.stdout) == (0, "load --input\n"), done.stderr


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
    image_id = subprocess.run(
        [engines[0], "image", "inspect", "--format", "{{.Id}}", "localhost/synapse-worker-test:t"],
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    assert image_id.strip().removeprefix("sha256:") == manifest["config"]["digest"].split(":")[1]
