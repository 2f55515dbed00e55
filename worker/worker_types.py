"""Worker types and roles, as the one table (config/worker_types.bzl) gives them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).with_name("worker_types.json")
GENERIC = "synapse.app.generic_worker"


@dataclass(frozen=True)
class Role:
    """One duty that a worker can take off the main process.

    Attributes:
        name: as users of the official image know it, such as ``client_reader``.
        resources: what its listeners serve: ``client``, ``federation``, ``media``.
        routes: patterns of paths that a proxy sends to it.
        stream: the stream that it writes, or "".
        duty: the shared setting that names the workers with it, or "".
        legacy: the older shared setting whose ``false`` gives the duty away, or "".
        many: whether several workers may have it.
    """

    name: str
    resources: tuple[str, ...]
    routes: tuple[str, ...]
    stream: str
    duty: str
    legacy: str
    many: bool

    @property
    def takes_list(self) -> bool:
        """Whether the shared setting lists its workers, instead of naming one."""
        return self.duty.endswith("_instances")


@dataclass(frozen=True)
class WorkerType:
    """What one process is: an application with its roles.

    Attributes:
        app: the module to start, such as ``synapse.app.pusher``.
        roles: in the order given; none for the main process.
        named_by_role: whether it was asked for by role names, not by an application.
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
        """What it is called when nobody names it."""
        if self.named_by_role:
            return "-".join(role.name for role in self.roles)
        return self.app.rpartition(".")[2]

    @property
    def resources(self) -> frozenset[str]:
        """Everything that its listeners serve."""
        if self.main:
            return frozenset({"client", "federation", "media"})
        return frozenset(name for role in self.roles for name in role.resources)

    @property
    def media(self) -> bool:
        """Whether it writes media."""
        return "media" in self.resources

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that it writes."""
        return tuple(role.stream for role in self.roles if role.stream)


@dataclass(frozen=True)
class Table:
    """The one table.

    Attributes:
        ports: the port of each kind of listener.
        roles: by name.
        types: by application.
    """

    ports: Mapping[str, int]
    roles: Mapping[str, Role]
    types: Mapping[str, WorkerType]

    def find(self, text: str) -> WorkerType | None:
        """Return the type that ``text`` means: an application, or role names joined by ``+``."""
        if text in self.types:
            return self.types[text]
        if text == "homeserver":
            return self.types["synapse.app.homeserver"]
        names = [name.strip() for name in text.split("+")]
        if len(set(names)) < len(names) or any(name not in self.roles for name in names):
            return None
        return WorkerType(GENERIC, tuple(self.roles[name] for name in names), named_by_role=True)

    def choices(self) -> str:
        """Return what `find` takes, for an error."""
        return f"{', '.join(self.types)}, or roles joined by +: {', '.join(self.roles)}"


@cache
def load_table(path: Path = _TABLE) -> Table:
    """Return the table."""
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
        )
        for name, row in document["roles"].items()
    }
    types = {
        app: WorkerType(app, (roles[row["role"]],) if row["role"] else ())
        for app, row in document["types"].items()
    }
    return Table(document["ports"], roles, types)
