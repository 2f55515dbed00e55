"""systemd's own check of the services that podman makes of the club's units."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.machine import Machine

CLUB = Path("examples/club").resolve()
SERVICES = Path(os.environ["SERVICES"]).resolve().parent / "root"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Yield a machine with the club's units."""
    if os.geteuid() != 0:
        pytest.skip("only root can run systemd in namespaces of its own")
    found = Machine(SERVICES, tmp_path)
    try:
        found.start()
        for folder in ("containers", "systemd", "synapse"):
            shutil.copytree(CLUB / folder, found.work / folder)
        found.run("cp -r containers systemd synapse /etc; systemctl daemon-reload")
        yield found
    finally:
        found.kill()


def test_systemd_finds_no_fault(machine: Machine) -> None:
    """A planted fault shows that it looks for unknown settings."""
    verify = "systemd-analyze verify synapse.target $(ls /run/systemd/generator/synapse-*.service)"
    done = machine.run(verify, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    machine.run(
        "sed -i 's/^Restart=always/Restrat=always/' /etc/containers/systemd/synapse/synapse-main.*;"
        "systemctl daemon-reload"
    )
    assert "Unknown key 'Restrat'" in machine.run(verify, check=False).stderr


def test_a_restart_of_the_target_reaches_every_process(machine: Machine) -> None:
    """Each service is part of the target, and the workers are part of the main process, too."""
    listed = machine.run("systemctl show --property=ConsistsOf --value synapse.target").stdout
    services = set(machine.run("cd /run/systemd/generator; ls synapse-*.service").stdout.split())
    containers = {
        name for name in services if not name.endswith(("-volume.service", "-network.service"))
    }
    assert set(listed.split()) == containers
    listed = machine.run("systemctl show --property=ConsistsOf --value synapse-main").stdout
    others = {"synapse-main.service", "synapse-postgres.service", "synapse-redis.service"}
    assert set(listed.split()) == containers - others - {"synapse-proxy.service"}
