"""Structure tests of one worker type's image, generated from the one table.

container-structure-test's host driver runs inside the image, unpacked once, and reads the metadata
from this type's own configuration.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.image import Image, read_image, unpack
from cluster.site import WORKERS, make_data
from tests.fleet.structure import (
    ABSENT,
    command_tests,
    files_here,
    imported,
    metadata_test,
    run_inside,
)
from worker.worker_types import WorkerType, load_table

PIN = json.loads(Path(os.environ["PIN"]).read_text())
TABLE = load_table()
WORKER: WorkerType = TABLE.types[os.environ["APPLICATION"]]


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


def test_it_is_the_shared_image_and_one_variable(image: Image) -> None:
    """The layers and the configuration are those of ``//image``, but for ``SYNAPSE_WORKER``.

    What other tests find out about the layers of one type is thereby true of each type.
    """
    shared = read_image(Path(os.environ["SHARED"]))
    assert image.manifest["layers"] == shared.manifest["layers"]
    assert image.config["rootfs"] == shared.config["rootfs"]
    environ = [*shared.config["config"]["Env"], f"SYNAPSE_WORKER={WORKER.app}"]
    assert image.config["config"] == {**shared.config["config"], "Env": environ}


def test_structure(image: Image, root: Path, tmp_path: Path) -> None:
    """Metadata and files are right, this type's configuration is accepted, there is no shell."""
    mounts = {"/data": make_data(tmp_path / "data", WORKERS)}
    for name in ("synapse_media", "synapse_runtime"):
        mounts["/" + name] = tmp_path / name
        mounts["/" + name].mkdir()
    # All types share the layers, so every module of Synapse is imported in one of them.
    modules = imported(Path(os.environ["LOCK"])) if WORKER.main else []
    commands = command_tests(image, WORKER, modules)
    here = files_here(PIN["python"])
    files = [{"name": path, "path": path, "shouldExist": True} for path in here]
    files += [{"name": path, "path": path, "shouldExist": False} for path in ABSENT]
    document = {
        "commandTests": commands,
        "fileExistenceTests": files,
        "metadataTest": metadata_test(image, PIN, TABLE.ports, WORKER.app),
    }
    said = run_inside(image, root, mounts, tmp_path / "inside", document, image.config)
    assert f"Passes:      {len(commands) + len(files) + 1}" in said, said
