"""The documents as Synapse reads them: those of `worker.documents` with the secrets filled in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.databases import with_password
from worker.documents import SECRET_FILE, Document, documents, shared_document
from worker.secret_files import replication_secret
from worker.settings import Settings


def read_replication_secret(path: str, settings: Settings) -> str:
    """Return the replication secret in ``path``; that of the rendered file is derived, not read.

    Raises:
        ConfigError: if the file cannot be used.
    """
    if path == str(settings.runtime_dir / SECRET_FILE):
        from worker.replication_secret import derived_secret

        return derived_secret(settings.data_dir / "signing.key")
    return replication_secret(Path(path), settings)


def _with_secrets(shared: Document, settings: Settings) -> Document:
    """Return the shared document plus the secrets that this Synapse cannot read from files."""
    document = shared | with_password(shared, settings)
    path = document.get("worker_replication_secret_path")
    if path and not settings.table.has("secret_path"):
        del document["worker_replication_secret_path"]
        document["worker_replication_secret"] = read_replication_secret(str(path), settings)
    return document


def rendered_shared(homeserver: Mapping[str, Any], settings: Settings) -> Document:
    """Return homeserver.yaml as this process gets it, including secrets.

    Raises:
        ConfigError: if the file of a secret cannot be used.
    """
    return _with_secrets(shared_document(homeserver, settings), settings)


def rendered_documents(homeserver: Mapping[str, Any], settings: Settings) -> dict[str, Document]:
    """Return every document by name, in the order in which Synapse gets them, including secrets.

    Raises:
        ConfigError: if the file of a secret cannot be used.
    """
    documents_by_name = documents(homeserver, settings)
    return documents_by_name | {
        "homeserver.yaml": _with_secrets(documents_by_name["homeserver.yaml"], settings)
    }
