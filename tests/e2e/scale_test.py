"""Replicas that come and go under load, as an engine starts and stops them: 1, then 5, then 2.

The processes get the variables, the hook before their end and the proxy's configuration that the
verb `kubernetes` prints; the test does what Kubernetes does with them.
"""

import io
import re
import secrets
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.bwrap import read_only
from testbed import names, services
from testbed.homeserver import Homeserver, Parts
from testbed.image import container, entrypoint
from testbed.layout import MAIN, PORTS, Layout, Options
from testbed.processes import Process, answers
from tests.e2e.load import Client, check
from tests.e2e.people import Person, until

NUMBER = 7
PLAN = "web=synchrotron+client_reader+event_creator, typing"
WEB, TYPING = "base/workers/web.yaml", "base/workers/typing.yaml"
DOMAIN = "synapse.svc.test"
PROXY_PORT = 8080
# The last parts of the addresses.
_DNS, _TYPING, _FIRST_REPLICA = 5, 11, 21
# Users who create rooms all the time, so that each replica is doing that when it is stopped.
_CREATORS = 6


@dataclass(frozen=True)
class Pod:
    """A process of Synapse in a pod.

    Attributes:
        name: the name of the pod, which is its host name.
        address: its address.
        environ: its variables.
        process: the process.
    """

    name: str
    address: str
    environ: Mapping[str, str]
    process: Process


class ScaledLayout(Layout):
    """A layout whose proxy listens where it does in Kubernetes."""

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"http://{self.proxy}:{PROXY_PORT}"


