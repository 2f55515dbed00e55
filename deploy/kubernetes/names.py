"""The names of a plan's processes in Kubernetes, and the processes that cannot have one.

A Service has the name of a DNS label (RFC 1035), as in "Object Names and IDs" of the Kubernetes
documentation; ``worker_name`` may contain more characters and stays as it is in the plan.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deploy.containers import SERVICES, Container, Deployment
from deploy.routing import MAIN

# A StatefulSet's name and a hash of 11 characters are the value of a label, which has at most 63.
MAX_NAME = 52
_FIRST_NUMBER = 1  # Of the workers of an entry with a count in a plan.


def object_name(name: str) -> str:
    """Return the name of the objects of a worker or of an entry; "" if it has none."""
    label = re.sub("[^a-z0-9]", "-", name.lower()).strip("-")
    return f"worker-{label}" if label[:1].isdigit() else label


@dataclass(frozen=True)
class Group:
    """The processes that are one StatefulSet or Deployment.

    Attributes:
        name: the name of its objects.
        containers: its processes; one, if they are replicas of each other.
    """

    name: str
    containers: tuple[Container, ...]

    @property
    def first(self) -> Container:
        """The first process; the others differ only in their names."""
        return self.containers[0]

    @property
    def replicas(self) -> int:
        """How many pods the plan has; 0 if only their names tell the processes apart."""
        return self.first.replicas

    @property
    def numbered(self) -> bool:
        """Whether the names of the workers end with the numbers of their pods."""
        return not self.replicas and not self.first.is_main and self.first.name != self.first.entry

    @property
    def first_number(self) -> int:
        """The number of the first pod, if it has a number."""
        return _FIRST_NUMBER if self.numbered else 0

    def host(self, container: Container) -> str:
        """Return the host of a process, for other pods of its namespace."""
        if self.replicas or container.is_main:
            return self.name
        number = self.first_number + self.containers.index(container)
        return f"{self.name}-{number}.{self.name}"


def groups(deployment: Deployment) -> tuple[Group, ...]:
    """Return the groups of a plan; that of the main process is the first."""
    members: dict[tuple[str, bool], list[Container]] = {}
    for one in deployment.containers:
        entry = one.entry or one.name
        members.setdefault((entry, one.name == entry), []).append(one)
    return tuple(
        Group(object_name(entry), tuple(containers)) for (entry, _), containers in members.items()
    )


def plan_text(all_groups: Sequence[Group]) -> str:
    """Return the plan that the processes get, with the hosts that they have in Kubernetes.

    Replicas have no number, so that it stays the same while their number changes.
    """
    entries = []
    for group in all_groups:
        for one in group.containers:
            if group.replicas:
                entries.append(one.runs if one.name == one.runs else f"{one.name}={one.runs}")
            elif not one.is_main:
                entries.append(f"{one.name}={one.runs}@{group.host(one)}")
    return ", ".join(entries)


def name_problems(deployment: Deployment) -> Iterator[str]:
    """Yield a line for each process that cannot have objects of its own."""
    owners = {name: name for name in (*SERVICES, MAIN)}
    for group in groups(deployment):
        if group.first.is_main:
            continue
        name = group.first.entry if group.numbered else group.first.name
        if not group.name:
            yield (
                f"SYNAPSE_WORKERS: {name} has neither letters nor digits, so no "
                "Kubernetes object can be named after it; give the worker another name"
            )
        elif len(group.name) > MAX_NAME:
            yield (
                f"SYNAPSE_WORKERS: the Kubernetes objects of {name} would be named "
                f"{group.name}, which has {len(group.name)} characters, but at most {MAX_NAME} are "
                "allowed; give the worker a shorter name"
            )
        elif group.name in owners:
            yield (
                f"SYNAPSE_WORKERS: the Kubernetes objects of {name} would be named "
                f"{group.name}, like those of {owners[group.name]}; give the worker another name"
            )
        else:
            owners[group.name] = name
