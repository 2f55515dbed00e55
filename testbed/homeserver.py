"""Runs a homeserver split into workers: each process in the image, at its own address."""

import hashlib
import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed import routes, services
from testbed.image import Image, container, entrypoint
from testbed.processes import Process
from testbed.site import SHARED_SECRET, make_data
from worker.plan import PlannedWorker
from worker.worker_types import load_table

PORTS = load_table().ports
_MAIN, _POSTGRES, _REDIS, _NGINX, _FIRST_WORKER = 10, 2, 3, 4, 11


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


def _quick() -> dict[str, Any]:
    """Return settings that lift the rate limits and allow requests to loopback."""
    fast = {"per_second": 10000, "burst_count": 10000}
    return {
        "ip_range_blacklist": [],
        "federation_ip_range_blacklist": [],
        "rc_message": fast,
        "rc_login": {"address": fast, "account": fast, "failed_attempts": fast},
        "rc_joins": {"local": fast, "remote": fast},
        "rc_invites": {"per_room": fast, "per_user": fast, "per_issuer": fast},
        "rc_federation": {"sleep_limit": 10000, "reject_limit": 10000, "concurrent": 100},
    }


class Homeserver:
    """PostgreSQL, Redis, the main process, workers and nginx, all on loopback.

    Attributes:
        server_name: the server name, which follows the colon in user IDs.
        processes: every process by name, in the order in which they start.
    """

    def __init__(
        self,
        number: int,
        folder: Path,
        parts: Parts,
        workers: Mapping[str, str],
        *,
        planned: bool,
        settings: Mapping[str, Any],
        data: Mapping[str, str] | None = None,
        sockets: bool = False,
        redis: bool = True,
    ) -> None:
        """Prepare it in ``folder``, which is created.

        Args:
            number: the number of the homeserver in its run, from 1; determines its addresses.
            folder: the folder for its state and logs.
            parts: the parts that all homeservers share.
            workers: ``SYNAPSE_WORKER`` of each worker, by name.
            planned: whether a worker plan assigns the duties; otherwise homeserver.yaml does.
            settings: settings to add to homeserver.yaml.
            data: more files in /data, by name.
            sockets: whether Unix sockets replace the ports between processes.
            redis: whether to run Redis; only the oldest versions of Synapse work without it.
        """
        folder.mkdir()
        self._number, self._folder, self._parts = number, folder, parts
        self._redis = redis
        self.host = f"hs{number}.test"
        self.server_name = f"{self.host}:{PORTS['federation']}"
        self.processes: dict[str, Process] = {}
        table = load_table()
        self.workers = []
        for place, (name, text) in enumerate(workers.items()):
            process = table.find(text)
            assert process is not None, text
            self.workers.append(PlannedWorker(name, process, self.address(_FIRST_WORKER + place)))
        self._plan = ""
        if planned:
            self._plan = ",".join(
                f"{name}={text}@{self.address(_FIRST_WORKER + place)}"
                for place, (name, text) in enumerate(workers.items())
            )
        self._texts = dict(workers)
        homeserver = self._homeserver() | _quick() | dict(settings)
        self.data = make_data(
            folder / "data", yaml.safe_dump(homeserver), self.host, parts.authority
        )
        for name, text in (data or {}).items():
            (self.data / name).write_text(text)
        (folder / "media").mkdir()
        self.sockets = folder / "sockets" if sockets else None
        if self.sockets is not None:
            self.sockets.mkdir()

    def address(self, last: int) -> str:
        """Return an address of this homeserver."""
        return f"127.{self._number}.0.{last}"

    @property
    def proxy(self) -> str:
        """Return the address on which nginx listens."""
        return self.address(_NGINX)

    @property
    def url(self) -> str:
        """Return the URL for clients."""
        return f"http://{self.proxy}:{PORTS['client']}"

    def _homeserver(self) -> dict[str, Any]:
        args = {"user": "synapse", "dbname": "synapse", "host": self.address(_POSTGRES)}
        document: dict[str, Any] = {
            "server_name": self.server_name,
            "public_baseurl": f"{self.url}/",
            "report_stats": False,
            "registration_shared_secret": SHARED_SECRET,
            "macaroon_secret_key": "for tests only",
            "form_secret": "for tests only",
            "trusted_key_servers": [],
            "suppress_key_server_warning": True,
            "federation_custom_ca_list": ["/data/ca.crt"],
            "database": {"name": "psycopg2", "args": args | {"cp_min": 1, "cp_max": 5}},
            "redis": {"enabled": True, "host": self.address(_REDIS)},
        }
        if not self._redis:
            del document["redis"]
        if not self._plan:
            for worker in self.workers:
                for worker_type in worker.process.types:
                    if worker_type.legacy:
                        document[worker_type.legacy] = False
                    if worker_type.takes_list:
                        document.setdefault(worker_type.duty, []).append(worker.name)
                    if "media" in worker_type.resources:
                        document["enable_media_repo"] = False
                        document[worker_type.duty] = worker.name
        return document

    def environ(self, name: str) -> dict[str, str]:
        """Return the environment of a process's container."""
        environ = {"SYNAPSE_HOSTNAME": name, "SYNAPSE_WAIT_SECONDS": "90"}
        if self._plan:
            environ["SYNAPSE_WORKERS"] = self._plan
        if self.sockets is not None:
            environ["SYNAPSE_UNIX_SOCKETS"] = "/sockets"
        if name == "main":
            environ["SYNAPSE_WORKER"] = "synapse.app.homeserver"
            return environ | {"SYNAPSE_BIND_ADDRESSES": self.address(_MAIN)}
        environ |= {
            "SYNAPSE_BIND_ADDRESSES": self.host_of(name),
            "SYNAPSE_REPLICATION_HOST": self.address(_MAIN),
            "SYNAPSE_WORKER_NAME": name,
        }
        return environ if self._plan else environ | {"SYNAPSE_WORKER": self._texts[name]}

    def host_of(self, name: str) -> str:
        """Return the address of a Synapse process."""
        if name == "main":
            return self.address(_MAIN)
        return next(worker.host for worker in self.workers if worker.name == name)

    def command(self, name: str, *arguments: str, environ: Mapping[str, str] = {}) -> list[str]:
        """Return the command line that starts a process's container, as an engine would."""
        hosts = self._folder / "hosts"
        names = [f"127.{number}.0.{_NGINX} hs{number}.test" for number in range(1, 10)]
        hosts.write_text("127.0.0.1 localhost\n" + "\n".join(names) + "\n")
        runtime = self._folder / f"runtime-{name}"
        runtime.mkdir(exist_ok=True)
        mounts = {"/synapse_runtime": runtime}
        if name == "main" or any(
            "media" in w.process.resources for w in self.workers if w.name == name
        ):
            mounts["/synapse_media"] = self._folder / "media"
        if self.sockets is not None:
            mounts["/sockets"] = self.sockets
        parts = self._parts
        files = {"/data": self.data, "/etc/hosts": hosts}
        environ = self.environ(name) | dict(environ)
        inside = container(parts.image, parts.root, mounts, environ, files).in_our_processes()
        return inside.command(*entrypoint(parts.image), *arguments)

    def synapses(self) -> list[Process]:
        """Return the Synapse processes, main first."""
        names = ["main", *(worker.name for worker in self.workers)]
        return [self.processes[name] for name in names]

    def start(self) -> None:
        """Start everything; return once every process is healthy.

        Raises:
            StartError: if a process is not; the message names it.
        """
        root, folder = self._parts.services, self._folder
        self.processes["postgres"] = services.postgres(root, folder, self.address(_POSTGRES))
        if self._redis:
            self.processes["redis"] = services.redis(root, folder, self.address(_REDIS))
        for name in ["main", *(worker.name for worker in self.workers)]:
            process = Process(name, self.command(name), folder / f"{name}.log")
            self.processes[name] = process
            process.start()
            if name == "main":
                self.wait_healthy(name)
        for worker in self.workers:
            self.wait_healthy(worker.name)
        configuration = routes.configuration(
            self.proxy, self.address(_MAIN), self.workers, sockets=self.sockets is not None
        )
        self.processes["nginx"] = services.nginx(
            root, folder, self.proxy, configuration, self.data, self.sockets
        )

    def wait_healthy(self, name: str, seconds: float = 120) -> None:
        """Return once a Synapse process answers on its health port."""
        self.processes[name].wait_until(lambda: self.healthy(name), seconds)

    def healthy(self, name: str) -> bool:
        """Return whether a Synapse process answers on its health port."""
        url = f"http://{self.host_of(name)}:{PORTS['health']}/health"
        try:
            with urllib.request.urlopen(url, timeout=3) as answer:
                return bool(answer.read() == b"OK")
        except (urllib.error.URLError, OSError):
            return False

    def query(self, statement: str) -> list[str]:
        """Run an SQL statement in the database; return the rows, columns joined by ``|``."""
        address = self.address(_POSTGRES)
        return services.query(self._parts.services, self._folder, address, statement)

    def stop(self) -> dict[str, int]:
        """Stop everything in the documented order; return the exit code of each process."""
        order = ["nginx", *(worker.name for worker in self.workers), "main", "redis", "postgres"]
        return {
            name: self.processes[name].stop()
            for name in order
            if name in self.processes and self.processes[name].running
        }

    def kill(self) -> None:
        """Kill all processes that are still running."""
        for process in self.processes.values():
            if process.running:
                process.kill()

    def call(self, method: str, path: str, body: object = None, token: str = "") -> dict[str, Any]:
        """Send a request through nginx as a client; return the JSON response.

        Raises:
            urllib.error.HTTPError: if the response is an HTTP error.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            document: dict[str, Any] = json.load(answer)
            return document

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
        url = f"http://{self.host_of(name)}:{PORTS['metrics']}/_synapse/metrics"
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
