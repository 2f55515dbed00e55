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

_LARGEST = 10 * 1024 * 1024  # Bytes; far more than any homeserver.yaml has.
KEY_FILE_LIMIT = 1024 * 1024  # Bytes; for a key, certificate chain, secret or plan.


def _kind(mode: int) -> str:
    """Return what kind of special file ``mode`` describes, or "" for any other file."""
    kinds = {
        stat.S_IFBLK: "a block device",
        stat.S_IFCHR: "a character device",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "")


def read_bounded(path: Path, what: str, limit: int, where: str = "") -> bytes:
    """Return the contents of the regular file ``path``, which the operator named.

    No other kind of file is opened, so that neither a FIFO nor a device can block the reader.

    Args:
        path: the file.
        what: what the file is, such as "the signing key", for messages.
        limit: the maximum size in bytes.
        where: how messages refer to the file; by default, by its path.

    Raises:
        ConfigError: if the file cannot be used, with one line that says why.
    """
    where = where or shown(path)
    try:
        # Checked first, since merely opening some devices has an effect.
        _refuse_irregular(where, what, os.stat(path).st_mode)
        handle = os.open(path, os.O_NONBLOCK | os.O_NOCTTY)  # O_RDONLY is 0.
        with open(handle, "rb") as file:
            _refuse_irregular(where, what, os.fstat(handle).st_mode)
            data = file.read(limit + 1)
            if data is None:  # Some files in /proc are empty until an event occurs.
                raise BlockingIOError(errno.EAGAIN, "it has no content yet")
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError([f"{where}: {what} is missing; mount it"]) from None
    except PermissionError:
        raise ConfigError(
            [f"{where}: {what} is not readable for uid {os.geteuid()}; change its owner or mode"]
        ) from None
    except OSError as error:
        raise ConfigError(
            [f"{where}: {what} cannot be read: {error.strerror}; give another file"]
        ) from None
    except ValueError:
        # The path has a null character, or one that the file system's encoding cannot represent.
        raise ConfigError([f"{where}: {what} is missing: no file has such a name"]) from None
    if len(data) > limit:
        raise ConfigError([f"{where}: {what} has more than {limit} bytes; give a smaller file"])
    return data


def _refuse_irregular(where: str, what: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise ConfigError([f"{where}: {what} is a folder; mount a file there"])
    if not stat.S_ISREG(mode):
        kind = _kind(mode) or "not a regular file"
        raise ConfigError([f"{where}: {what} is {kind}; give a regular file"])


def read_homeserver(path: Path) -> dict[str, Any]:
    """Return homeserver.yaml as a mapping.

    Raises:
        ConfigError: if it cannot be used, with one line that says why.
    """
    data = read_bounded(path, "the configuration", _LARGEST)
    try:
        document = load(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(
            [f"{shown(path)}: not UTF-8: byte {error.start} is wrong; save it as UTF-8"]
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
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise ConfigError(
            [
                f"{path.parent} cannot be written: {error.strerror}; mount a tmpfs that uid "
                f"{os.geteuid()} may write"
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
    """Create the file ``path`` with mode 0600, complete or not at all; return ``path``.

    Raises:
        ConfigError: if it already exists, or cannot be written.
    """
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=".new.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.link(temporary, path)  # Unlike a rename, it replaces nothing.
    except FileExistsError:
        raise ConfigError([f"{shown(path)} exists already; it is not replaced"]) from None
    except OSError as error:
        raise ConfigError(
            [f"{shown(path)} cannot be written: {error.strerror}; make room, or mount another"]
        ) from None
    finally:
        if temporary:
            os.unlink(temporary)
    return path