class Cluster(Homeserver):
    """A homeserver whose replicas are in the DNS.

    Attributes:
        replicas: the replicas that run.
    """

    def __init__(self, folder: Path, parts: Parts) -> None:
        """Prepare it in ``folder``, which is created."""
        unlimited = {"rc_room_creation": {"per_second": 10000, "burst_count": 10000}}
        options = Options({}, planned=True, settings=unlimited)
        super().__init__(NUMBER, folder, parts, options)
        self.layout = ScaledLayout(NUMBER, options)
        (folder / "run/secrets").mkdir(parents=True)
        (folder / "run/secrets/database_password").write_text("not needed\n")
        self.replicas: list[Pod] = []
        self._files = self._printed()

    def _printed(self) -> dict[str, list[dict[str, Any]]]:
        """Return the objects that the verb of the image prints, by path."""
        command = self._inside("verb", {}, "kubernetes", PLAN, "--cluster-domain=test")
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            files = {name: tar.extractfile(name) for name in tar.getnames() if "base/" in name}
            return {name: list(yaml.safe_load_all(file)) for name, file in files.items() if file}

    def container_of(self, path: str) -> dict[str, Any]:
        """Return the container of a workload."""
        found: dict[str, Any] = self._files[path][0]["spec"]["template"]["spec"]["containers"][0]
        return found

    def _inside(self, pod: str, environ: Mapping[str, str], *arguments: str) -> list[str]:
        """Return the command line that starts a container of a pod, or a command in it."""
        folder, parts = self._folder, self._parts
        hosts = folder / "hosts"
        hosts.write_text(
            "127.0.0.1 localhost\n"
            f"{self.layout.host_of(MAIN)} main\n127.{NUMBER}.0.{_TYPING} typing-0.typing\n"
        )
        runtime = folder / f"runtime-{pod}"
        runtime.mkdir(exist_ok=True)
        mounts = {"/synapse_runtime": runtime, "/synapse_media": folder / "media"}
        files = {"/data": self.data, "/etc/hosts": hosts, "/run": folder / "run"}
        inside = container(parts.image, parts.root, mounts, environ, files).in_our_processes()
        inside = replace(inside, hostname=pod, unshare=(*inside.unshare, "uts"))
        return inside.command(*entrypoint(parts.image), *arguments)

    def _pod(self, name: str, path: str, last: int) -> Pod:
        """Start a pod."""
        address = f"127.{NUMBER}.0.{last}"
        variables = self.container_of(path)["env"]
        environ = {one["name"]: one["value"] for one in variables}
        environ["SYNAPSE_BIND_ADDRESSES"] = address
        command = self._inside(name, environ)
        process = self.processes[name] = Process(name, command, self._folder / f"{name}.log")
        process.start()
        return Pod(name, address, environ, process)

    def _wait_started(self, pod: Pod, path: str) -> None:
        """Return once the startup probe of a pod succeeds."""
        probe = self.container_of(path)["startupProbe"]
        if "exec" in probe:
            arguments = probe["exec"]["command"][3:]
            command = self._inside(pod.name, pod.environ, *arguments)
            pod.process.wait_until(
                lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0,
                120,
                every=1,
            )
        else:
            pod.process.wait_until(lambda: answers(pod.address, PORTS["health"]), 120)

    def start(self) -> None:
        """Start everything with one replica."""
        root, folder, layout = self._parts.services, self._folder, self.layout
        self.processes["postgres"] = services.postgres(root, folder, layout.postgres)
        self.processes["redis"] = services.redis(root, folder, layout.redis)
        self._names = names.start(root, folder, f"127.{NUMBER}.0.{_DNS}")
        self.processes["dns"] = self._names.process
        main = self._pod("main-0", "base/main.yaml", 10)
        self._wait_started(main, "base/main.yaml")
        self._wait_started(self._pod("typing-0", TYPING, _TYPING), TYPING)
        self.scale(1)
        self._start_proxy()

    def _start_proxy(self) -> None:
        root, state = self._parts.services, self._folder / "haproxy"
        state.mkdir()
        text = self._files["base/proxy.yaml"][0]["data"]["haproxy.cfg"]
        # Here, all pods share the addresses of one machine.
        text = text.replace("bind :", f"bind {self.layout.proxy}:", 1)
        (state / "conf").write_text(re.sub("    bind :::.*\n", "", text))
        (state / "resolv.conf").write_text(f"nameserver 127.{NUMBER}.0.{_DNS}\n")
        inside = services.container(root, state)
        inside = inside.with_mounts(read_only(state / "resolv.conf", "/etc/resolv.conf"))
        command = inside.command("haproxy", "-db", "-f", "/state/conf")
        process = Process("haproxy", command, self._folder / "haproxy.log")
        self.processes["haproxy"] = process
        process.start()
        process.wait_until(lambda: answers(self.layout.proxy, PROXY_PORT))

    def scale(self, count: int) -> None:
        """Start or stop replicas, as a Deployment does; return once they are ready, or have ended.

        A pod is in the DNS from when it is ready until it is to be stopped; then its hook runs, and
        then it gets SIGTERM.
        """
        new = [
            self._pod(f"web-6d5f4c-{secrets.token_hex(2)}", WEB, _FIRST_REPLICA + number)
            for number in range(len(self.replicas), count)
        ]
        for pod in new:
            self._wait_started(pod, WEB)
        self.replicas += new
        old, self.replicas = self.replicas[count:], self.replicas[:count]
        self._names.set(
            {
                f"main.{DOMAIN}": [self.layout.host_of(MAIN)],
                f"typing-0.typing.{DOMAIN}": [f"127.{NUMBER}.0.{_TYPING}"],
                f"web.{DOMAIN}": [pod.address for pod in self.replicas],
            }
        )
        hook = self.container_of(WEB)["lifecycle"]["preStop"]["exec"]["command"][3:]
        hooks = [subprocess.Popen(self._inside(pod.name, pod.environ, *hook)) for pod in old]
        for pod, process in zip(old, hooks, strict=True):
            assert process.wait(60) == 0, pod.name
            assert pod.process.stop(30) == 0, pod.process.tail()

    def worker_name(self, pod: Pod) -> str:
        """Return the name that Synapse says it has."""
        found = re.findall("Instance name: (\\S+)", pod.process.log.read_text())
        return found[-1] if found else ""

    def received(self, pod: Pod, servlet: str) -> float:
        """Return how many requests to a servlet a replica has received."""
        url = f"http://{pod.address}:{PORTS['metrics']}/_synapse/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            metrics: list[str] = answer.read().decode().splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in metrics
            if line.startswith("synapse_http_server_requests_received_total{")
            and f'servlet="{servlet}"' in line
        )


