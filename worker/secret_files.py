"""Reads secrets from files that the operator provides."""

import os
from pathlib import Path

from worker.errors import ConfigError, shown
from worker.files import KEY_FILE_LIMIT, read_bounded
from worker.settings import Settings

_REPLICATION = "SYNAPSE_REPLICATION_SECRET_FILE"


def shown_path(path: Path | str) -> str:
    """Return the path of a file with a secret for a message.

    The operator may have set the secret itself instead of a path, and base64 may begin with ``/``.
    So a path is shown only if it is in a folder that exists, other than ``/``.
    """
    folder = os.path.dirname(path)
    if folder == "/" or not os.path.isdir(folder):
        return "(not shown, since it may be the secret itself)"
    return shown(path)


def read_secret_file(setting: str, path: Path, what: str) -> str:
    """Return the secret in a file without surrounding white space, as Synapse reads its own.

    Args:
        setting: the environment variable or the option of homeserver.yaml that names the file.
        path: the file.
        what: what the file is, such as "the replication secret", for messages.

    Raises:
        ConfigError: if there is no usable secret, with one line that names the setting.
    """
    where = f"{setting}={shown_path(path)}"
    try:
        text = read_bounded(path, what, KEY_FILE_LIMIT, where).decode().strip()
    except UnicodeDecodeError:
        raise ConfigError([f"{where}: {what} is not UTF-8; write it as text"]) from None
    if not text:
        raise ConfigError([f"{where}: {what} is empty; write one into it"])
    if len(text.splitlines()) > 1 or "\0" in text:
        raise ConfigError([f"{where}: {what} has more than one line of text; write one line"])
    return text


def replication_secret(path: Path, settings: Settings) -> str:
    """Return the replication secret in the file that a variable or homeserver.yaml names.

    Raises:
        ConfigError: if there is no usable secret, with one line that names the setting.
    """
    given = settings.replication_secret is not None
    setting = _REPLICATION if given else "homeserver.yaml: worker_replication_secret_path"
    return read_secret_file(setting, path, "the replication secret")


def replication_secret_problems(settings: Settings) -> list[str]:
    """Return one line if the file that SYNAPSE_REPLICATION_SECRET_FILE names cannot be used."""
    if settings.replication_secret is None:
        return []
    try:
        replication_secret(settings.replication_secret, settings)
    except ConfigError as error:
        return list(error.problems)
    return []
