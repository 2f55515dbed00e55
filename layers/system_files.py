"""Adds what maintainer scripts would create: users, links, the CA bundle, the linker cache."""

import subprocess
import tempfile
from pathlib import Path

import image_python
from debian import MERGED
from layer_error import LayerError
from tar_writer import Layer

_SOURCE = "layers/system_files.py"
_CERTIFICATES = "usr/share/ca-certificates/"
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"

_FILES = {
    "etc/group": """\
root:x:0:
synapse:x:991:
nogroup:x:65534:
""",
    "etc/ld.so.conf": "include /etc/ld.so.conf.d/*.conf\n",
    "etc/nsswitch.conf": """\
passwd: files
group: files
hosts: files dns
services: files
protocols: files
""",
    "etc/passwd": """\
root:x:0:0:root:/root:/usr/sbin/nologin
synapse:x:991:991:synapse:/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
""",
}
_LINKS = {name: f"usr/{name}" for name in MERGED} | {
    "etc/localtime": "/usr/share/zoneinfo/Etc/UTC",
    "usr/bin/python3": image_python.NAME,
    "var/lock": "/run/lock",
    "var/run": "/run",
}
_FOLDERS = {"root": 0o700, "run/lock": 0o1777, "tmp": 0o1777, "var/tmp": 0o1777}
# Any user may be the one who writes the configuration to /synapse_runtime: a tmpfs mounted there
# gets the mode of the folder in the image, and root as its owner (observed with runc).
_WRITABLE = {"data": 0o755, "synapse_media": 0o755, "synapse_runtime": 0o1777}


def add_system(layer: Layer) -> None:
    """Add users, links, folders, and the CA bundle to the packages in ``layer``.

    Raises:
        LayerError: if no package provides CA certificates.
    """
    for path, text in _FILES.items():
        layer.file(path, text.encode(), _SOURCE)
    for path, target in _LINKS.items():
        layer.link(path, target, _SOURCE)
    for name in MERGED:
        layer.folder(f"usr/{name}", _SOURCE)
    for path, mode in _FOLDERS.items():
        layer.folder(path, _SOURCE, mode)
    for path, mode in _WRITABLE.items():
        layer.folder(path, _SOURCE, mode, owner="synapse")
    _add_authorities(layer)


def _add_authorities(layer: Layer) -> None:
    """Write all certificates to one bundle, as update-ca-certificates does.

    The individual files are removed: they are redundant, and some have names that are not ASCII.
    """
    paths = [path for path in layer.entries() if f"{path}/".startswith(_CERTIFICATES)]
    files = [path for path in paths if path.endswith(".crt")]
    if not files:
        raise LayerError(f"no package has {_CERTIFICATES}*.crt; add ca-certificates to the lock")
    layer.file(_BUNDLE, b"".join(layer.read(path).strip() + b"\n" for path in files), _SOURCE)
    for path in paths:
        if path in layer:
            layer.remove(path)


def add_linker_cache(layer: Layer, ldconfig: str = "/usr/sbin/ldconfig") -> None:
    """Add /etc/ld.so.cache, written by ``ldconfig`` (from the build root) for the layer's files.

    Raises:
        LayerError: if ldconfig fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, entry in layer.entries().items():
            place = root / path
            if entry.kind == "folder":
                place.mkdir(exist_ok=True)
            elif entry.kind == "link":
                place.symlink_to(entry.target)
            elif ".so" in place.name or path.startswith("etc/ld.so"):
                place.write_bytes(layer.read(path))
        # -X: do not create links, since the packages have them; -i: ignore the auxiliary cache.
        command = [ldconfig, "-r", folder, "-X", "-i"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        cache = root / "etc/ld.so.cache"
        if done.returncode or not cache.exists():
            raise LayerError(f"{ldconfig} -r failed: {done.stderr.strip()}")
        layer.file("etc/ld.so.cache", cache.read_bytes(), _SOURCE)
