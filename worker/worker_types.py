"""Worker types and roles, loaded from the table in config/worker_types.bzl."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).with_name("worker_types.json")
GENERIC = "synapse.app.generic_worker"
_NEWEST = 1 << 30  # A minor version that has every feature not yet removed.


@dataclass(frozen=True)
class Role:
    """One duty that a worker can take off the main process.

    Attributes:
        name: its name in the official image, such as ``client_reader``.
        resources: what its listeners serve: ``client``, ``federation``, ``media``.
        routes: the patterns of the paths that a reverse proxy routes to it.
        stream: the stream that it writes, or "".
        duty: the shared setting that names the workers with this role, or "".
        legacy: the older shared setting whose ``false`` takes the duty off the main process, or "".
        many: whether several workers may have this role.
        since: the first minor version, x in 1.x, that has its stream; 0 if every version has it.
        also_writes: the stream of another role that its workers must write too, or "".
        also_needs: the feature without which they must not write ``also_writes``, or "".
        main_writes: whether the main process must write its stream too.
    """

    name: str
    resources: tuple[str, ...]
    routes: tuple[str, ...]
    stream: str
    duty: str
    legacy: str
    many: bool
    since: int
    also_writes: str
    also_needs: str
    main_writes: bool

    @property
    def takes_list(self) -> bool:
        """Whether ``duty`` takes a list of workers rather than one name."""
        return self.duty.endswith("_instances")


@dataclass(frozen=True)
class WorkerType:
    """The type of a process: an application and its roles.

    Attributes:
        app: the module to start, such as ``synapse.app.pusher``.
        roles: its roles in the order in which they were listed; empty for the main process.
        named_by_role: whether it was specified by role names rather than by an application.
    """

    app: str
    roles: tuple[Role, ...]
    named_by_role: bool = False

    @property
    def main(self) -> bool:
        """Whether it is the main process."""
        return not self.roles

    @property
    def slug(self) -> str:
        """The default name of a process of this type."""
        if self.named_by_role:
            return "-".join(role.name for role in self.roles)
        return self.app.rpartition(".")[2]

    @property
    def resources(self) -> frozenset[str]:
        """The resources that its listeners serve to clients and to other servers."""
        if self.main:
            return frozenset({"client", "federation", "media"})
        return frozenset(name for role in self.roles for name in role.resources)

    @property
    def media(self) -> bool:
        """Whether it writes media."""
        return "media" in self.resources


@dataclass(frozen=True)
class Table:
    """The table of worker types, with the version of Synapse that it is used for.

    Attributes:
        ports: the port of each kind of listener.
        roles: the roles by name.
        types: the worker types by application.
        features: the first and last minor version, x in 1.x, of each feature that not every Synapse
            has; 0 for no bound.
        version: the version of the installed Synapse; "" if none is installed, which is treated as
            the newest version.
    """

    ports: Mapping[str, int]
    roles: Mapping[str, Role]
    types: Mapping[str, WorkerType]
    features: Mapping[str, tuple[int, int]]
    version: str = ""

    @property
    def _minor(self) -> int:
        match = re.match(r"1\.([0-9]+)", self.version)
        return int(match[1]) if match else _NEWEST

    def has(self, feature: str) -> bool:
        """Return whether this Synapse has ``feature``, a name in ``features``."""
        first, last = self.features[feature]
        return first <= self._minor and (not last or self._minor <= last)

    def streams(self, kind: WorkerType) -> tuple[str, ...]:
        """Return the streams that a worker of type ``kind`` writes in this Synapse, each once."""
        found = [role.stream for role in kind.roles if role.stream]
        for role in kind.roles:
            if role.also_writes and self.has(role.also_needs):
                found.append(role.also_writes)
        return tuple(dict.fromkeys(found))

    def shared_with_main(self) -> frozenset[str]:
        """Return the streams that the main process of this Synapse must write besides workers."""
        return frozenset(
            role.stream
            for role in self.roles.values()
            if role.main_writes and role.since <= self._minor
        )

    def lacks(self, kind: WorkerType) -> str:
        """Return what this Synapse lacks to run ``kind``, or "" if it lacks nothing."""
        for role in kind.roles:
            if role.since > self._minor:
                return (
                    f"Synapse {self.version} has no stream {role.stream} for the role {role.name}, "
                    f"which came with 1.{role.since}"
                )
        return ""

    def refuses_host(self, host: str) -> str:
        """Return why this Synapse cannot reach another process at ``host``, or ""."""
        if ":" not in host or self.has("ipv6_replication"):
            return ""
        return (
            f"is an IPv6 address, which Synapse takes for replication since "
            f"1.{self.features['ipv6_replication'][0]}, and this is {self.version}; give a name"
        )

    def find(self, text: str) -> WorkerType | None:
        """Return the type that ``text`` names, an application or roles joined by ``+``, or None."""
        if text in self.types:
            return self.types[text]
        if text == "homeserver":
            return self.types["synapse.app.homeserver"]
        names = [name.strip() for name in text.split("+")]
        if len(set(names)) < len(names) or any(name not in self.roles for name in names):
            return None
        return WorkerType(GENERIC, tuple(self.roles[name] for name in names), named_by_role=True)

    def choices(self) -> str:
        """Return a list of the values that `find` accepts, for an error message."""
        return f"{', '.join(self.types)}, or roles joined by +: {', '.join(self.roles)}"


def installed_version() -> str:
    """Return the version of the Synapse that this Python would import, or "" if there is none.

    The version is taken from the name of the metadata folder (PyPA, "Recording installed
    projects"); reading more would take as long as the rest of the entrypoint.
    """
    for folder in sys.path:
        for path in Path(folder).glob("matrix_synapse-*.dist-info"):
            return path.name.removeprefix("matrix_synapse-").removesuffix(".dist-info")
    return ""


@cache
def load_table(path: Path = _TABLE) -> Table:
    """Load the table from the JSON file ``path``, and set the version of the installed Synapse."""
    document = json.loads(path.read_text(encoding="utf-8"))
    roles = {
        name: Role(
            name=name,
            resources=tuple(row["resources"]),
            routes=tuple(row["routes"]),
            stream=row["stream"],
            duty=row["duty"],
            legacy=row["legacy"],
            many=row["many"],
            since=row["since"],
            also_writes=row["also_writes"],
            also_needs=row["also_needs"],
            main_writes=row["main_writes"],
        )
        for name, row in document["roles"].items()
    }
    types = {
        app: WorkerType(app, (roles[row["role"]],) if row["role"] else ())
        for app, row in document["types"].items()
    }
    features = {name: (first, last) for name, (first, last) in document["features"].items()}
    return Table(document["ports"], roles, types, features, installed_version())
