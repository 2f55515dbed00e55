"""Runs a homeserver split into workers: each process in the image, at its own address."""

import hashlib
import hmac
import http.client
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from testbed import services
from testbed.image import Image, container, entrypoint
from testbed.layout import MAIN, Layout, Options, hosts_file
from testbed.processes import Forked, Process
from testbed.site import SHARED_SECRET, make_data
from worker.health import UnixConnection

_STOP_SECONDS = 30  # As docs/operating.md says.


@dataclass(frozen=True)
class Parts:
    """The parts that all homeservers of a run share.

    Attributes:
        image: the image.
        root: the image, unpacked.
        services: the root with PostgreSQL, Redis and nginx.
        authority: the folder of the CA that signs their certificates.
    """

    image: Image
    root: Path
    services: Path
    authority: Path


class Homeserver:
    """PostgreSQL, Redis, the main process, workers and a reverse proxy, all on loopback.

    Attributes:
        layout: its addresses, and what each process is told.
        processes: every process by name, in the order in which they start; with parents, these as
            well.
        data: the folder that is mounted at /data.
        sockets: the folder of the Unix sockets, or None if there are none.
    """

    def __init__(self, number: int, folder: Path, parts: Parts, options: Options) -> None:
        """Prepare it in ``folder``, which is created.

        Args:
            number: the number of the homeserver in its run, from 1; determines its addresses.
            folder: the folder for its state and logs.
            parts: the parts that all homeservers share.
            options: its processes and settings.
        """
        folder.mkdir()
        self._folder, self._parts, self._options = folder, parts, options
        self.layout = Layout(number, options)
        self.processes: dict[str, Process] = {}
        homeserver = yaml.safe_dump(self.layout.homeserver())
        self.data = make_data(folder / "data", homeserver, self.layout.host, parts.authority)
        for name, text in options.data.items():
            (self.data / name).write_text(text)
        (folder / "media").mkdir()
        self.sockets = self._sockets_folder()

    def _sockets_folder(self) -> Path | None:
        """Return the folder of the Unix sockets, which a parent's entrypoint creates itself."""
        if self.layout.sockets == "/sockets":
            folder = self._folder / "sockets"
            folder.mkdir()
            return folder
        return self._folder / "runtime-parent0" / "sockets" if self.layout.sockets else None

    def command(self, name: str, *arguments: str, environ: Mapping[str, str] = {}) -> list[str]:
        """Return the command line that starts a process's container, as an engine would."""
        hosts = self._folder / "hosts"
        hosts.write_text(hosts_file())
        container_name = self.layout.container_of(name)
        runtime = self._folder / f"runtime-{container_name}"
        runtime.mkdir(exist_ok=True)
        mounts = {"/synapse_runtime": runtime}
        if any(map(self.layout.serves_media, self.layout.containers[container_name])):
            mounts["/synapse_media"] = self._folder / "media"
        if self.sockets is not None and self.layout.sockets == "/sockets":
            mounts["/sockets"] = self.sockets
        parts = self._parts
        files = {"/data": self.data, "/etc/hosts": hosts}
        environ = self.layout.environ(name) | dict(environ)
        inside = container(parts.image, parts.root, mounts, environ, files).in_our_processes()
        return inside.command(*entrypoint(parts.image), *arguments)

    def synapses(self) -> list[Process]:
        """Return the Synapse processes, main first."""
        return [self.processes[name] for name in self.layout.names]

    def synapses_and_parents(self) -> list[Process]:
        """Return the Synapse processes, and the parents that forked them, if any; each once."""
        containers = [self.processes[name] for name in self.layout.containers]
        return list({one.pid: one for one in [*containers, *self.synapses()]}.values())

    def start(self) -> None:
        """Start everything; return once every process is healthy.

        Raises:
            StartError: if a process is not; the message names it.
        """
        root, folder, layout = self._parts.services, self._folder, self.layout
        self.processes["postgres"] = services.postgres(root, folder, layout.postgres)
        if self._options.redis:
            self.processes["redis"] = services.redis(root, folder, layout.redis)
        for container_name, names in layout.containers.items():
            log = folder / f"{container_name}.log"
            process = Process(container_name, self.command(names[0]), log)
            self.processes[container_name] = process
            process.start()
            if self._options.parents:
                self.processes |= {name: Forked(name, process) for name in names}
            if MAIN in names:
                self.wait_healthy(MAIN)
        for worker in layout.workers:
            self.wait_healthy(worker.name)
        name = self._options.proxy
        configuration = self.routes(name, *layout.proxy_options())
        self.processes[name] = services.proxy(
            name, root, folder, layout.proxy, configuration, self.data, self._shared_folders()
        )

    def _shared_folders(self) -> dict[str, Path]:
        return {} if self.sockets is None else {self.layout.sockets: self.sockets}

    def routes(self, name: str, *options: str) -> str:
        """Return the routes in a format, as the verb ``routes`` of the image prints them."""
        layout = self.layout
        environ = {"SYNAPSE_REPLICATION_HOST": layout.host_of(MAIN)}
        done = subprocess.run(
            self.command(MAIN, "routes", name, layout.plan_text, *options, environ=environ),
            text=True,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait_healthy(self, name: str, seconds: float = 120) -> None:
        """Return once a Synapse process answers on its health port."""
        self.processes[name].wait_until(lambda: self.healthy(name), seconds)

    def healthy(self, name: str) -> bool:
        """Return whether a Synapse process answers on its health port."""
        try:
            with urllib.request.urlopen(self.layout.health(name), timeout=3) as answer:
                return bool(answer.read() == b"OK")
        except (urllib.error.URLError, OSError):
            return False

    def query(self, statement: str) -> list[str]:
        """Run an SQL statement in the database; return the rows, columns joined by ``|``."""
        root, folder = self._parts.services, self._folder
        return services.query(root, folder, self.layout.postgres, statement)

    def stop(self) -> dict[str, int]:
        """Stop everything in the documented order; return the exit code of each process."""
        first, *others = self.layout.containers
        order = [self._options.proxy, *others, first, "redis", "postgres"]
        codes = {
            name: self.processes[name].stop(_STOP_SECONDS)
            for name in order
            if name in self.processes and self.processes[name].running
        }
        # A parent's exit code is that of its processes.
        of_processes = {
            name: codes[container_name]
            for container_name, names in self.layout.containers.items()
            for name in names
            if container_name in codes
        }
        return codes | of_processes

    def kill(self) -> None:
        """Kill all processes that are still running."""
        for process in self.processes.values():
            if process.running:
                process.kill()

    def call(self, method: str, path: str, body: object = None, token: str = "") -> dict[str, Any]:
        """Send a request through the proxy as a client; return the JSON response.

        Raises:
            urllib.error.HTTPError: if the response is an HTTP error.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.layout.url + path, data, method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            document: dict[str, Any] = json.load(answer)
            return document

    def call_directly(
        self, name: str, method: str, path: str, body: object = None, token: str = ""
    ) -> dict[str, Any]:
        """Send a request to one Synapse process, past the proxy; return the JSON response."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None if body is None else json.dumps(body)
        with ExitStack() as stack:
            connection = self._connection(name, stack)
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            assert answer.status == HTTPStatus.OK, answer.read()
            document: dict[str, Any] = json.load(answer)
            return document

    def _connection(self, name: str, stack: ExitStack) -> http.client.HTTPConnection:
        """Return a connection to a Synapse process, which ``stack`` closes."""
        if self.sockets is None:
            port = self.layout.ports_of(name)["client"]
            connection = http.client.HTTPConnection(self.layout.host_of(name), port, timeout=60)
        else:
            # The path of the folder may be too long for a socket's.
            folder = os.open(self.sockets, os.O_PATH)
            stack.callback(os.close, folder)
            connection = UnixConnection(f"/proc/self/fd/{folder}/{name}.client.sock")
        stack.callback(connection.close)
        return connection

    def register(self, user: str, password: str) -> str:
        """Create an account with the registration shared secret; return its user ID."""
        path = "/_synapse/admin/v1/register"
        nonce = self.call("GET", path)["nonce"]
        fields = "\0".join([nonce, user, password, "notadmin"])
        mac = hmac.new(SHARED_SECRET.encode(), fields.encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": user, "password": password, "mac": mac}
        user_id: str = self.call("POST", path, body)["user_id"]
        return user_id

    def metrics(self, name: str) -> str:
        """Return the metrics of a Synapse process in the Prometheus text format."""
        port = self.layout.ports_of(name)["metrics"]
        url = f"http://{self.layout.host_of(name)}:{port}/_synapse/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            text: str = answer.read().decode()
            return text

    def count(self, name: str, metric: str, **labels: str) -> float:
        """Return the sum of a Synapse process's counter over all series with ``labels``."""
        return sum(value for value in self._series(name, metric, labels))

    def _series(self, name: str, metric: str, labels: Mapping[str, str]) -> Iterator[float]:
        for line in self.metrics(name).splitlines():
            series, _, value = line.rpartition(" ")
            found, _, rest = series.partition("{")
            if found == metric and all(f'{key}="{text}"' in rest for key, text in labels.items()):
                yield float(value)
