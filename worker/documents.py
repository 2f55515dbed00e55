"""The documents that Synapse reads, as plain data made from homeserver.yaml and the settings.

The rules and versions are from docs/workers.md and the configuration manual of the pinned Synapse.
"""

from collections.abc import Mapping
from typing import Any

from worker.listeners import has_tls, listener, listener_kinds, location, uses_tcp
from worker.plan import planned_settings, replaced_settings, replicates
from worker.settings import Settings
from worker.worker_types import GENERIC

Document = dict[str, Any]
SECRET_FILE = "replication_secret"

# Settings from the predecessor's time that are obsolete, or that only a worker's own file may
# contain, each with the reason why it is dropped.
_DROPPED_REASONS = {
    "cpu_affinity": "Synapse has ignored it since 1.1; set SYNAPSE_CPU_AFFINITY",
    "daemonize": "Synapse runs in the foreground",
    "log_file": "the log goes to the console",
    "no_tls": "the entrypoint sets the listeners",
    "pid_file": "Synapse runs in the foreground",
    "tls_dh_params_path": "Synapse has not used it since 0.99",
    "upload_path": "Synapse never read it",
    "uploads_path": "Synapse has not used it since 1.29",
    "web_client": "Synapse has not included one since 0.34",
    "worker_app": "SYNAPSE_WORKER sets it",
    "worker_cpu_affinity": "Synapse has ignored it since 1.1; set SYNAPSE_CPU_AFFINITY",
    "worker_daemonize": "Synapse runs in the foreground",
    "worker_listeners": "the entrypoint sets the listeners",
    "worker_log_config": "the log goes to the console",
    "worker_log_file": "the log goes to the console",
    "worker_main_http_uri": "Synapse has not used it since 1.73",
    "worker_name": "SYNAPSE_WORKER_NAME sets it",
    "worker_pid_file": "Synapse runs in the foreground",
    "worker_replication_host": "SYNAPSE_REPLICATION_HOST sets it",
    "worker_replication_http_port": "the port is always 9093",
    "worker_replication_http_tls": "replication is plain HTTP",
    "worker_replication_port": "replication goes through Redis",
    "worker_replication_url": "replication goes through Redis",
}


def dropped_warnings(homeserver: Mapping[str, Any]) -> list[str]:
    """Return one warning for each setting of ``homeserver`` that is dropped."""
    return [
        f"homeserver.yaml: {name} is dropped: {reason}"
        for name, reason in _DROPPED_REASONS.items()
        if name in homeserver
    ]


