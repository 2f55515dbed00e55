"""What docs/deploying.md says about several hosts, word for word, with two machines."""

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.images import Images
from deploy.support import POSTGRES, REDIS
from testbed.engine import engine_machine, run_commands
from testbed.logins import allow, start_sshd
from testbed.machine import Machine
from testbed.pages import blocks, section
from tests.examples.messages import REGISTER, read, send

PAGE = Path(os.environ["PAGE"])
SERVICES = Path(os.environ["SERVICES"]).resolve().parent / "root"
LAYOUT = Path(os.environ["IMAGE"]).resolve()
ADDRESSES = ("192.0.2.1", "192.0.2.2")
URL = "https://example.com"
_VARIABLES = {**POSTGRES.environ, "POSTGRES_PASSWORD_FILE": "/password"}
# The administrator's own PostgreSQL and Redis, which start with the machine.
_UNIT = """\
[Container]
Image={image}
PublishPort=192.0.2.1:{port}:{port}
Network=services.network
{lines}
[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Case:
    """How an engine runs the processes of two hosts.

    Attributes:
        engine: the engine.
        heading: the heading of its section.
        main: the command before one that is to run in the container of main.
        proxy_log: the command that prints the log of HAProxy.
        restart: the command that restarts all processes of a host.
        started: a command that fails until a machine that was started has a main process again; a
            unit of systemd is started once its container is healthy, but Docker starts all
            containers at once.
        workers: the workers to which HAProxy sends requests.
    """

    engine: str
    heading: str
    main: str
    proxy_log: str
    restart: str
    started: str
    workers: tuple[str, ...]


CASES = {
    "podman": Case(
        "podman",
        "With podman and systemd",
        "podman exec synapse-main",
        "podman logs synapse-proxy",
        "systemctl restart synapse.target",
        "true",
        ("event_creator", "client_reader", "synchrotron"),
    ),
    "docker": Case(
        "docker",
        "With Docker Compose",
        "docker compose exec -T main",
        "docker compose logs --no-log-prefix proxy",
        "docker compose restart",
        "docker compose ps main | grep -F '(healthy)'",
        ("synchrotron",),
    ),
}
CASE = CASES[os.environ["ENGINE"]]


def start_services(machine: Machine) -> None:
    """Start PostgreSQL and Redis, which other machines can reach."""
    names = Images()
    redis = " ".join(REDIS.command)
    if CASE.engine == "docker":
        environ = " ".join(f"-e '{name}={value}'" for name, value in _VARIABLES.items())
        start = "docker run -d --restart=always --network services -p 192.0.2.1"
        machine.run(
            "docker network create services\n"
            f"{start}:5432:5432 -v ./database_password:/password {environ} {names.postgres_image}\n"
            f"{start}:6379:6379 {names.redis_image} {redis}\n"
        )
        return
    environ = "".join(f'Environment="{name}={value}"\n' for name, value in _VARIABLES.items())
    password = "Volume=/srv/database_password:/password\nVolume=data:/var/lib/postgresql/data\n"
    units = {
        "postgres.container": _UNIT.format(
            image=names.postgres_image, port=5432, lines=environ + password
        ),
        "redis.container": _UNIT.format(
            image=names.redis_image, port=6379, lines=f"Exec={redis}\n"
        ),
        "services.network": "[Network]\n",
    }
    for name, text in units.items():
        (machine.work / name).write_text(text)
    machine.run(
        f"mkdir -p /etc/containers/systemd; mv {' '.join(units)} /etc/containers/systemd\n"
        "systemctl daemon-reload; systemctl start postgres redis\n"
    )


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    """Yield two connected machines; root of the first one can log in at the second one."""
    if os.geteuid() != 0:
        pytest.skip("only root can run systemd in namespaces of its own")
    first, second = (tmp_path / name for name in ("first", "second"))
    with (
        engine_machine(SERVICES, LAYOUT, first, CASE.engine, ADDRESSES[0]) as main,
        engine_machine(SERVICES, LAYOUT, second, CASE.engine, ADDRESSES[1], main) as other,
    ):
        for machine in (main, other):
            machine.run("echo secret > database_password; chmod 444 database_password")
            start_sshd(machine)
        allow(main, other)
        start_services(main)
        yield main, other


def requests(main: Machine) -> set[str]:
    """Return the names of the processes to which HAProxy has sent requests that they answered."""
    log = main.run(f"{CASE.proxy_log} 2>&1").stdout
    return set(re.findall(r" synapse_\w+/(\w+) [0-9/]+ 200 ", log))


def test_two_hosts_share_the_work(machines: tuple[Machine, Machine]) -> None:
    """A message goes through all workers, also after a host or its processes start anew."""
    main, other = machines
    text = section(PAGE.read_text(), CASE.heading)
    plan = re.search("`\\$PLAN` is, for example, `(.*)`", text)
    assert plan
    begin = time.monotonic()
    for block in blocks(text):
        where = block.script.splitlines()[0]
        for machine in machines[:1] if where == "# On 192.0.2.1:" else machines:
            environ = {"PLAN": plan[1], "HOST": machine.address}
            run_commands(machine, block.script, environ=environ)
            print(f"----- after {time.monotonic() - begin:.1f} s")
    run_commands(main, f"{CASE.main} {REGISTER}")
    send(main, URL, "Hello from two hosts")
    print(f"----- the first message after {time.monotonic() - begin:.1f} s")
    assert requests(main) >= set(CASE.workers)
    if CASE.engine == "podman":
        # The event creator at one host calls the event persister at the other one.
        logged = (
            "podman logs synapse-workers 2>&1 | grep -c 'POST /_synapse/replication/.*send_event'"
        )
        assert int(other.run(logged).stdout) > 0

    run_commands(other, CASE.restart)
    send(main, URL, "The workers are back")

    main.kill()
    main.start(other)
    run_commands(main, f"until {CASE.started}; do sleep 1; done", seconds=240)
    read(main, URL, "Hello from two hosts")
    deadline = time.monotonic() + 60
    while not set(CASE.workers) <= requests(main):
        assert time.monotonic() < deadline, f"only {requests(main)} answer after a new start"
        send(main, URL, "The main process is back")
