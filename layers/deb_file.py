"""Reads .deb files, which are ar archives of control.tar and data.tar (deb(5))."""

import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from layer_error import LayerError

_MAGIC = b"!<arch>\n"
_HEADER = 60


@dataclass(frozen=True, slots=True)
class DebFile:
    """A Debian package.

    Attributes:
        file_name: the file name, for error messages.
        package: the package name.
        control: the text of its control file.
        md5sums: the lines of its md5sums, as (sum, path).
        data: data.tar, still compressed.
    """

    file_name: str
    package: str
    control: str
    md5sums: tuple[tuple[str, str], ...]
    data: bytes

    def members(self) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        """Yield each member of data.tar with its bytes; a hard link has those of its target.

        Raises:
            LayerError: if the archive is broken.
        """
        yield from _members(self.data, f"{self.file_name}: data.tar")


def read_deb(path: Path) -> DebFile:
    """Return the package at ``path``.

    Raises:
        LayerError: if it is not a Debian package, or is broken.
    """
    parts = _ar_members(path.read_bytes(), path.name)
    for part in ("control", "data"):
        if part not in parts:
            raise LayerError(f"{path.name}: there is no {part}.tar; it is not a Debian package")
    control = {
        info.name.removeprefix("./"): data
        for info, data in _members(parts["control"], f"{path.name}: control.tar")
    }
    text = control.get("control", b"").decode()
    # A control file's fields have the form of headers (deb-control(5)).
    package = HeaderParser().parsestr(text).get("Package")
    if not package:
        raise LayerError(f"{path.name}: its control file names no package")
    sums = control.get("md5sums", b"").decode().splitlines()
    return DebFile(
        file_name=path.name,
        package=package,
        control=text,
        md5sums=tuple((line[:32], line[34:]) for line in sums),
        data=parts["data"],
    )


def _ar_members(data: bytes, file_name: str) -> dict[str, bytes]:
    if not data.startswith(_MAGIC):
        raise LayerError(f"{file_name}: it is not a Debian package (no ar archive)")
    result: dict[str, bytes] = {}
    place = len(_MAGIC)
    while place < len(data):
        header = data[place : place + _HEADER]
        size_text = header[48:58].strip()
        if len(header) < _HEADER or not size_text.isdigit():
            raise LayerError(f"{file_name}: broken at byte {place}; fetch it again")
        place += _HEADER
        size = int(size_text)
        if place + size > len(data):
            raise LayerError(f"{file_name}: truncated at byte {len(data)}; fetch it again")
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        result[name.partition(".tar")[0]] = data[place : place + size]
        place += size + size % 2
    return result


def _members(data: bytes, source: str) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for info in archive:
                content = archive.extractfile(info) if info.isreg() or info.islnk() else None
                yield info, content.read() if content else b""
    except KeyError as error:
        raise LayerError(f"{source}: the target of a hard link is missing ({error})") from error
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise LayerError(f"{source} cannot be read ({error}); fetch it again") from error
