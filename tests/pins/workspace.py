"""A workspace for pins, and helpers that pin, expect a refusal, or fetch with real Bazel."""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.nested_bazel import NestedBazel
from tests.pins.servers import HERE, REPOSITORY, GitServer

TOOL = HERE / os.environ["PIN"]
RULES = [HERE / path for path in os.environ["RULES"].split()]
ROOT = Path(os.environ["STAMP"]).resolve().parent / "root"
# There is no network to fetch the build root, which the test already has: instead of building it,
# this bazelw only prints the output base that contains it.
_BAZELW = '#!/bin/sh\n[ "$1" = build ] || echo "{}"\n'
NAME = "us_synapse_main"
# The time of a commit, between one upload that precedes it and one that follows it.
OLD, COMMITTED, LATER = (
    "2021-05-01T12:00:00.500000Z",
    "2022-06-01T00:00:00Z",
    "2023-05-01T12:00:00Z",
)
_PYTHON = 'python = "^3.7.1"\n'
needs_bazel = pytest.mark.skipif(
    not shutil.which("bazel"), reason="bazel is not on PATH inside the sandbox"
)
_WORKSPACE = """\
load("//repositories:synapse_pin.bzl", "synapse_pin")

synapse_pin(
    name = "pin",
    build_root = "//:BUILD.bazel",
    files = "//pin:files.lock.json",
    folder = "%s",
    locks = [
        "//pin:build_requirements_lock.txt",
        "//pin:files.lock.json",
        "//pin:requirements_lock.txt",
    ],
    patches = %s,
    pin = "//pin:pin.json",
)
"""


class Workspace:
    """A copy of the parts of this repository that the pinning tool reads and writes."""

    def __init__(self, folder: Path, index: str, cache: Path, bazel: NestedBazel) -> None:
        self.folder, self._index, self.cache, self.bazel = folder, index, cache, bazel
        for name in ("build.amd64.lock.json", "runtime.in"):
            for suite in ("bookworm", "trixie"):
                path = folder / "config/debian" / suite / name
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(HERE / "config/debian" / suite / name, path)
        self.table.write_text('"""No pins."""\n\nSYNAPSE_PINS = {}\n')
        (folder / "config/pins").mkdir()

    @property
    def table(self) -> Path:
        """The path of the table of pins."""
        return self.folder / "config/synapse_pins.bzl"

    def state(self) -> dict[str, str]:
        """Return the hash of every file by its path, to check that nothing was changed."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.folder.rglob("*")
            if path.is_file()
        }

    def environ(self, **variables: str) -> dict[str, str]:
        """Return the environment variables of the tool; ``variables`` are added to them."""
        return {
            "BUILD_WORKSPACE_DIRECTORY": str(self.folder),
            "BUILD_WORKING_DIRECTORY": str(self.folder),
            "HOME": str(self.folder.parent),
            "PATH": os.environ["PATH"],
            "PIP_INDEX_URL": self._index,
            # uv's cache is shared, so that it queries the index only once for all tests.
            "XDG_CACHE_HOME": str(self.cache),
            **variables,
        }

    def pin(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the tool without building the image."""
        return subprocess.run(
            [str(TOOL), *arguments, *([] if "--list" in arguments else ["--no-build"])],
            env=self.environ(**variables),
            text=True,
            capture_output=True,
            check=False,
            timeout=300,
        )

    def document(self, name: str) -> dict[str, Any]:
        """Return the pin.json of a pin."""
        text = (self.folder / "config/pins" / name / "pin.json").read_text()
        document: dict[str, Any] = json.loads(text)
        return document

    def lock(self, name: str) -> dict[str, str]:
        """Return the version of each package in a pin's requirements_lock.txt, by name."""
        text = (self.folder / "config/pins" / name / "requirements_lock.txt").read_text()
        rows = [line.split()[0].split("==") for line in text.splitlines() if "==" in line]
        return {name: version for name, version in rows}


def stand_in(workspace: Workspace, suite: str) -> None:
    """Put a bazelw into the workspace that only provides the build root."""
    bazelw = workspace.folder / "bazelw"
    bazelw.write_text(_BAZELW.format(workspace.folder / "output_base"))
    bazelw.chmod(0o755)
    external = workspace.folder / "output_base/external"
    external.mkdir(parents=True)
    (external / f"build_root_{suite}").symlink_to(ROOT.parent)


def wish(server: GitServer, *more: str) -> list[str]:
    """Return the tool's arguments that pin the branch main, followed by ``more``."""
    return [
        *("--repo", REPOSITORY, "--branch", "main", "--base", server.base, "--suite", "bookworm"),
        *("--extras", "redis", *more),
    ]


def fetch(
    workspace: Workspace, server: GitServer, name: str = NAME, **variables: str
) -> tuple[str, str]:
    """Fetch the pin ``name`` with real Bazel.

    Returns:
        The text of pyproject.toml, which is empty if the fetch failed, and the standard error.
    """
    root, folder = workspace.bazel.workspace, workspace.folder / "config/pins" / name
    shutil.rmtree(root / "pin", ignore_errors=True)
    shutil.copytree(folder, root / "pin")
    patches = [f"//pin:patches/{path.name}" for path in folder.glob("patches/*.patch")]
    (root / "WORKSPACE").write_text(_WORKSPACE % (name, json.dumps(patches)))
    environ = workspace.environ(SYNAPSE_GIT_BASE=server.base, **variables)
    done = workspace.bazel.fetch("pin", environ)
    source = workspace.bazel.external("pin") / "source.tar"
    if done.returncode or not source.exists():
        return "", done.stderr
    with tarfile.open(source) as archive:
        file = archive.extractfile("synapse/pyproject.toml")
        assert file is not None
        return file.read().decode(), done.stderr


def version(text: str) -> str:
    """Return the version line of a pyproject.toml, or the whole text if it has none."""
    return next((line for line in text.splitlines() if line.startswith("version = ")), text)


def refused(workspace: Workspace, *arguments: str, **variables: str) -> str:
    """Run the tool, check that it refuses and changes nothing, and return its standard error."""
    before = workspace.state()
    done = workspace.pin(*arguments, **variables)
    assert done.returncode == 2, done.stdout + done.stderr
    assert workspace.state() == before
    return done.stderr


def require(server: GitServer, *names: str, time: str = COMMITTED) -> None:
    """Commit, with the commit time ``time``, a Synapse that also requires the packages."""
    new = "".join(f'{name} = "*"\n' for name in names)
    server.commit("Require", {"pyproject.toml": (_PYTHON, _PYTHON + new)}, time=time)


def pinned(workspace: Workspace, *arguments: str) -> str:
    """Run the tool, check that it succeeds, and return its standard output."""
    made = workspace.pin(*arguments)
    assert made.returncode == 0, made.stderr
    return made.stdout
