"""Unpacks .deb files into one root and creates the links that maintainer scripts would create."""

import argparse
import io
import sys
import tarfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

# The links that `update-alternatives` would create: name in /usr/bin -> program.
_ALTERNATIVES = {"awk": "mawk", "c++": "g++", "cc": "gcc"}
# The oldest supported Pythons have no filters; the hash of each package was already checked.
_FILTER: Any = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
_MERGED = ("bin", "lib", "lib64", "sbin")


def member(deb: Path, prefix: str) -> bytes:
    """Return the member of the ``ar`` archive ``deb`` whose name starts with ``prefix``.

    The format is described in deb(5).

    Raises:
        ValueError: if there is no such member.
    """
    data = deb.read_bytes()
    if data[:8] != b"!<arch>\n":
        raise ValueError(f"{deb.name} is not a Debian package")
    place = 8
    while place < len(data):
        name = data[place : place + 16].decode().strip().rstrip("/")
        size = int(data[place + 48 : place + 58])
        if name.startswith(prefix):
            return data[place + 60 : place + 60 + size]
        place += 60 + size + size % 2
    raise ValueError(f"{deb.name} has no member {prefix}*")


def unpack(deb: Path, root: Path) -> None:
    """Extract the files of ``deb`` under ``root``, owned by the current user."""
    with tarfile.open(fileobj=io.BytesIO(member(deb, "data.tar"))) as archive:
        for entry in archive:
            if not (entry.isfile() or entry.isdir() or entry.issym() or entry.islnk()):
                continue
            if not entry.name.isascii():
                continue  # A few certificates; Bazel in a C locale could not delete them.
            # /usr is merged: /lib/x is /usr/lib/x.
            path = entry.name.lstrip("./")
            if path.split("/")[0] in _MERGED:
                entry.name = "usr/" + path
            if entry.isdir():
                (root / entry.name).mkdir(parents=True, exist_ok=True)
                continue
            if entry.islnk() and entry.linkname.lstrip("./").split("/")[0] in _MERGED:
                entry.linkname = "usr/" + entry.linkname.lstrip("./")
            entry.mode = (entry.mode & 0o777) | 0o200
            archive.extract(entry, root, **_FILTER)


def main(argv: list[str]) -> int:
    """Unpack every package in a folder; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--debs", type=Path, required=True)
    options = parser.parse_args(argv)
    (options.root / "usr/bin").mkdir(parents=True)
    debs = sorted(options.debs.glob("*.deb"))
    with ProcessPoolExecutor() as pool:
        list(pool.map(unpack, debs, [options.root] * len(debs)))
    for name in _MERGED:
        (options.root / "usr" / name).mkdir(exist_ok=True)
        if not (options.root / name).is_symlink():
            (options.root / name).symlink_to("usr/" + name)
    # pip reads the bundle when it is imported, even though nothing is fetched in the root.
    certificates = sorted((options.root / "usr/share/ca-certificates").glob("**/*.crt"))
    bundle = options.root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(path.read_bytes() for path in certificates))
    for name, program in _ALTERNATIVES.items():
        link = options.root / "usr/bin" / name
        if (link.parent / program).exists() and not link.is_symlink():
            link.symlink_to(program)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
