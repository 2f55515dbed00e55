"""Describes a homeserver split into workers: its addresses, homeserver.yaml, and environments."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from testbed.site import SHARED_SECRET
from worker.plan import PlannedWorker
from worker.shares import ports_of
from worker.worker_types import load_table

PORTS = load_table().ports
MAIN = "main"
# The last part of each address; that of every further worker is one higher.
_POSTGRES, _REDIS, _PROXY, _MAIN, _FIRST_WORKER = 2, 3, 4, 10, 11


@dataclass(frozen=True)
class Options:
    """What a homeserver consists of, and how it is configured.

    Attributes:
        workers: ``SYNAPSE_WORKER`` of each worker, by name.
        planned: whether a worker plan assigns the duties; otherwise homeserver.yaml does.
        settings: settings to add to homeserver.yaml.
        data: more files in /data, by name.
        sockets: whether Unix sockets replace the ports between processes.
        redis: whether to run Redis; only the oldest versions of Synapse work without it.
        proxy: the reverse proxy: ``nginx`` or ``haproxy``.
        parents: in how many containers the processes run, forked from one parent in each; 0 if each
            process has a container of its own.
        only_ports: whether this Synapse has no Unix sockets, which one parent otherwise uses.
        environ: more variables of all containers.
    """

    workers: Mapping[str, str]
    planned: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    sockets: bool = False
    redis: bool = True
    proxy: str = "nginx"
    parents: int = 0
    only_ports: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)


def _quick() -> dict[str, Any]:
    """Return settings that lift the rate limits and allow requests to loopback."""
    fast = {"per_second": 10000, "burst_count": 10000}
    return {
        "ip_range_blacklist": [],
        "federation_ip_range_blacklist": [],
        "rc_message": fast,
        "rc_presence": {"per_user": fast},
        "rc_login": {"address": fast, "account": fast, "failed_attempts": fast},
        "rc_joins": {"local": fast, "remote": fast},
        "rc_invites": {"per_room": fast, "per_user": fast, "per_issuer": fast},
        "rc_federation": {"sleep_limit": 10000, "reject_limit": 10000, "concurrent": 100},
    }


def hosts_file() -> str:
    """Return an /etc/hosts in which homeservers 1 to 9 find each other."""
    rows = [f"127.{number}.0.{_PROXY} hs{number}.test" for number in range(1, 10)]
    return "127.0.0.1 localhost\n" + "\n".join(rows) + "\n"


@dataclass(frozen=True)
class Layout:
    """The addresses of a homeserver's processes, and what each of them is told.

    Attributes:
        number: the number of the homeserver in its run, from 1; determines its addresses.
        options: its processes and settings.
    """

    number: int
    options: Options

    def _address(self, last: int) -> str:
        return f"127.{self.number}.0.{last}"

    @property
    def host(self) -> str:
        """The host name, to which its certificate is issued."""
        return f"hs{self.number}.test"

    @property
    def server_name(self) -> str:
        """The server name, which follows the colon in user IDs."""
        return f"{self.host}:{PORTS['federation']}"

    @property
    def postgres(self) -> str:
        """The address of PostgreSQL."""
        return self._address(_POSTGRES)

    @property
    def redis(self) -> str:
        """The address of Redis."""
        return self._address(_REDIS)

    @property
    def proxy(self) -> str:
        """The address of the reverse proxy."""
        return self._address(_PROXY)

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"http://{self.proxy}:{PORTS['client']}"

    @cached_property
    def workers(self) -> list[PlannedWorker]:
        """The workers, in the order of the options."""
        table = load_table()
        workers = []
        for last, (name, text) in enumerate(self.options.workers.items(), _FIRST_WORKER):
            process = table.find(text)
            assert process is not None, text
            if self.options.parents:
                last = _MAIN + self._share_number(name)
            workers.append(PlannedWorker(name, process, self._address(last)))
        return workers

    def _share_number(self, name: str) -> int:
        """Return the number of the parent, from 0, that forks a process."""
        names = [MAIN, *self.options.workers]
        return names.index(name) * self.options.parents // len(names)

    @property
    def containers(self) -> dict[str, list[str]]:
        """The containers by name, each with the names of its processes."""
        if not self.options.parents:
            return {name: [name] for name in self.names}
        containers: dict[str, list[str]] = {}
        for name in self.names:
            containers.setdefault(self.container_of(name), []).append(name)
        return containers

    def container_of(self, name: str) -> str:
        """Return the name of the container of a process."""
        return f"parent{self._share_number(name)}" if self.options.parents else name

    @property
    def sockets(self) -> str:
        """The folder of the Unix sockets in the containers, or "" if there is none."""
        if self.options.parents == 1 and not self.options.only_ports:
            return "/synapse_runtime/sockets"
        return "/sockets" if self.options.sockets else ""

    def ports_of(self, name: str) -> Mapping[str, int]:
        """Return the port of each kind of listener of a process."""
        return ports_of(name, self.workers, PORTS) if self.options.parents else PORTS

    def health(self, name: str) -> str:
        """Return the URL that says whether a process is healthy."""
        of_one = f"/{name}" if self.options.parents else ""
        return f"http://{self.host_of(name)}:{PORTS['health']}/health{of_one}"

    @property
    def names(self) -> list[str]:
        """The names of the Synapse processes, main first."""
        return [MAIN, *(worker.name for worker in self.workers)]

    @property
    def plan(self) -> str:
        """The worker plan, or "" if there is none."""
        return self.plan_text if self.options.planned else ""

    @property
    def plan_text(self) -> str:
        """The plan that the workers would have; the routes need one in any case."""
        texts = self.options.workers
        return ",".join(f"{w.name}={texts[w.name]}@{w.host}" for w in self.workers)

    def proxy_options(self) -> list[str]:
        """Return the options for the verb ``routes`` with the proxy's ports and its key pair."""
        return [
            f"--address={self.proxy}",
            "--client-port=8443",
            f"--plain-port={PORTS['client']}",
            f"--federation-port={PORTS['federation']}",
            "--certificate=/state/tls.crt",
            "--key=/state/tls.key",
        ]

    def host_of(self, name: str) -> str:
        """Return the address of a Synapse process."""
        if name == MAIN:
            return self._address(_MAIN)
        return next(worker.host for worker in self.workers if worker.name == name)

    def serves_media(self, name: str) -> bool:
        """Return whether a Synapse process needs the folder of the media."""
        return name == MAIN or any(
            "media" in worker.process.resources for worker in self.workers if worker.name == name
        )

    def homeserver(self) -> dict[str, Any]:
        """Return the document for homeserver.yaml."""
        args = {"user": "synapse", "dbname": "synapse", "host": self.postgres}
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
        }
        if self.options.redis:
            document["redis"] = {"enabled": True, "host": self.redis}
        if not self.plan:
            document |= self._duties()
        return document | _quick() | dict(self.options.settings)

    def _duties(self) -> dict[str, Any]:
        """Return the settings that assign duties to the workers if no plan does."""
        settings: dict[str, Any] = {}
        for worker in self.workers:
            for worker_type in worker.process.types:
                if worker_type.legacy:
                    settings[worker_type.legacy] = False
                if worker_type.takes_list:
                    settings.setdefault(worker_type.duty, []).append(worker.name)
                if "media" in worker_type.resources:
                    settings["enable_media_repo"] = False
                    settings[worker_type.duty] = worker.name
        return settings

    def environ(self, name: str) -> dict[str, str]:
        """Return the environment of a process's container."""
        more = dict(self.options.environ)
        if self.options.parents:
            return self._shared_environ(self.container_of(name)) | more
        return self._own_environ(name) | more

    def _own_environ(self, name: str) -> dict[str, str]:
        environ = {
            "SYNAPSE_BIND_ADDRESSES": self.host_of(name),
            "SYNAPSE_HOSTNAME": name,
            "SYNAPSE_WAIT_SECONDS": "90",
        }
        if self.plan:
            environ["SYNAPSE_WORKERS"] = self.plan
        if self.options.sockets:
            environ["SYNAPSE_UNIX_SOCKETS"] = "/sockets"
        if name == MAIN:
            return environ | {"SYNAPSE_WORKER": "synapse.app.homeserver"}
        environ["SYNAPSE_REPLICATION_HOST"] = self.host_of(MAIN)
        environ["SYNAPSE_WORKER_NAME"] = name
        return environ if self.plan else environ | {"SYNAPSE_WORKER": self.options.workers[name]}

    def _shared_environ(self, container: str) -> dict[str, str]:
        names = self.containers[container]
        environ = {
            "SYNAPSE_BIND_ADDRESSES": self.host_of(names[0]),
            "SYNAPSE_HOSTNAME": container,
            "SYNAPSE_PROCESSES": "all" if names == self.names else ",".join(names),
            "SYNAPSE_WAIT_SECONDS": "90",
            "SYNAPSE_WORKERS": self.plan,
        }
        if MAIN not in names:
            environ["SYNAPSE_REPLICATION_HOST"] = self.host_of(MAIN)
        return environ
