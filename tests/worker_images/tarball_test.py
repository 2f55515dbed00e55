"""Tests the tarball that `load` passes to an engine with container-structure-test's tar driver."""

import json
import os
import subprocess
from pathlib import Path

import yaml

from testbed.image import read_image
from tests.worker_images.structure import metadata_test, tool
from worker.worker_types import load_table

PIN = json.loads(Path(os.environ["PIN"]).read_text())
APPLICATION = os.environ["APPLICATION"]


def test_metadata_and_files(tmp_path: Path) -> None:
    """Metadata and files that an engine reads match the worker type table and documentation."""
    image = read_image(Path(os.environ["IMAGE"]))
    # The tar driver unpacks the whole image for each test (4 s), so most files are checked by the
    # host driver inside the image instead.
    tests = {
        "schemaVersion": "2.0.0",
        "metadataTest": metadata_test(image, PIN, load_table().ports, APPLICATION),
        "fileExistenceTests": [
            {"name": "no shell", "path": "/usr/bin/sh", "shouldExist": False},
            {"name": "data", "path": "/data/", "shouldExist": True, "permissions": "drwxr-xr-x"},
        ],
    }
    config = tmp_path / "tests.yaml"
    config.write_text(yaml.safe_dump(tests))
    report = tmp_path / "report.json"
    command = [str(tool()), "test", "--config", str(config), "--driver", "tar"]
    command += ["--image", os.environ["TARBALL"], "--output", "json", "--test-report", str(report)]
    done = subprocess.run(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, report.read_text() if report.exists() else done.stdout
    assert json.loads(report.read_text())["Total"] == 3
