"""The image, which the tests of one file unpack once."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.image import Image, read_image, unpack


@pytest.fixture(scope="module")
def image() -> Image:
    """Return the image."""
    return read_image(Path(os.environ["IMAGE"]))


@pytest.fixture(scope="module")
def root(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder with the unpacked image."""
    folder = tmp_path_factory.mktemp("image") / "root"
    unpack(image, folder)
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)
