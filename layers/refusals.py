"""Rejects layers that contain a shell, a package manager, or a dangling link."""

import fnmatch
import posixpath

from layer_error import LayerError
from tar_writer import Entry, Layer

# Programs that must not be in the image, from any package.
_PROGRAMS = {
    "shell": ("ash", "bash", "busybox", "dash", "ksh*", "mksh", "rbash", "sh", "zsh*"),
    "package manager": ("apt", "apt-*", "dpkg", "dpkg-*", "pip", "pip3*"),
    "interpreter": ("awk", "gawk", "mawk", "nawk", "perl", "perl5*"),
    "way to other rights": ("chroot", "gosu", "mount", "su", "su-exec", "sudo", "umount"),
}
_BIN = ("usr/bin", "usr/local/bin", "usr/local/sbin", "usr/sbin")
_OUR_PYTHON = b"#!/usr/bin/python3"


def refuse_unwanted(layer: Layer) -> None:
    """Check every program in ``layer``.

    Raises:
        LayerError: if one is a shell or similar, or needs an interpreter that the image lacks.
    """
    for path, entry in layer.entries().items():
        folder, _, name = path.rpartition("/")
        if folder not in _BIN or entry.kind == "folder":
            continue
        for kind, patterns in _PROGRAMS.items():
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                raise LayerError(f"{entry.source}: {path} is a {kind}; leave its package out")
        if entry.kind == "file":
            _refuse_foreign_script(path, entry, layer.read(path))


def _refuse_foreign_script(path: str, entry: Entry, data: bytes) -> None:
    if data.startswith(b"#!") and not data.startswith(_OUR_PYTHON):
        line = data.partition(b"\n")[0].decode("utf-8", "replace")
        raise LayerError(
            f"{entry.source}: {path} is a script for {line[2:].strip()}, which the image lacks; "
            "leave it out"
        )


def refuse_dangling_links(layer: Layer) -> None:
    """Check that the target of every link in ``layer`` exists in the layer.

    Raises:
        LayerError: if a link is dangling.
    """
    entries = layer.entries()
    for path, entry in entries.items():
        if entry.kind == "link" and not _resolves(path, entries):
            raise LayerError(f"{entry.source}: {path} leads to {entry.target}, which is left out")


def _resolves(path: str, entries: dict[str, Entry]) -> bool:
    """Tell whether ``path`` exists after following links; a loop of links counts as missing."""
    for _ in range(40):  # The limit of Linux.
        resolved = ""
        parts = path.split("/")
        for place, part in enumerate(parts):
            resolved = posixpath.join(resolved, part)
            entry = entries.get(resolved)
            if entry is None:
                return False
            if entry.kind == "link":
                above = "/" + posixpath.dirname(resolved)
                target = posixpath.normpath(posixpath.join(above, entry.target))
                path = posixpath.join(target, *parts[place + 1 :]).lstrip("/")
                break
        else:
            return True
    return False