def instance_map(homeserver: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the ``instance_map`` of this process: that of homeserver.yaml, extended by the plan.

    That of a worker also contains the main process, if this Synapse looks for it there.
    """
    entries = dict(homeserver.get("instance_map") or {})
    for worker in settings.plan or ():
        if replicates(worker.process, settings.table):
            entries[worker.name] = location(settings, worker.name, worker.host)
    if not settings.process.is_main and settings.table.has("instance_map_main"):
        entries["main"] = location(settings, "", settings.replication_host)
    return entries


def shared_document(homeserver: Mapping[str, Any], settings: Settings) -> Document:
    """Return homeserver.yaml as this process gets it, before `worker.rendering` adds secrets."""
    plan = settings.plan or ()
    left_out = _DROPPED_REASONS.keys() | replaced_settings(plan)
    document = {name: value for name, value in homeserver.items() if name not in left_out}
    document |= planned_settings(plan, settings.table)
    instances_by_name = instance_map(homeserver, settings)
    if instances_by_name:
        document["instance_map"] = instances_by_name
    # A TLS listener here makes any process read the certificate, and a worker's own TLS
    # listener works only if there is one here too.  So only the types that serve 8448 have it.
    shared_kinds = listener_kinds(settings, instances_by_name)
    if not settings.process.is_main:
        shared_kinds = [kind for kind in shared_kinds if kind == "federation"]
    elif uses_tcp(homeserver, settings):
        shared_kinds.append("tcp_replication")
    document["listeners"] = [listener(kind, settings) for kind in shared_kinds]
    document["log_config"] = str(settings.runtime_dir / "log.yaml")
    document["media_store_path"] = str(settings.media_dir)
    document["signing_key_path"] = str(settings.data_dir / "signing.key")
    document["enable_metrics"] = True
    if has_tls(settings):
        document["tls_certificate_path"] = str(settings.data_dir / "tls.crt")
        document["tls_private_key_path"] = str(settings.data_dir / "tls.key")
    else:
        document.pop("tls_certificate_path", None)
        document.pop("tls_private_key_path", None)
    if settings.replication_secret_off:
        document.pop("worker_replication_secret", None)
        document.pop("worker_replication_secret_path", None)
    elif settings.replication_secret_file is not None:
        document.pop("worker_replication_secret", None)
        document["worker_replication_secret_path"] = str(settings.replication_secret_file)
    elif derives_secret(homeserver, settings):
        document["worker_replication_secret_path"] = str(settings.runtime_dir / SECRET_FILE)
    return document


def derives_secret(homeserver: Mapping[str, Any], settings: Settings) -> bool:
    """Return whether the replication secret is to be derived from the signing key."""
    configured = homeserver.get("worker_replication_secret") or homeserver.get(
        "worker_replication_secret_path"
    )
    inline_key = homeserver.get("signing_key")
    return not (
        settings.replication_secret_off
        or settings.replication_secret_file
        or configured
        or inline_key
    )


def worker_document(homeserver: Mapping[str, Any], settings: Settings) -> Document:
    """Return the configuration file of a worker; it is not used for the main process."""
    # With a plan, the newer settings assign the duties; the old application names would conflict.
    planned = settings.plan is not None
    document: Document = {
        "worker_app": GENERIC if planned else settings.process.app,
        "worker_name": settings.name,
        "worker_listeners": [
            listener(kind, settings)
            for kind in listener_kinds(settings, instance_map(homeserver, settings))
        ],
        "worker_log_config": str(settings.runtime_dir / "log.yaml"),
    }
    if not settings.table.has("instance_map_main"):
        main = location(settings, "", settings.replication_host)
        document["worker_replication_host"] = main["host"]
        document["worker_replication_http_port"] = main["port"]
        if uses_tcp(homeserver, settings):
            document["worker_replication_port"] = settings.ports["tcp_replication"]
    if settings.process.writes_media:
        # homeserver.yaml turns it off for the main process, but it must be on for this worker.
        document["enable_media_repo"] = True
    return document


def log_document(settings: Settings) -> Document:
    """Return the logging configuration: to the console, as JSON or as text with app and host."""
    prefix = f"{settings.process.app} [{settings.hostname}]".replace("%", "%%")
    line_format = "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s"
    formatter: Document = {"format": f"{prefix} - {line_format}"}
    if settings.log_json:
        # Synapse's own formatter; see "Structured Logging" in its documentation.
        formatter = {"class": "synapse.logging.TerseJsonFormatter"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"console": formatter},
        "filters": {"context": {"()": "synapse.logging.context.LoggingContextFilter"}},
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "console",
                "filters": ["context"],
            }
        },
        # Logs passwords and tokens at DEBUG; upstream's sample configuration also sets it to INFO.
        "loggers": {"synapse.storage.SQL": {"level": "INFO"}},
        "root": {"level": settings.log_level, "handlers": ["console"]},
    }


def documents(homeserver: Mapping[str, Any], settings: Settings) -> dict[str, Document]:
    """Return every document to render, by name, in the order in which Synapse gets them."""
    documents_by_name = {"homeserver.yaml": shared_document(homeserver, settings)}
    if not settings.process.is_main:
        documents_by_name["worker.yaml"] = worker_document(homeserver, settings)
    return documents_by_name | {"log.yaml": log_document(settings)}


def document_kind(homeserver: Mapping[str, Any], settings: Settings) -> object:
    """Return a value that is the same for all processes whose documents differ only in names."""
    listeners = listener_kinds(settings, homeserver.get("instance_map"))
    return settings.process.is_main, settings.process.resources, tuple(listeners)
