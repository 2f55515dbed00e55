"""Adds Debian packages to the base layer, with the dpkg status files that scanners read."""

import tarfile
from collections.abc import Collection, Iterable
from pathlib import Path

from deb_file import DebFile, read_deb
from layer_error import LayerError
from left_out import is_wanted
from tar_writer import Layer, checked_path

MERGED = ("bin", "lib", "lib64", "sbin")
_STATUS = "var/lib/dpkg/status.d"
# This package provides the base directories. Other packages' folders are added with their files.
_SKELETON = "base-files"


def merged_path(path: str) -> str:
    """Return ``path`` in a merged /usr, where /bin, /lib, /lib64, and /sbin are links into /usr."""
    return f"usr/{path}" if path.partition("/")[0] in MERGED else path


def add_packages(layer: Layer, debs: Iterable[Path], leave_out: Collection[str]) -> list[DebFile]:
    """Add the packages at ``debs``, except those in ``leave_out``, and return those added.

    Raises:
        LayerError: if a package is broken, two have different content for a file, or ``leave_out``
            names a package that is not in ``debs``.
    """
    names, added = set(), []
    for path in sorted(debs, key=lambda path: path.name):
        deb = read_deb(path)
        names.add(deb.package)
        if deb.package not in leave_out:
            _add_package(layer, deb)
            added.append(deb)
    unknown = ", ".join(sorted(set(leave_out) - names))
    if unknown:
        raise LayerError(f"leave_out names {unknown}, which is not among the packages; remove it")
    return added


def add_status(layer: Layer, debs: Iterable[DebFile]) -> None:
    """Add the files that scanners read: control files, and the MD5 sums of files in the layer."""
    for deb in debs:
        layer.file(f"{_STATUS}/{deb.package}", deb.control.encode(), deb.file_name)
        sums = [(md5, merged_path(path)) for md5, path in deb.md5sums]
        text = "".join(f"{md5}  {path}\n" for md5, path in sums if path in layer)
        layer.file(f"{_STATUS}/{deb.package}.md5sums", text.encode(), deb.file_name)


def _add_package(layer: Layer, deb: DebFile) -> None:
    """Add the files of ``deb`` that the image needs."""
    folders: dict[str, int] = {}
    for info, data in deb.members():
        path = merged_path(checked_path(info.name, deb.file_name)) if info.name != "./" else "."
        if path == "." or path.removeprefix("usr/") in MERGED:
            continue
        if info.isdir():
            if path not in layer:
                folders[path] = info.mode & 0o1777
        elif info.issym() and path.rpartition("/")[0] == "usr/share/doc":
            layer.link(path, info.linkname, deb.file_name)  # The copyright is behind this link.
        elif is_wanted(deb.package, path):
            _add_file(layer, deb.file_name, path, info, data)
    if deb.package == _SKELETON:
        used = {path for path in folders if is_wanted(deb.package, path)}
    else:
        used = folders.keys() & layer.entries().keys()
    for path in used:
        layer.folder(path, deb.file_name, folders[path])


def _add_file(layer: Layer, source: str, path: str, info: tarfile.TarInfo, data: bytes) -> None:
    if info.issym():
        layer.link(path, info.linkname, source)
    elif info.isreg() or info.islnk():
        layer.file(path, data, source, info.mode & 0o7777)
    else:
        raise LayerError(f"{source}: {path} is a device or a pipe, which a layer must not contain")
