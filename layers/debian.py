"""Lays Debian packages into the base layer, without what no Synapse process needs."""

import io
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tar_writer import Entry, Layer

_MERGED = ("bin", "lib", "lib64", "sbin")
_USER = 991

# Left out of every package: nothing of it runs, or it would be a way in.
_LEFT_OUT_FOLDERS = (
    "etc/init.d",
    "etc/update-motd.d",
    "usr/lib/python3.13/ensurepip",
    "usr/lib/python3.13/idlelib",
    "usr/lib/python3.13/lib2to3",
    "usr/lib/python3.13/test",
    "usr/lib/python3.13/tkinter",
    "usr/lib/systemd",
    "usr/share/bash-completion",
    "usr/share/binfmts",
    "usr/share/bug",
    "usr/share/debconf",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/pixmaps",
    "usr/share/applications",
    "var/cache",
)
_FORBIDDEN = ("apt", "apt-get", "bash", "dash", "dpkg", "perl", "sh", "su", "mount")

_PASSWD = """\
root:x:0:0:root:/root:/usr/sbin/nologin
synapse:x:991:991:synapse:/data:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUP = """\
root:x:0:
synapse:x:991:
nogroup:x:65534:
"""
_NSSWITCH = """\
passwd: files
group: files
hosts: files dns
services: files
protocols: files
"""


def members(deb: Path) -> dict[str, bytes]:
    """Return the members of the ``ar`` archive ``deb`` (deb(5)) by name without ending.

    Raises:
        ValueError: when it is not a Debian package.
    """
    data = deb.read_bytes()
    if data[:8] != b"!<arch>\n":
        raise ValueError(f"{deb.name} is not a Debian package")
    result, place = {}, 8
    while place < len(data):
        name = data[place : place + 16].decode().strip().rstrip("/")
        size = int(data[place + 48 : place + 58])
        result[name.partition(".tar")[0]] = data[place + 60 : place + 60 + size]
        place += 60 + size + size % 2
    if not {"control", "data"} <= result.keys():
        raise ValueError(f"{deb.name} has no control and data")
    return result


def _wanted(path: str) -> bool:
    if path.startswith("usr/share/doc/"):
        return path.endswith("/copyright")
    return not any(path == part or path.startswith(part + "/") for part in _LEFT_OUT_FOLDERS)


def add_package(layer: Layer, deb: Path, leave_out: set[str]) -> str | None:
    """Add the files of ``deb`` and its status for scanners; return the name of one left out."""
    parts = members(deb)
    with tarfile.open(fileobj=io.BytesIO(parts["control"])) as archive:
        control = archive.extractfile("./control")
        assert control is not None  # deb(5): every package has one.
        text = control.read().decode()
    name = text.partition("Package: ")[2].partition("\n")[0]
    if name in leave_out:
        return name
    layer.file(f"var/lib/dpkg/status.d/{name}", text.encode(), deb.name)
    with tarfile.open(fileobj=io.BytesIO(parts["data"])) as archive:
        for info in archive:
            path = info.name.lstrip("./")
            if path.split("/")[0] in _MERGED:
                path = "usr/" + path
            if not path or path in ["usr/" + part for part in _MERGED] or not _wanted(path):
                continue
            mode = info.mode & 0o1777
            if info.isdir():
                layer.entries.setdefault(path, Entry("folder", mode))
            elif info.issym():
                layer.link(path, info.linkname, deb.name)
            elif info.isfile() or info.islnk():
                data = archive.extractfile(info)
                assert data is not None  # A file or a hard link to one of this archive.
                layer.file(path, data.read(), deb.name, mode)
            else:
                raise ValueError(f"{deb.name}: {path} is a device or a pipe")
    return None


def add_system(layer: Layer) -> None:
    """Add what maintainer scripts would make: users, links, authorities, writable folders."""
    for name in _MERGED:
        layer.link(name, "usr/" + name, "merged /usr")
    layer.link("usr/bin/python3", "python3.13", "system")
    for path, text in (
        ("etc/passwd", _PASSWD),
        ("etc/group", _GROUP),
        ("etc/nsswitch.conf", _NSSWITCH),
        ("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n"),
    ):
        layer.entries.pop(path, None)
        layer.file(path, text.encode(), "system")
    certificates = sorted(
        path for path in layer.entries if path.startswith("usr/share/ca-certificates/mozilla/")
    )
    bundle = b"".join(layer.entries[path].data for path in certificates)
    layer.file("etc/ssl/certs/ca-certificates.crt", bundle, "system")
    for path in certificates:
        del layer.entries[path]  # Once is enough; some of their names are not ASCII.
    layer.folder("etc/ssl/private", 0o755)
    layer.folder("root", 0o700)
    layer.folder("tmp", 0o1777)
    layer.folder("var/tmp", 0o1777)
    for path in ("data", "synapse_media", "synapse_runtime"):
        layer.folder(path, 0o755, owner=_USER)


def add_linker_cache(layer: Layer) -> None:
    """Add /etc/ld.so.cache, as the root's own ldconfig writes it for these files."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, entry in layer.with_parents().items():
            place = root / path
            if entry.kind == "folder":
                place.mkdir(parents=True, exist_ok=True)
            elif ".so" in path or path.startswith("etc/ld.so") or entry.kind == "link":
                place.parent.mkdir(parents=True, exist_ok=True)
                if entry.kind == "link":
                    place.symlink_to(entry.target)
                else:
                    place.write_bytes(entry.data)
        subprocess.run(["/usr/sbin/ldconfig", "-r", folder, "-X", "-i"], check=True)
        layer.file("etc/ld.so.cache", (root / "etc/ld.so.cache").read_bytes(), "ldconfig")


def check(layer: Layer) -> None:
    """Raise ValueError when a shell, a package manager or the like is among the files."""
    for path in layer.entries:
        folder, _, name = path.rpartition("/")
        if folder in ("usr/bin", "usr/sbin", "usr/local/bin") and name in _FORBIDDEN:
            raise ValueError(f"{path} must not be in the image; leave its package out")
