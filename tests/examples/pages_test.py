"""The commands of the examples' pages, run word for word on a machine with systemd.

`docker` is podman or Docker; see `testbed.engine`.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.engine import engine_machine, run_commands
from testbed.machine import Machine
from testbed.pages import blocks

EXAMPLES = Path(os.environ["EXAMPLE"]).resolve().parent
SERVICES = Path(os.environ["SERVICES"]).resolve().parent / "root"
LAYOUT = Path(os.environ["IMAGE"]).resolve()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Yield a machine with the images and a certificate for example.com."""
    if os.geteuid() != 0:
        pytest.skip("only root can give the files of a container to many users")
    with engine_machine(SERVICES, LAYOUT, tmp_path, os.environ["ENGINE"]) as started:
        yield started


def test_the_commands_of_a_page_work_in_order(machine: Machine) -> None:
    """Whoever follows a page should not have to correct it."""
    (machine.work / "plan.txt").write_text((EXAMPLES / "plan.txt").read_text())
    page = (EXAMPLES / "README.md").read_text()
    begin = time.monotonic()
    for block in blocks(page):
        output = run_commands(machine, block.script, seconds=150)
        print(f"----- after {time.monotonic() - begin:.1f} s")
        if block.output is not None:
            # podman-compose and Docker print the names of the containers before.
            assert output.endswith(block.output), block.script
