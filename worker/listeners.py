"""The listeners of each process, and the addresses at which other processes reach it."""

import os
from collections.abc import Mapping
from typing import Any

from worker.binding import is_dual_stack, local_address
from worker.errors import shown
from worker.plan import replicates
from worker.settings import Settings

Document = dict[str, Any]
_MAX_SOCKET_PATH_BYTES = 107  # sun_path of unix(7), without the terminating null byte.


def listener_kinds(settings: Settings, instance_map: object) -> list[str]:
    """Return the kinds of listener of this process, in the order of the table of ports.

    Args:
        settings: the settings of this process.
        instance_map: that of the shared configuration; other processes call those in it.
    """
    process = settings.process
    kinds = []
    plain_federation = "federation" in process.resources and not _wants_tls(settings)
    if "client" in process.resources or plain_federation:
        kinds.append("client")
    # A worker that serves both clients and federation uses the plain port for both.
    if has_tls(settings):
        kinds.append("federation")
    kinds += ["health", "metrics"]
    in_instance_map = isinstance(instance_map, dict) and settings.name in instance_map
    planned_to_replicate = settings.plan is not None and replicates(process, settings.table)
    if process.is_main or in_instance_map or planned_to_replicate:
        kinds.append("replication")
    return kinds


def has_tls(settings: Settings) -> bool:
    """Return whether this process uses TLS on the federation port."""
    process = settings.process
    serves_federation = "federation" in process.resources and (
        process.is_main or "client" not in process.resources
    )
    return serves_federation and _wants_tls(settings)


def _wants_tls(settings: Settings) -> bool:
    tls_possible = settings.process.is_main or settings.table.has("worker_tls")
    return settings.federation_tls and tls_possible


def uses_tcp(homeserver: Mapping[str, Any], settings: Settings) -> bool:
    """Return whether workers receive events over TCP from the main process instead of Redis."""
    redis = homeserver.get("redis")
    enabled = isinstance(redis, dict) and redis.get("enabled") is True
    return settings.table.has("tcp_replication") and not enabled


def _resources(kind: str, settings: Settings) -> list[str]:
    """Return the resources that one listener serves.

    All resources are in one group: as of Synapse 1.114, a second group replaces the first.
    """
    if kind != "client":
        return [kind]
    return [
        name for name in ("client", "federation", "media") if name in settings.process.resources
    ]


def socket_path(settings: Settings, name: str, kind: str) -> str:
    """Return the path of the Unix socket that replaces a port of the process ``name``."""
    return f"{settings.sockets_dir}/{name or 'main'}.{kind}.sock"


def listener(kind: str, settings: Settings) -> Document:
    """Return one listener with the predecessor's port, or with the Unix socket that replaces it."""
    if settings.sockets_dir is not None and kind in ("client", "replication"):
        document: Document = {"path": socket_path(settings, settings.name, kind)}
    elif kind == "health" and settings.share:
        # Only the parent asks, and answers at the port for health itself.
        document = _private_health(settings)
    else:
        document = {
            "port": settings.ports[kind],
            "bind_addresses": list(settings.bind_addresses),
        }
    document["type"] = "http"
    if kind in settings.forwarded_kinds or (kind == "client" and "path" in document):
        # Synapse trusts the header from any peer, so it is set only where a proxy is the only peer
        # ("Reverse proxy" in its documentation).  The peer of a Unix socket has no address.
        document["x_forwarded"] = True
    if kind == "federation":
        document["tls"] = True
    if kind == "tcp_replication":
        return document | {"type": "replication"}
    if kind == "health" and not settings.table.has("health_resource"):
        return document | {"resources": []}  # Every HTTP listener answers /health.
    return document | {"resources": [{"names": _resources(kind, settings), "compress": False}]}


def _private_health(settings: Settings) -> Document:
    if settings.table.has("unix_sockets"):
        return {"path": str(settings.runtime_dir / "health.sock")}
    return {"port": settings.ports["health"], "bind_addresses": ["127.0.0.1"]}


def socket_problem(path: object, setting: str) -> str:
    """Return one line if the path of a Unix socket is too long to be bound, or "".

    Args:
        path: the path, or any other value that homeserver.yaml has in its place.
        setting: the setting that the path comes from.
    """
    byte_count = len(os.fsencode(path)) if isinstance(path, str) else 0
    if byte_count <= _MAX_SOCKET_PATH_BYTES:
        return ""
    return (
        f"{setting}: the path of the Unix socket {shown(str(path))} has {byte_count} bytes, but at "
        f"most {_MAX_SOCKET_PATH_BYTES} are possible; choose a shorter folder or a shorter worker "
        "name"
    )


def location(settings: Settings, name: str, host: str) -> Document:
    """Return the ``instance_map`` entry for the replication listener of the process ``name``."""
    if settings.sockets_dir is not None:
        return {"path": socket_path(settings, name, "replication")}
    if settings.is_local(name):
        host = own_address(settings)
    return {"host": host, "port": settings.port_of(name, "replication")}


def own_address(settings: Settings) -> str:
    """Return the address at which a process of this container can reach another one."""
    return local_address(settings.bind_addresses, dual_stack=is_dual_stack())
