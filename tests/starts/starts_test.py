"""A homeserver of a pin with two workers, nginx, PostgreSQL and Redis starts, works and stops."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.first_steps import WORKERS, reported, talk
from testbed.homeserver import Homeserver, Parts
from testbed.image import read_image, unpack
from testbed.layout import Options
from testbed.site import make_authority

# `./bazelw run pin` shows this file when the pin does not start.
REPORT = Path(os.environ["TEST_UNDECLARED_OUTPUTS_DIR"], "last_lines.txt")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Yield the shared parts: the unpacked image, the services and a CA."""
    folder = tmp_path_factory.mktemp("parts")
    image = read_image(Path(os.environ["IMAGE"]))
    unpack(image, folder / "root")
    services = Path(os.environ["SERVICES"]).resolve().parent / "root"
    yield Parts(image, folder / "root", services, make_authority(folder / "authority"))
    subprocess.run(["rm", "-rf", folder / "root"], check=True)


def test_it_starts_talks_and_stops(parts: Parts, tmp_path: Path) -> None:
    """A message is delivered through the workers, and every process exits with code 0."""
    homeserver = Homeserver(1, tmp_path / "hs", parts, Options(WORKERS))
    with reported(homeserver, REPORT):
        homeserver.start()
        seconds = talk(homeserver)
    print(f"the waiting sync had the message after {seconds:.2f} s")
