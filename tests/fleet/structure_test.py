"""Structure tests of one worker type's image, generated from the one table.

container-structure-test's tar driver judges metadata and files; its host driver runs commands
inside the unpacked image.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.image import Image, entrypoint, read_image, unpack
from cluster.site import WORKERS, make_data
from tests.fleet.structure import ABSENT, command_tests, files_here, imported, run_inside, tool
from worker.worker_types import WorkerType, load_table

APPLICATION = os.environ["APPLICATION"]
PORTS = load_table().ports
WORKER: WorkerType = load_table().types[APPLICATION]
PIN = json.loads(Path(os.environ["PIN"]).read_text())


@pytest.fixture(scope="module")
def image() -> Image:
    """The image of this type."""
    return read_image(Path(os.environ["IMAGE"]))


@pytest.fixture(scope="module")
def root(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The image, unpacked once for this file."""
    folder = tmp_path_factory.mktemp("image") / "root"
    unpack(image, folder)
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


def judge(tmp_path: Path, tests: dict[str, Any], *arguments: str) -> None:
    """Run container-structure-test with ``tests`` and fail with its words."""
    config = tmp_path / "tests.yaml"
    config.write_text(yaml.safe_dump({"schemaVersion": "2.0.0", **tests}))
    report = tmp_path / "report.json"
    command = [str(tool()), "test", "--config", str(config), *arguments]
    done = subprocess.run(
        [*command, "--output", "json", "--test-report", str(report)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, report.read_text() if report.exists() else done.stdout
    assert json.loads(report.read_text())["Total"] > 0


def test_metadata_and_files(image: Image, tmp_path: Path) -> None:
    """What an engine reads of the image is what the table and the documentation say."""
    ports = [str(PORTS[name]) for name in ("client", "federation", "metrics")]
    prefix = "org.opencontainers.image."
    labels = {
        "title": "synapse-worker",
        "version": PIN["version"],
        "source": PIN["source"],
        "revision": PIN["revision"],
        "licenses": PIN["licenses"],
    }
    # The tar driver unpacks the whole image for each test (4 s), so the many files are looked at
    # by the host driver below, inside the image.
    files: list[dict[str, Any]] = [
        {"name": "no shell", "path": "/usr/bin/sh", "shouldExist": False},
        {"name": "data", "path": "/data/", "shouldExist": True, "permissions": "drwxr-xr-x"},
    ]
    judge(
        tmp_path,
        {
            "metadataTest": {
                "envVars": [
                    {"key": "SYNAPSE_WORKER", "value": APPLICATION},
                    {"key": "PATH", "value": "/usr/local/bin:/usr/bin"},
                ],
                "exposedPorts": ports,  # The tar driver drops the protocol.
                "volumes": ["/data", "/synapse_media"],
                "entrypoint": entrypoint(image),
                "user": "991:991",
                "workdir": "/data",
                # Of a checkout the image names no source: it is on one machine alone.
                "labels": [
                    {"key": prefix + key, "value": labels[key]} for key in labels if labels[key]
                ],
            },
            "fileExistenceTests": files,
        },
        "--driver",
        "tar",
        "--image",
        os.environ["TARBALL"],
    )


def test_commands_inside_the_image(image: Image, root: Path, tmp_path: Path) -> None:
    """Every module imports, this type's configuration is accepted, and there is no shell."""
    mounts = {"/data": make_data(tmp_path / "data", WORKERS)}
    for name in ("synapse_media", "synapse_runtime"):
        mounts["/" + name] = tmp_path / name
        mounts["/" + name].mkdir()
    commands = command_tests(image, WORKER, imported(Path(os.environ["LOCK"])))
    here = files_here(PIN["python"])
    files = [{"name": path, "path": path, "shouldExist": True} for path in here]
    files += [{"name": path, "path": path, "shouldExist": False} for path in ABSENT]
    document = {"commandTests": commands, "fileExistenceTests": files}
    said = run_inside(image, root, mounts, tmp_path / "inside", document)
    assert f"Passes:      {len(commands) + len(files)}" in said, said
