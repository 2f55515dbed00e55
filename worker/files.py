"""Reads homeserver.yaml and other files, and writes the rendered documents atomically."""

import errno
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.errors import ConfigError, shown
from worker.strict_yaml import DocumentError, dump, load

_MAX_HOMESERVER_BYTES = 10 * 1024 * 1024  # Far more than any homeserver.yaml has.
MAX_KEY_FILE_BYTES = 1024 * 1024  # For a key, certificate chain, secret or plan.


def _special_kind(mode: int) -> str:
    """Return the kind of special file that ``mode`` describes, or "" for any other file."""
    kinds = {
        stat.S_IFBLK: "a block device",
        stat.S_IFCHR: "a character device",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "")


def read_bounded(path: Path, description: str, limit: int, label: str = "") -> bytes:
    """Return the contents of the regular file ``path``, which the operator named.

    No other kind of file is opened, so that neither a FIFO nor a device can block the reader.

    Args:
        path: the file.
        description: what the file is, such as "the signing key", for messages.
        limit: the maximum size in bytes.
        label: how messages refer to the file; by default, by its path.

    Raises:
        ConfigError: if the file cannot be used, with one line that says why.
    """
    label = label or shown(path)
    try:
        # Checked first, since merely opening some devices has an effect.
        _refuse_irregular(label, description, os.stat(path).st_mode)
        descriptor = os.open(path, os.O_NONBLOCK | os.O_NOCTTY)  # O_RDONLY is 0.
        with open(descriptor, "rb") as file:
            _refuse_irregular(label, description, os.fstat(descriptor).st_mode)
            content = file.read(limit + 1)
            if content is None:  # Some files in /proc are empty until an event occurs.
                raise BlockingIOError(errno.EAGAIN, "it has no content yet")
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError([f"{label}: {description} is missing; mount it"]) from None
    except PermissionError:
        raise ConfigError(
            [
                f"{label}: {description} is not readable by uid {os.geteuid()}; change its "
                "owner or mode"
            ]
        ) from None
    except OSError as error:
        raise ConfigError(
            [f"{label}: {description} cannot be read: {error.strerror}; use another file"]
        ) from None
    except ValueError:
        # The path has a null character, or one that the file system's encoding cannot represent.
        raise ConfigError(
            [f"{label}: {description} is missing: no file can have that name"]
        ) from None
    if len(content) > limit:
        raise ConfigError(
            [f"{label}: {description} has more than {limit} bytes; use a smaller file"]
        )
    return content


def _refuse_irregular(label: str, description: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise ConfigError([f"{label}: {description} is a folder; mount a file there"])
    if not stat.S_ISREG(mode):
        kind = _special_kind(mode) or "not a regular file"
        raise ConfigError([f"{label}: {description} is {kind}; use a regular file"])


def read_homeserver(path: Path) -> dict[str, Any]:
    """Return homeserver.yaml as a mapping.

    Raises:
        ConfigError: if it cannot be used, with one line that says why.
    """
    content = read_bounded(path, "the configuration", _MAX_HOMESERVER_BYTES)
    try:
        document = load(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(
            [f"{shown(path)}: not UTF-8: byte {error.start} is invalid; save it as UTF-8"]
        ) from None
    except DocumentError as error:
        raise ConfigError([f"{shown(path)}: {error}"]) from None
    if not isinstance(document, dict):
        kind = "empty" if document is None else f"a {type(document).__name__}"
        raise ConfigError([f"{shown(path)} is {kind}; it must be a mapping of settings"])
    return document


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` with mode 0600, replacing an existing file atomically.

    Raises:
        ConfigError: if the file cannot be written to its folder.
    """
    try:
        descriptor, temporary_path = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary_path, path)
        except BaseException:
            os.unlink(temporary_path)
            raise
    except OSError as error:
        raise ConfigError(
            [
                f"{path.parent} cannot be written to: {error.strerror}; mount a tmpfs that uid "
                f"{os.geteuid()} can write to"
            ]
        ) from None


def make_folder(path: Path, mode: int) -> None:
    """Create the folder ``path`` with ``mode``, unless it exists.

    Raises:
        ConfigError: if it cannot be created.
    """
    try:
        path.mkdir(exist_ok=True)
        path.chmod(mode)
    except OSError as error:
        raise ConfigError(
            [
                f"{path.parent} cannot be written to: {error.strerror}; mount a tmpfs that uid "
                f"{os.geteuid()} can write to"
            ]
        ) from None


def write_documents(folder: Path, documents: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    """Write each document to ``folder`` as `write_text` does; return the paths.

    Raises:
        ConfigError: if a file cannot be written to the folder.
    """
    texts = {folder / name: dump(document) for name, document in documents.items()}
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def write_new(path: Path, text: str) -> Path:
    """Create the file ``path`` atomically with mode 0600; return ``path``.

    Raises:
        ConfigError: if it already exists, or cannot be written.
    """
    temporary_path = ""
    try:
        descriptor, temporary_path = tempfile.mkstemp(prefix=".new.", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.link(temporary_path, path)  # Unlike a rename, it replaces nothing.
    except FileExistsError:
        raise ConfigError([f"{shown(path)} already exists; it is not replaced"]) from None
    except OSError as error:
        raise ConfigError(
            [
                f"{shown(path)} cannot be written: {error.strerror}; free some space, or mount "
                "another folder"
            ]
        ) from None
    finally:
        if temporary_path:
            os.unlink(temporary_path)
    return path
