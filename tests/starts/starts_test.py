"""A pin starts: main, two workers and nginx with PostgreSQL and Redis; users talk; it stops."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.first_steps import WORKERS, reported, talk
from cluster.homeserver import Homeserver, Parts
from cluster.image import read_image, unpack
from cluster.site import make_authority

# What `./bazelw run pin` shows when it does not.
REPORT = Path(os.environ["TEST_UNDECLARED_OUTPUTS_DIR"], "last_lines.txt")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """The image, unpacked."""
    folder = tmp_path_factory.mktemp("parts")
    image = read_image(Path(os.environ["IMAGE"]))
    unpack(image, folder / "root")
    services = Path(os.environ["SERVICES"]).resolve().parent / "root"
    yield Parts(image, folder / "root", services, make_authority(folder / "authority"))
    subprocess.run(["rm", "-rf", folder / "root"], check=True)


def test_it_starts_talks_and_stops(parts: Parts, tmp_path: Path) -> None:
    """Every process ends with 0."""
    homeserver = Homeserver(1, tmp_path / "hs", parts, WORKERS, planned=False, settings={})
    with reported(homeserver, REPORT):
        homeserver.start()
        seconds = talk(homeserver)
    print(f"the waiting sync had the message after {seconds:.2f} s")
