"""Worker types and applications, loaded from the table in config/worker_types.bzl."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).with_name("worker_types.json")
GENERIC = "synapse.app.generic_worker"
_NEWEST = 1 << 30  # A minor version that has every feature not yet removed.


@dataclass(frozen=True)
class WorkerType:
    """One duty that a worker can take off the main process.

    Attributes:
        name: its name in the official image, such as ``client_reader``.
        resources: what its listeners serve: ``client``, ``federation``, ``media``.
        stream: the stream that it writes, or "".
        duty: the shared setting that names the workers of this type, or "".
        legacy: the older shared setting whose ``false`` takes the duty off the main process, or "".
        many: whether several workers may have this type.
        since: the first minor version, x in 1.x, that has its stream; 0 if every version has it.
        also_writes: the stream of another worker type that its workers must write too, or "".
        also_needs: the feature without which they must not write ``also_writes``, or "".
        main_writes: whether the main process must write its stream too.
    """

    name: str
    resources: tuple[str, ...]
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
        """Whether the setting ``duty`` takes a list of workers rather than one name."""
        return self.duty.endswith("_instances")


@dataclass(frozen=True)
class ProcessType:
    """The type of a process: an application and its worker types.

    Attributes:
        app: the module to start, such as ``synapse.app.pusher``.
        types: its worker types in the order in which they were listed; empty for the main process.
        named_by_type: whether it was specified by worker types rather than by an application.
    """

    app: str
    types: tuple[WorkerType, ...]
    named_by_type: bool = False

    @property
    def is_main(self) -> bool:
        """Whether it is the main process."""
        return not self.types

    @property
    def joined(self) -> str:
        """Its worker types as in a plan, joined by ``+``."""
        return "+".join(worker_type.name for worker_type in self.types)

    @property
    def slug(self) -> str:
        """The default name of a process of this type."""
        if self.named_by_type:
            return "-".join(worker_type.name for worker_type in self.types)
        return self.app.rpartition(".")[2]

    @property
    def resources(self) -> frozenset[str]:
        """The resources that its listeners serve to clients and to other servers."""
        if self.is_main:
            return frozenset({"client", "federation", "media"})
        return frozenset(name for worker_type in self.types for name in worker_type.resources)

    @property
    def writes_media(self) -> bool:
        """Whether it writes media."""
        return "media" in self.resources


@dataclass(frozen=True)
class Table:
    """The table of worker types, for one version of Synapse.

    Attributes:
        ports: the port of each kind of listener.
        types: the worker types by name.
        apps: the process types by application.
        features: the first and last minor version, x in 1.x, of each feature that not every Synapse
            has; 0 for no bound.
        routes: the rows of config/routes.bzl.
        version: the version of the installed Synapse; "" if none is installed, which is treated as
            the newest version.
    """

    ports: Mapping[str, int]
    types: Mapping[str, WorkerType]
    apps: Mapping[str, ProcessType]
    features: Mapping[str, tuple[int, int]]
    routes: Sequence[Mapping[str, Any]] = ()
    version: str = ""

    @property
    def minor(self) -> int:
        """The minor version of this Synapse, x in 1.x."""
        match = re.match(r"1\.([0-9]+)", self.version)
        return int(match[1]) if match else _NEWEST

    def has(self, feature: str) -> bool:
        """Return whether this Synapse has ``feature``, a name in ``features``."""
        first_minor, last_minor = self.features[feature]
        return first_minor <= self.minor and (not last_minor or self.minor <= last_minor)

    def streams(self, process: ProcessType) -> tuple[str, ...]:
        """Return the streams that ``process`` writes in this Synapse, each once."""
        streams = [worker_type.stream for worker_type in process.types if worker_type.stream]
        for worker_type in process.types:
            if worker_type.also_writes and self.has(worker_type.also_needs):
                streams.append(worker_type.also_writes)
        return tuple(dict.fromkeys(streams))

    def shared_with_main(self) -> frozenset[str]:
        """Return the streams that the main process of this Synapse must write besides workers."""
        return frozenset(
            worker_type.stream
            for worker_type in self.types.values()
            if worker_type.main_writes and worker_type.since <= self.minor
        )

    def process_problem(self, process: ProcessType) -> str:
        """Return why this Synapse cannot run ``process``, or ""."""
        for worker_type in process.types:
            if worker_type.since > self.minor:
                return (
                    f"this worker type writes the stream {worker_type.stream}, which was added in "
                    f"Synapse 1.{worker_type.since}, but this is {self.version}"
                )
        return ""

    def host_problem(self, host: str) -> str:
        """Return why this Synapse cannot reach another process at ``host``, or ""."""
        if ":" not in host or self.has("ipv6_replication"):
            return ""
        return (
            f"is an IPv6 address, which Synapse supports for replication since "
            f"1.{self.features['ipv6_replication'][0]}, but this is {self.version}; use a host name"
        )

    def find(self, type_text: str) -> ProcessType | None:
        """Return the process type of an application or of types joined by ``+``, or None."""
        if type_text in self.apps:
            return self.apps[type_text]
        if type_text == "homeserver":
            return self.apps["synapse.app.homeserver"]
        names = [name.strip() for name in type_text.split("+")]
        if len(set(names)) < len(names) or any(name not in self.types for name in names):
            return None
        return ProcessType(GENERIC, tuple(self.types[name] for name in names), named_by_type=True)

    def choices(self) -> str:
        """Return a list of the values that `find` accepts, for an error message."""
        return f"{', '.join(self.apps)}, or worker types joined by +: {', '.join(self.types)}"


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
    worker_types = {
        name: WorkerType(
            name=name,
            resources=tuple(row["resources"]),
            stream=row["stream"],
            duty=row["duty"],
            legacy=row["legacy"],
            many=row["many"],
            since=row["since"],
            also_writes=row["also_writes"],
            also_needs=row["also_needs"],
            main_writes=row["main_writes"],
        )
        for name, row in document["types"].items()
    }
    apps = {
        app: ProcessType(app, (worker_types[row["type"]],) if row["type"] else ())
        for app, row in document["apps"].items()
    }
    features = {
        name: (first_minor, last_minor)
        for name, (first_minor, last_minor) in document["features"].items()
    }
    return Table(
        document["ports"], worker_types, apps, features, document["routes"], installed_version()
    )
