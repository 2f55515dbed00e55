"""Structure tests of one worker type's image, generated from the table of worker types.

container-structure-test's host driver runs inside the image, which is unpacked once, and reads the
metadata from the config of this type's image.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.image import Image, read_image, unpack
from testbed.site import WORKERS, make_mounts
from tests.worker_images.structure import (
    ABSENT,
    command_tests,
    files_here,
    imported,
    metadata_test,
    run_inside,
)
from worker.worker_types import ProcessType, load_table

PIN = json.loads(Path(os.environ["PIN"]).read_text())
TABLE = load_table()
WORKER: ProcessType = TABLE.apps[os.environ["APPLICATION"]]


@pytest.fixture(scope="module")
def image() -> Image:
    """Return the image of this type."""
    return read_image(Path(os.environ["IMAGE"]))


@pytest.fixture(scope="module")
def root(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder with the image, which is unpacked once for this file."""
    folder = tmp_path_factory.mktemp("image") / "root"
    unpack(image, folder)
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


def test_it_is_the_shared_image_and_one_variable(image: Image) -> None:
    """The layers and the config equal those of ``//image``, except for ``SYNAPSE_WORKER``.

    Therefore, tests of one type's layers apply to all types.
    """
    shared = read_image(Path(os.environ["SHARED"]))
    assert image.manifest["layers"] == shared.manifest["layers"]
    assert image.config["rootfs"] == shared.config["rootfs"]
    environ = [*shared.config["config"]["Env"], f"SYNAPSE_WORKER={WORKER.app}"]
    assert image.config["config"] == {**shared.config["config"], "Env": environ}


def test_structure(image: Image, root: Path, tmp_path: Path) -> None:
    """Metadata and files are right, a sample configuration is accepted, and there is no shell."""
    mounts = make_mounts(tmp_path, WORKERS)
    # All types share the layers, so every module of Synapse is imported for only one of them.
    modules = imported(Path(os.environ["LOCK"])) if WORKER.is_main else []
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
