"""Unpacks, patches, and repacks a source, and refuses files and links that lead out of it.

Uses only the standard library, because repository rules run it before anything is fetched.
"""

import gzip
import io
import os
import posixpath
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from repositories.addresses import SourceError
from repositories.git_client import MOST_BYTES, TOP, git

# Synapse has about 1,500 files.
MOST_FILES = 100_000
# A safeguard in addition to the checks below, if this Python supports it.
_FILTER: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PATCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*\.patch")


def uncompressed(data: bytes) -> bytes:
    """Return the bytes of a tar archive, decompressed if they are compressed with gzip.

    Raises:
        SourceError: if they are damaged, or decompress to more than `MOST_BYTES`.
    """
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        with gzip.open(io.BytesIO(data)) as file:
            result = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"the source is not a tar.gz that can be read: {error}") from None
    if len(result) > MOST_BYTES:
        raise SourceError(f"the source is larger than {MOST_BYTES >> 20} MiB")
    return result


def _leads_outside(name: str, target: str) -> bool:
    """Tell whether a symbolic link ``name`` (``TOP/...``) to ``target`` leads out of ``TOP``."""
    end = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    top = name.partition("/")[0]
    # normpath turns a/../b into b, which is wrong if a is a link. So .. may only come first.
    inner = re.search(r"(^|/)(?!\.\.?(/|$))[^/]+/+\.\.(/|$)", target)
    return target.startswith("/") or (end != top and not end.startswith(f"{top}/")) or bool(inner)


def _kind(member: tarfile.TarInfo) -> str:
    return "folder" if member.isdir() else "link" if member.issym() else "file"


def _folders_of(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _member_problem(member: tarfile.TarInfo, seen: dict[str, str]) -> str:
    """Return why a member of an archive must not be unpacked, or "" if it may be.

    Args:
        member: the member.
        seen: the kinds of the members before it, as returned by `_kind`, by name.
    """
    name = member.name
    parts = name.split("/")
    if _CONTROL.search(name + member.linkname):
        return "its name has a control character"
    try:
        (name + member.linkname).encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if name.startswith("/") or not all(parts) or ".." in parts or "." in parts:
        return "its name leads out of the source"
    if any(part.lower() == ".git" for part in parts):
        return "it belongs to a git repository, not to a source"
    if any(len(part.encode()) > 255 for part in parts) or len(name.encode()) > 2000:
        return "its name is too long"
    if not (member.isdir() or member.issym() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
        return "it is neither a file nor a folder nor a symbolic link"
    if name in seen and seen[name] != _kind(member):
        return "it is in the source twice, as a file and as something else"
    if any(seen.get(folder, "folder") != "folder" for folder in _folders_of(name)):
        return "what it lies in is not a folder"
    if member.issym() and (not member.linkname or _leads_outside(name, member.linkname)):
        return f"it is a symbolic link that leads out of the source, to {member.linkname!r}"
    return ""


def _checked(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    seen: dict[str, str] = {}
    total = 0
    for member in tar:
        while member.name.startswith("./"):
            member.name = member.name[2:]
        if member.name == ".":
            continue
        problem = _member_problem(member, seen)
        if problem:
            raise SourceError(f"the source is not unpacked: {member.name!r}: {problem}")
        seen.update(dict.fromkeys(_folders_of(member.name), "folder"))
        seen[member.name] = _kind(member)
        total += member.size
        if len(seen) > MOST_FILES or total > MOST_BYTES:
            raise SourceError(
                f"the source has more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB"
            )
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
        member.mtime = 0
        yield member


def unpack(archive: Path | io.BytesIO, folder: Path) -> Path:
    """Unpack a source into ``folder`` and return its only top folder.

    Every member is checked before the first one is written, so that nothing is written on error.

    Raises:
        SourceError: if the archive cannot be unpacked or a member is not allowed; the message names
            the member.
    """
    data = archive.getvalue() if isinstance(archive, io.BytesIO) else archive.read_bytes()
    try:
        with tarfile.open(fileobj=io.BytesIO(uncompressed(data)), mode="r:") as tar:
            members = list(_checked(tar))
            tops = {member.name.partition("/")[0] for member in members}
            if len(tops) != 1 or all("/" not in member.name for member in members):
                raise SourceError(f"the source has {len(tops)} top folders instead of one")
            folder.mkdir(parents=True, exist_ok=True)
            # Links come last, so that nothing is written through one.
            for member in sorted(members, key=lambda member: member.issym()):
                tar.extract(member, folder, **_FILTER)
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        raise SourceError(f"the source is not a tar that can be unpacked: {error}") from None
    return folder / tops.pop()


def check_tree(tree: Path) -> None:
    """Check that no symbolic link in ``tree`` leads out of it, since a patch can create such links.

    Raises:
        SourceError: if one does; the message names it.
    """
    for parent, folders, files in os.walk(tree):
        for name in [*folders, *files]:
            path = Path(parent, name)
            if path.is_symlink():
                place = f"{TOP}/{path.relative_to(tree).as_posix()}"
                target = os.readlink(path)
                if _leads_outside(place, target):
                    raise SourceError(
                        f"{place!r} is a symbolic link that leads out of the source, to {target!r}"
                    )


def apply_patches(tree: Path, patches: Sequence[Path]) -> None:
    """Apply the patches in the order of their names.

    Raises:
        SourceError: if a patch does not apply, has an invalid name, or creates a link that leads
            out of the source; the message names the patch.
    """
    for patch in sorted(patches, key=lambda path: path.name):
        if not _PATCH.fullmatch(patch.name):
            raise SourceError(
                f"{patch.name!r}: the name of a patch may contain only letters, digits and . _ + -"
            )
        try:
            git("apply", "--whitespace=nowarn", "--", str(patch.absolute()), folder=tree)
            check_tree(tree)
        except SourceError as error:
            raise SourceError(f"{patch.name} does not apply: {error}") from None


def pack(tree: Path) -> bytes:
    """Return ``tree`` as a tar archive with sorted entries, fixed timestamps, and plain modes."""
    result = io.BytesIO()
    with tarfile.open(fileobj=result, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(tree.rglob("*")):
            info = tar.gettarinfo(path, f"{TOP}/{path.relative_to(tree)}")
            info.uid = info.gid = info.mtime = 0
            info.uname = info.gname = ""
            info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
            if info.isfile():
                with path.open("rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
    return result.getvalue()
