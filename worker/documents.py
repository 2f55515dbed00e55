"""The documents that Synapse reads, as plain data made from homeserver.yaml and the settings.

Rules and versions: docs/workers.md and the configuration manual of the pinned Synapse.
"""

from collections.abc import Mapping
from typing import Any

from worker.settings import Settings

Document = dict[str, Any]

# Settings of the predecessor's time that Synapse refuses today, or that only a worker's own
# file may hold; setting -> why it is left out.
_DROPPED = {
    "cpu_affinity": "Synapse ignores it since 1.1; set SYNAPSE_CPU_AFFINITY",
    "log_file": "the log goes to the console",
    "no_tls": "listeners are fixed",
    "tls_dh_params_path": "Synapse uses none since 0.99",
    "upload_path": "Synapse never read it",
    "uploads_path": "Synapse uses none since 1.29",
    "web_client": "Synapse serves none since 0.34",
    "worker_app": "SYNAPSE_WORKER names it",
    "worker_cpu_affinity": "Synapse ignores it since 1.1; set SYNAPSE_CPU_AFFINITY",
    "worker_listeners": "listeners are fixed",
    "worker_log_config": "the log goes to the console",
    "worker_log_file": "the log goes to the console",
    "worker_main_http_uri": "Synapse uses none since 1.73",
    "worker_name": "SYNAPSE_WORKER_NAME names it",
    "worker_pid_file": "nothing is daemonised",
    "worker_daemonize": "nothing is daemonised",
    "worker_replication_host": "SYNAPSE_REPLICATION_HOST names it",
    "worker_replication_http_port": "it is 9093",
    "worker_replication_http_tls": "replication is plain HTTP",
    "worker_replication_port": "replication goes through Redis",
    "worker_replication_url": "replication goes through Redis",
    "pid_file": "nothing is daemonised",
    "daemonize": "nothing is daemonised",
}


def dropped(homeserver: Mapping[str, Any]) -> list[str]:
    """Return one warning for each setting of ``homeserver`` that is left out."""
    return [
        f"homeserver.yaml: {name} is left out: {reason}"
        for name, reason in _DROPPED.items()
        if name in homeserver
    ]


def _listener(kind: str, settings: Settings) -> Document:
    """One listener of the predecessor's layout.

    Client and media share one group: a second group replaces the first since Synapse 1.114.
    """
    base: Document = {
        "port": settings.ports[kind],
        "bind_addresses": ["0.0.0.0"],
        "type": "http",
        "x_forwarded": True,
    }
    names = {
        "client": ["client", "media"],
        "federation": ["federation"],
        "metrics": ["metrics"],
        "replication": ["replication"],
    }[kind]
    if kind == "client" and settings.worker.main:
        names = ["client", "federation", "media"]
    if kind == "client" and not settings.worker.main and not settings.worker.media:
        names = ["client"]
    if kind == "federation":
        base["tls"] = True
    if kind == "replication":
        del base["x_forwarded"]
    return base | {"resources": [{"names": names, "compress": False}]}


def shared_document(homeserver: Mapping[str, Any], settings: Settings) -> Document:
    """Return homeserver.yaml as this process gets it."""
    document = {name: value for name, value in homeserver.items() if name not in _DROPPED}
    listeners = settings.worker.listeners
    # A TLS listener here makes every process read the certificate, and a worker's own TLS
    # listener works only beside one here: so exactly the types that serve 8448 have it.
    shared = list(listeners) if settings.worker.main else ["federation"]
    document["listeners"] = [_listener(kind, settings) for kind in shared if kind in listeners]
    document["log_config"] = str(settings.runtime / "log.yaml")
    document["media_store_path"] = str(settings.media)
    document["signing_key_path"] = str(settings.data / "signing.key")
    document["enable_metrics"] = True
    if "federation" in listeners:
        document["tls_certificate_path"] = str(settings.data / "tls.crt")
        document["tls_private_key_path"] = str(settings.data / "tls.key")
    else:
        document.pop("tls_certificate_path", None)
        document.pop("tls_private_key_path", None)
    if not settings.worker.main:
        main = {"host": settings.replication_host, "port": settings.ports["replication"]}
        document["instance_map"] = dict(document.get("instance_map") or {}) | {"main": main}
    return document


def worker_document(settings: Settings) -> Document:
    """Return the worker's own file; never used for the main process."""
    document: Document = {
        "worker_app": settings.worker.app,
        "worker_name": settings.name,
        "worker_listeners": [_listener(kind, settings) for kind in settings.worker.listeners],
        "worker_log_config": str(settings.runtime / "log.yaml"),
    }
    if settings.worker.media:
        # homeserver.yaml turns it off for the main process; here it must be on.
        document["enable_media_repo"] = True
    return document


def log_document(settings: Settings) -> Document:
    """Return the logging configuration: the console, with application and host in each line."""
    prefix = f"{settings.worker.app} [{settings.hostname}]".replace("%", "%%")
    line = "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"console": {"format": f"{prefix} - {line}"}},
        "filters": {"context": {"()": "synapse.logging.context.LoggingContextFilter"}},
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "console",
                "filters": ["context"],
            }
        },
        # Shows passwords and tokens at DEBUG: upstream's own sample holds it at INFO too.
        "loggers": {"synapse.storage.SQL": {"level": "INFO"}},
        "root": {"level": settings.log_level, "handlers": ["console"]},
    }


def documents(homeserver: Mapping[str, Any], settings: Settings) -> dict[str, Document]:
    """Return every file to render, by name, in the order in which Synapse gets them."""
    result = {"homeserver.yaml": shared_document(homeserver, settings)}
    if not settings.worker.main:
        result["worker.yaml"] = worker_document(settings)
    return result | {"log.yaml": log_document(settings)}
