"""The README's container commands, word for word."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy.images import Images
from deploy.support import POSTGRES, REDIS
from testbed.engine import engine_machine, run_commands
from testbed.machine import Machine

README = Path(os.environ["README"])
SERVICES = Path(os.environ["SERVICES"]).resolve().parent / "root"
LAYOUT = Path(os.environ["IMAGE"]).resolve()


def commands() -> list[str]:
    """Return the command lines of the README's section on running it."""
    block = re.search(r"## Running it\n.*?```sh\n(.*?)```", README.read_text(), re.DOTALL)
    assert block, "the README has no section on running it"
    return [line for line in block[1].splitlines() if line.strip()]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Yield a machine with the images, and the folders that the README mentions."""
    if os.geteuid() != 0:
        pytest.skip("only root can give the files of a container to many users")
    with engine_machine(SERVICES, LAYOUT, tmp_path) as started:
        started.run("mkdir synapse media; chown 991:991 synapse media")
        yield started


def start_services(machine: Machine) -> None:
    """Start PostgreSQL and Redis in the network of the README."""
    variables = {**POSTGRES.environ} | {"POSTGRES_PASSWORD_FILE": "/password"}
    options = " ".join(f"-e '{name}={value}'" for name, value in variables.items())
    images = Images()
    machine.run(
        "echo secret > password; chmod 444 password\n"
        f"podman run -d --name postgres --network synapse -v ./password:/password {options} "
        f"{images.postgres_image}\n"
        f"podman run -d --name redis --network synapse {images.redis_image} "
        f"{' '.join(REDIS.command)}\n"
    )


def configure(machine: Machine) -> None:
    """Set the database and Redis in the generated homeserver.yaml, and add a TLS key pair."""
    path = machine.work / "synapse/homeserver.yaml"
    document = yaml.safe_load(path.read_text())
    args = {"user": "synapse", "dbname": "synapse", "host": "postgres", "password": "secret"}
    document["database"] = {"name": "psycopg2", "args": args}
    document["redis"] = {"enabled": True, "host": "redis"}
    path.write_text(yaml.safe_dump(document))
    machine.run(
        "cd /etc/letsencrypt/live/example.com\n"
        "install -o 991 -m 400 fullchain.pem /srv/synapse/tls.crt\n"
        "install -o 991 -m 400 privkey.pem /srv/synapse/tls.key\n"
    )


def test_what_the_readme_says_works(machine: Machine) -> None:
    """The commands lead from empty folders to a main process and a worker that are ready."""
    network, generate, *rest = commands()
    run_commands(machine, network)
    assert "wrote /data/homeserver.yaml" in run_commands(machine, generate)
    configure(machine)
    start_services(machine)
    checks = [line for line in rest if line.startswith("docker exec ")]
    starts = [line for line in rest if line.startswith("docker run ")]
    assert (len(starts), len(checks)) == (2, 2)
    for line in starts:
        run_commands(machine, line)
    for line in checks:
        # The processes wait for each other, and the machine may be busy with other tests.
        waiting = f"until {line}; do sleep 1; done\n"
        assert run_commands(machine, waiting, seconds=240).endswith("ready\n")
    for name in ("synapse-synchrotron", "synapse-homeserver"):
        run_commands(machine, f"docker stop -t 30 {name}")
        status = run_commands(machine, f"docker inspect --format '{{{{.State.ExitCode}}}}' {name}")
        assert status == "0\n", name
