"""What docs/deploying.md says about quadlets of a user without privileges, word for word."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.images import Images
from testbed.engine import IMAGE, engine_machine, run_commands
from testbed.logins import add_user, logged_in, start_sshd
from testbed.machine import Machine
from testbed.pages import blocks, section
from tests.examples.messages import REGISTER, read, send

PAGE = Path(os.environ["PAGE"])
SERVICES = Path(os.environ["SERVICES"]).resolve().parent / "root"
LAYOUT = Path(os.environ["IMAGE"]).resolve()
PLAN = "synchrotron, event_creator, media_repository"
URL = "https://example.com:8443"
# The processes of Synapse and what they need, each of which is a service.
SERVICE_COUNT = 7


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Yield a machine with a user that has the images."""
    if os.geteuid() != 0:
        pytest.skip("only root can run systemd in namespaces of its own")
    if "NoNewPrivs:\t1\n" in Path("/proc/self/status").read_text():
        # In its debian mode, bazelw starts Bazel with bwrap.
        pytest.skip("newuidmap gets no privileges under bwrap; run this with BAZELW_MODE=host")
    with engine_machine(SERVICES, LAYOUT, tmp_path) as started:
        start_sshd(started)
        add_user(started)
        names = Images()
        images = f"{IMAGE} {names.postgres_image} {names.redis_image} {names.proxy_image}"
        load = logged_in("podman load --quiet")
        started.run(f"podman save --quiet --multi-image-archive {images} | {load}")
        yield started


def running(machine: Machine) -> int:
    """Return how many services of the user run."""
    listed = "systemctl --user list-units --state=running --plain --no-legend 'synapse-*.service'"
    return len(machine.run(logged_in(listed), check=False).stdout.splitlines())


def test_a_user_without_privileges_runs_a_homeserver(machine: Machine) -> None:
    """From nothing to a message, which is still there after restarts of services and machine."""
    begin = time.monotonic()
    for block in blocks(section(PAGE.read_text(), "Without root")):
        owner = block.script.splitlines()[0]
        assert owner in ("# As root:", "# As matrix:"), owner
        as_user = owner == "# As matrix:"
        run_commands(machine, block.script, environ={"PLAN": PLAN}, as_user=as_user)
        print(f"----- after {time.monotonic() - begin:.1f} s")
    machine.run(logged_in(f"podman exec synapse-main {REGISTER}"))
    send(machine, URL, "Hello without root")
    print(f"----- the first message after {time.monotonic() - begin:.1f} s")
    users = machine.run("ps -C haproxy -o ruid= | sort -u").stdout.split()
    assert users == ["1000"]

    machine.run(logged_in("systemctl --user restart synapse.target"))
    read(machine, URL, "Hello without root")
    assert running(machine) == SERVICE_COUNT

    machine.kill()
    machine.start()
    deadline = time.monotonic() + 240
    while running(machine) < SERVICE_COUNT:
        assert time.monotonic() < deadline, "a service does not run after a start of the machine"
        time.sleep(2)
    read(machine, URL, "Hello without root")
