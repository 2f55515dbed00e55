"""What each worker type renders, as the golden files of the tests hold it."""

from collections.abc import Iterator
from dataclasses import replace

import yaml

from cluster.site import WORKERS
from worker.documents import documents
from worker.settings import parse
from worker.worker_types import load_table

# One of each era: direct TCP replication, no secret's path, no quarantine stream.
ERAS = ("1.66.0", "1.98.0", "1.144.0")


def _render(app: str, version: str, homeserver: str) -> str:
    table = replace(load_table(), version=version)
    host = {} if table.types[app].main else {"SYNAPSE_REPLICATION_HOST": "main"}
    settings = parse({"SYNAPSE_WORKER": app, "SYNAPSE_HOSTNAME": "host-1"} | host, table)
    rendered = documents(yaml.safe_load(homeserver), settings)
    return yaml.safe_dump_all(rendered.values(), sort_keys=False)


def golden_files() -> Iterator[tuple[str, str]]:
    """Yield (name, text) of every golden file: one per type for the newest, one per older era."""
    types = load_table().types
    for app, worker in types.items():
        yield f"{worker.slug}.yaml", _render(app, "", WORKERS)
    for version in ERAS:
        homeserver = WORKERS + "worker_replication_secret: for tests only\n"
        if version == ERAS[0]:
            lines = [line for line in homeserver.splitlines(True) if not line.startswith("redis")]
            homeserver = "".join(lines)
        parts = [f"# {app}\n---\n{_render(app, version, homeserver)}" for app in types]
        yield f"synapse-{version}.yaml", "".join(parts)
