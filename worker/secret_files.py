"""Reads secrets from files that the operator provides."""

import os
from pathlib import Path

from worker.errors import ConfigError, shown
from worker.files import MAX_KEY_FILE_BYTES, read_bounded
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


def read_secret_file(setting: str, path: Path, description: str) -> str:
    """Return the secret in a file without surrounding white space, as Synapse reads its own.

    Args:
        setting: the environment variable or the option of homeserver.yaml that names the file.
        path: the file.
        description: what the file is, such as "the replication secret", for messages.

    Raises:
        ConfigError: if there is no usable secret, with one line that names the setting.
    """
    shown_setting = f"{setting}={shown_path(path)}"
    try:
        secret = read_bounded(path, description, MAX_KEY_FILE_BYTES, shown_setting).decode().strip()
    except UnicodeDecodeError:
        raise ConfigError(
            [f"{shown_setting}: {description} is not UTF-8; save it as UTF-8 text"]
        ) from None
    if not secret:
        raise ConfigError([f"{shown_setting}: {description} is empty; write it to that file"])
    if len(secret.splitlines()) > 1 or "\0" in secret:
        raise ConfigError(
            [f"{shown_setting}: {description} has more than one line of text; write it on one line"]
        )
    return secret


def replication_secret(path: Path, settings: Settings) -> str:
    """Return the replication secret in the file that a variable or homeserver.yaml names.

    Raises:
        ConfigError: if there is no usable secret, with one line that names the setting.
    """
    from_variable = settings.replication_secret_file is not None
    setting = _REPLICATION if from_variable else "homeserver.yaml: worker_replication_secret_path"
    return read_secret_file(setting, path, "the replication secret")


def replication_secret_problems(settings: Settings) -> list[str]:
    """Return one line if the file that SYNAPSE_REPLICATION_SECRET_FILE names cannot be used."""
    if settings.replication_secret_file is None:
        return []
    try:
        replication_secret(settings.replication_secret_file, settings)
    except ConfigError as error:
        return list(error.problems)
    return []
