"""Worker types, as the one table (config/worker_types.bzl) gives them."""

import json
from dataclasses import dataclass
from pathlib import Path

_TABLE = Path(__file__).with_name("worker_types.json")


@dataclass(frozen=True)
class WorkerType:
    """One application.

    Attributes:
        app: its dotted name, such as ``synapse.app.pusher``.
        listeners: what it serves: ``client``, ``federation``, ``metrics``, ``replication``.
        main: whether it is the main process.
        media: whether it writes media.
        duty_setting: the shared setting that must be false where it runs, or "".
        duty_instances: the shared setting that may name this worker instead, or "".
    """

    app: str
    listeners: tuple[str, ...]
    main: bool
    media: bool
    duty_setting: str = ""
    duty_instances: str = ""

    @property
    def slug(self) -> str:
        """The last part of the dotted name."""
        return self.app.rpartition(".")[2]


def load_table(path: Path = _TABLE) -> tuple[dict[str, WorkerType], dict[str, int]]:
    """Return the types by application, and the port of each listener."""
    table = json.loads(path.read_text(encoding="utf-8"))
    types = {
        app: WorkerType(
            app=app,
            listeners=tuple(row["listeners"]),
            main=row["main"],
            media=row["media"],
            duty_setting=row["duty"].get("setting", ""),
            duty_instances=row["duty"].get("instances", ""),
        )
        for app, row in table["types"].items()
    }
    return types, table["ports"]
