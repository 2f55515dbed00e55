"""The only code that writes tar bytes: one clock, sorted entries, one gzip writer."""

import gzip
import io
import posixpath
import tarfile
from dataclasses import dataclass
from pathlib import Path

EPOCH = 0  # The only clock that an entry may carry: content alone decides a digest.
_GZIP_LEVEL = 6


@dataclass(frozen=True)
class Entry:
    """One file of a layer.

    Attributes:
        kind: "file", "folder" or "link" (symbolic).
        mode: permission bits.
        data: the bytes of a file.
        target: where a link leads.
        owner: user and group id.
    """

    kind: str
    mode: int
    data: bytes = b""
    target: str = ""
    owner: int = 0


class Layer:
    """The files of one layer, by path without a leading slash."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def add(self, path: str, entry: Entry, source: str) -> None:
        """Add ``entry`` at ``path``; ``source`` is named in errors.

        Raises:
            ValueError: when the path leaves the image, two sources disagree, or a file is setuid.
        """
        clean = posixpath.normpath(path)
        if clean.startswith(("/", "../")) or clean in ("..", "."):
            raise ValueError(f"{source}: {path} leaves the image")
        if entry.mode & 0o6000:
            raise ValueError(f"{source}: {path} is setuid or setgid; no image of ours holds one")
        known = self.entries.get(clean)
        if known is not None and known != entry and known.kind != "folder":
            raise ValueError(f"{source}: {path} is there already with other content")
        self.entries[clean] = entry

    def file(self, path: str, data: bytes, source: str, mode: int = 0o644) -> None:
        """Add a plain file."""
        self.add(path, Entry("file", mode, data), source)

    def folder(self, path: str, mode: int = 0o755, owner: int = 0) -> None:
        """Add a folder."""
        self.entries[path] = Entry("folder", mode, owner=owner)

    def link(self, path: str, target: str, source: str) -> None:
        """Add a symbolic link."""
        self.add(path, Entry("link", 0o777, target=target), source)

    def with_parents(self) -> dict[str, Entry]:
        """Return the entries with every folder above them, sorted so that folders come first."""
        result = dict(self.entries)
        for path in self.entries:
            for parent in list(Path(path).parents)[:-1]:
                result.setdefault(str(parent), Entry("folder", 0o755))
        return dict(sorted(result.items()))

    def write(self, target: Path) -> None:
        """Write the layer to ``target`` as .tar.gz."""
        with (
            target.open("wb") as raw,
            gzip.GzipFile(
                filename="", mode="wb", fileobj=raw, compresslevel=_GZIP_LEVEL, mtime=EPOCH
            ) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            for path, entry in self.with_parents().items():
                info = tarfile.TarInfo(path)
                info.mtime, info.mode = EPOCH, entry.mode
                info.uid = info.gid = entry.owner
                if entry.kind == "folder":
                    info.type = tarfile.DIRTYPE
                elif entry.kind == "link":
                    info.type, info.linkname = tarfile.SYMTYPE, entry.target
                else:
                    info.size = len(entry.data)
                archive.addfile(info, io.BytesIO(entry.data))
