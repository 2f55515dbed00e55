"""What runs in a homeserver, as the alert rules and the dashboard of a plan need it."""

from collections.abc import Iterable
from dataclasses import dataclass

from deploy.routing import MAIN


@dataclass(frozen=True)
class Monitored:
    """The processes of a plan by the label ``job`` that the verb ``prometheus`` gives them.

    The label is ``main``, or the worker types of a process joined by ``+``. The label ``instance``
    is the name of the process.

    Attributes:
        names: the names of all processes, main first.
        unique: the jobs of the workers that have a duty or write a stream, so that no other process
            does their work while they are down.
        replaceable: the jobs of the other workers.
        persisters: the jobs that persist events.
        senders: the jobs that send events to other homeservers.
        notifiers: the jobs that send events to application services.
        pushers: the jobs that send push notifications.
        media: the jobs that serve media.
        minor: the minor version of Synapse, x in 1.x.
    """

    names: tuple[str, ...]
    unique: tuple[str, ...]
    replaceable: tuple[str, ...]
    persisters: tuple[str, ...]
    senders: tuple[str, ...]
    notifiers: tuple[str, ...]
    pushers: tuple[str, ...]
    media: tuple[str, ...]
    minor: int

    @property
    def jobs(self) -> tuple[str, ...]:
        """All jobs, main first."""
        return (MAIN, *self.unique, *self.replaceable)

    @property
    def has_workers(self) -> bool:
        """Whether there are processes besides main."""
        return len(self.names) > 1


def matcher(jobs: Iterable[str]) -> str:
    """Return the label matcher of a PromQL selector for some jobs, without braces."""
    names = list(jobs)
    if len(names) == 1:
        return f'job="{names[0]}"'
    # Of the characters in the names of worker types, only + has a meaning in a regular expression.
    return f'job=~"{"|".join(name.replace("+", "[+]") for name in names)}"'