@pytest.fixture(scope="module")
def cluster(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yield a running homeserver with one replica."""
    running = Cluster(tmp_path_factory.mktemp("scale") / "7", parts)
    try:
        running.start()
        yield running
    finally:
        for process in running.processes.values():
            print(f"----- {process.name}\n{process.tail(10)}")
        running.kill()


def requests(person: Person, room: str) -> dict[str, Callable[[int], object]]:
    """Return a function for each kind of request that a client of ``person`` sends."""
    call = person.call
    position = {"since": call("GET", "sync?timeout=0")["next_batch"]}

    def sync(_: int) -> None:
        answer = call("GET", f"sync?timeout=2000&since={position['since']}")
        position["since"] = answer["next_batch"]

    def send(number: int) -> object:
        body = {"msgtype": "m.text", "body": str(number)}
        return call("PUT", f"rooms/{room}/send/m.room.message/t{number}", body)

    return {
        "initial sync": lambda _: call("GET", "sync?timeout=0"),
        "read": lambda _: call("GET", f"rooms/{room}/messages?dir=b&limit=5"),
        "send": send,
        "sync": sync,
        "typing": lambda _: call(
            "PUT", f"rooms/{room}/typing/{person.id}", {"typing": True, "timeout": 3000}
        ),
        # Each token is a key of its own, so all replicas get some of these.
        "login": lambda number: person.homeserver.call(
            "GET", f"/_matrix/client/v3/login?access_token={number}"
        ),
        "whoami": lambda _: call("GET", "account/whoami"),
    }


def creating(person: Person) -> Callable[[int], object]:
    """Return a function that creates a room, with a POST that the proxy never sends twice."""
    return lambda _: person.call("POST", "createRoom", {})


def wait_used(cluster: Cluster) -> None:
    """Return once each replica has answered requests, in each of which the token is a new one."""

    def used(pod: Pod) -> bool:
        return cluster.received(pod, "LoginRestServlet") > before[pod.name]

    before = {pod.name: cluster.received(pod, "LoginRestServlet") for pod in cluster.replicas}
    until(lambda: all(map(used, cluster.replicas)), "all replicas get requests", 60)


def test_no_request_is_lost_when_replicas_come_and_go(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each replica has a name of its own, gets requests while it runs, and finishes them."""
    person, *others = (Person(cluster, f"user{number}") for number in range(_CREATORS + 1))
    room = person.call("POST", "createRoom", {})["room_id"]
    person.send(room, "hello")
    clients = [Client(kind, request) for kind, request in requests(person, room).items()]
    clients += [Client(f"create {number}", creating(one)) for number, one in enumerate(others)]
    seen: dict[str, str] = {}
    try:
        for count in (1, 5, 2):
            begin = time.monotonic()
            cluster.scale(count)
            scaled = time.monotonic() - begin
            wait_used(cluster)
            seen |= {pod.name: cluster.worker_name(pod) for pod in cluster.replicas}
            with capsys.disabled():
                print(f"\n{count} replicas after {scaled:.1f} s")
            time.sleep(3)
    finally:
        for client in clients:
            client.end()
    answered = sum(client.answered for client in clients)
    slowest = max(clients, key=lambda client: client.slowest)
    with capsys.disabled():
        print(f"{answered} requests answered, slowest {slowest.slowest:.1f} s ({slowest.kind})")
    assert len(seen) == 5
    assert {name: name for name in seen} == seen
    check(clients)
