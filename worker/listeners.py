"""Where each process listens, and where the others find it."""

import os
from collections.abc import Mapping
from typing import Any

from worker.errors import shown
from worker.plan import replicates
from worker.settings import Settings

Document = dict[str, Any]
_LONGEST_SOCKET = 107  # Bytes: sun_path of unix(7), without its null.


def kinds(settings: Settings, instance_map: object) -> list[str]:
    """Return the kinds of listener of this process, in the order of its ports.

    Args:
        settings: the request.
        instance_map: that of the shared configuration; who stands in it is called by others.
    """
    worker = settings.worker
    found = []
    plain_federation = "federation" in worker.resources and not _tls_wished(settings)
    if "client" in worker.resources or plain_federation:
        found.append("client")
    # A worker for clients and servers alike has the plain port for both.
    if has_tls(settings):
        found.append("federation")
    found += ["health", "metrics"]
    named = isinstance(instance_map, dict) and settings.name in instance_map
    called = settings.plan is not None and replicates(worker, settings.table)
    if worker.main or named or called:
        found.append("replication")
    return found


def has_tls(settings: Settings) -> bool:
    """Whether this process speaks TLS on the federation port."""
    worker = settings.worker
    serves = "federation" in worker.resources and (worker.main or "client" not in worker.resources)
    return serves and _tls_wished(settings)


def _tls_wished(settings: Settings) -> bool:
    can = settings.worker.main or settings.table.has("worker_tls")
    return settings.federation_tls and can


def uses_tcp(homeserver: Mapping[str, Any], settings: Settings) -> bool:
    """Whether workers hear of events from the main process's own port, since there is no Redis."""
    redis = homeserver.get("redis")
    enabled = isinstance(redis, dict) and redis.get("enabled") is True
    return settings.table.has("tcp_replication") and not enabled


def _resources(kind: str, settings: Settings) -> list[str]:
    """Return what one listener serves.

    All of a port are one group: a second group replaces the first since Synapse 1.114.
    """
    if kind != "client":
        return [kind]
    return [name for name in ("client", "federation", "media") if name in settings.worker.resources]


def socket_path(settings: Settings, name: str, kind: str) -> str:
    """Return the unix socket that stands for a port of the process ``name``."""
    return f"{settings.sockets}/{name or 'main'}.{kind}.sock"


def listener(kind: str, settings: Settings) -> Document:
    """Return one listener of the predecessor's layout, or the unix socket in its place."""
    if settings.sockets is not None and kind in ("client", "replication"):
        document: Document = {"path": socket_path(settings, settings.name, kind)}
    else:
        document = {
            "port": settings.ports[kind],
            "bind_addresses": list(settings.bind_addresses),
        }
    document["type"] = "http"
    if kind in settings.forwarded or (kind == "client" and "path" in document):
        # Synapse believes the header whoever sends it, so only where a proxy is the sole peer:
        # "Reverse proxy" of its documentation.  A unix socket has no address of its own.
        document["x_forwarded"] = True
    if kind == "federation":
        document["tls"] = True
    if kind == "tcp_replication":
        return document | {"type": "replication"}
    if kind == "health" and not settings.table.has("health_resource"):
        return document | {"resources": []}  # Every HTTP listener answers /health.
    return document | {"resources": [{"names": _resources(kind, settings), "compress": False}]}


def socket_problem(path: object, where: str) -> str:
    """Return one line when the unix socket ``path`` is too long to be bound, or "".

    Args:
        path: the path, or whatever homeserver.yaml has in its place.
        where: the setting that the path comes from.
    """
    size = len(os.fsencode(path)) if isinstance(path, str) else 0
    if size <= _LONGEST_SOCKET:
        return ""
    return (
        f"{where}: the unix socket {shown(str(path))} has a path of {size} bytes, and at most "
        f"{_LONGEST_SOCKET} are possible; choose a shorter folder or a shorter name of the worker"
    )


def location(settings: Settings, name: str, host: str) -> Document:
    """Return where the replication listener of the process ``name`` is (``instance_map``)."""
    if settings.sockets is not None:
        return {"path": socket_path(settings, name, "replication")}
    return {"host": host, "port": settings.ports["replication"]}
