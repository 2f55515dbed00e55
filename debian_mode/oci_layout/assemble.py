"""Assembles an OCI layout identical to that of rules_oci 2.2.6; see docs/oci-substitute.md."""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EPOCH = "1970-01-01T00:00:00Z"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
_CHUNK = 1 << 20

Json = dict[str, Any]


@dataclass(frozen=True)
class Descriptor:
    """A layer's blob; the size is in bytes and the digests are ``sha256:HEX``."""

    path: Path
    label: str
    size: int
    digest: str
    diff_id: str
    compression: str


@dataclass(frozen=True)
class Request:
    """The attributes of an oci_image; None or "" if an attribute was not given."""

    architecture: str = ""
    os: str = ""
    variant: str = ""
    created: str | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    exposed_ports: list[str] | None = None
    volumes: list[str] | None = None
    env: list[str] | None = None
    labels: list[str] | None = None
    annotations: list[str] | None = None
    user: str = ""
    workdir: str = ""


@dataclass
class Layout:
    """An OCI image layout (image-spec, image-layout.md), with small blobs and paths of layers."""

    manifest: Json
    config: Json
    blobs: dict[str, bytes] = field(default_factory=dict)
    layers: dict[str, Path] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def jq(document: Json) -> bytes:
    """Return the output of ``jq .``: indented by two, raw UTF-8, DEL escaped, a final newline."""
    text = json.dumps(document, indent=2, ensure_ascii=False).replace("\x7f", "\\u007f")
    return (text + "\n").encode()


def sha256(data: bytes) -> str:
    """Return the digest of ``data`` as ``sha256:HEX``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def pairs(lines: Iterable[str]) -> dict[str, str]:
    """Return ``key=value`` lines, split at the first ``=``, as a mapping; skip empty lines."""
    split = (line.partition("=") for line in lines if line)
    return {key: value for key, _, value in split}


def merge(old: Json, new: Mapping[str, Any]) -> Json:
    """Merge ``new`` into ``old`` recursively, like jq's ``*``, and return ``old``."""
    for key, value in new.items():
        known = old.get(key)
        both = isinstance(value, dict) and isinstance(known, dict)
        old[key] = merge(known, value) if both and isinstance(known, dict) else value
    return old


def describe(path: Path, label: str) -> Descriptor:
    """Return a layer's size, digest, compression, and the digest of the tar in it.

    Raises:
        ValueError: If a compressed layer cannot be decompressed.
    """
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    name = "sha256:" + digest.hexdigest()
    if magic[:2] == b"\x1f\x8b":
        inner = hashlib.sha256()
        try:
            with gzip.open(path) as unpacked:
                while chunk := unpacked.read(_CHUNK):
                    inner.update(chunk)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: broken gzip: {error}") from None
        return Descriptor(path, label, size, name, "sha256:" + inner.hexdigest(), "gzip")
    if magic == b"\x28\xb5\x2f\xfd":
        done = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=False)
        if done.returncode:
            raise ValueError(f"{path}: broken zstd: {done.stderr.decode().strip()}")
        return Descriptor(path, label, size, name, sha256(done.stdout), "zstd")
    return Descriptor(path, label, size, name, name, "")


def read_layout(folder: Path) -> Layout:
    """Return the image in the layout at ``folder``, with references to its layers."""
    index = json.loads((folder / "index.json").read_bytes())

    def blob(digest: str) -> bytes:
        return (folder / "blobs" / digest.replace(":", "/")).read_bytes()

    manifest = json.loads(blob(index["manifests"][0]["digest"]))
    config = json.loads(blob(manifest["config"]["digest"]))
    manifest["config"].pop("data", None)
    paths = {
        layer["digest"]: folder / "blobs" / layer["digest"].replace(":", "/")
        for layer in manifest["layers"]
    }
    return Layout(manifest, config, layers=paths)


def scratch(request: Request) -> Layout:
    """Return an empty image for the platform of ``request``."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "size": 0},
        "layers": [],
    }
    config = {
        "created": EPOCH,
        "config": {},
        "history": [],
        "rootfs": {"type": "layers", "diff_ids": []},
        "architecture": request.architecture,
        "os": request.os,
    }
    if request.variant:
        config["variant"] = request.variant
    return Layout(manifest, config)


def _expand(lines: list[str], known: list[str]) -> list[str]:
    have = dict(line.split("=", 1) for line in known)
    for line in lines:
        key, _, value = line.partition("=")
        have[key] = re.sub(r"\$\{?([a-zA-Z0-9_]+)\}?", lambda match: have.get(match[1], ""), value)
    return [f"{key}={value}" for key, value in have.items()]


def _arguments(values: list[str]) -> list[str]:
    return [value.replace("%5Cn", "\n") for value in values if value]


def _config_changes(request: Request, known_env: list[str]) -> Json:
    """Return the changes to `.config` in the order in which rules_oci makes them."""
    changes: Json = {}
    if request.entrypoint is not None:
        # An entrypoint drops the base's Cmd, so Cmd comes before it.
        changes["Cmd"], changes["Entrypoint"] = None, _arguments(request.entrypoint)
    if request.cmd is not None:
        changes["Cmd"] = _arguments(request.cmd)
    if request.exposed_ports is not None:
        changes["ExposedPorts"] = {port: {} for port in request.exposed_ports if port}
    if request.volumes is not None:
        changes["Volumes"] = {path: {} for path in request.volumes if path}
    if request.env is not None:
        changes["Env"] = _expand(request.env, known_env)
    if request.labels is not None:
        changes["Labels"] = pairs(request.labels)
    if request.user:
        changes["User"] = request.user
    if request.workdir:
        changes["WorkingDir"] = request.workdir
    return changes


def assemble(layers: list[Descriptor], request: Request, base: Layout | None) -> Layout:
    """Return the image that ``request`` describes, on top of ``base`` or from scratch."""
    image = base or scratch(request)
    manifest, config = image.manifest, image.config
    docker = manifest["mediaType"].startswith("application/vnd.docker.")
    kind = "application/vnd.docker.image.rootfs.diff.tar" if docker else LAYER
    for layer in layers:
        config["rootfs"]["diff_ids"].append(layer.diff_id)
        created_by = "bazel build " + layer.label
        config["history"].append({"created": EPOCH, "created_by": created_by})
        suffix = ("." if docker else "+") + layer.compression if layer.compression else ""
        manifest["layers"].append(
            {"size": layer.size, "digest": layer.digest, "mediaType": kind + suffix}
        )
        image.layers[layer.digest] = layer.path
    changes: Json = {}
    if request.created is not None:
        changes["created"] = request.created
    inner = _config_changes(request, config.get("config", {}).get("Env") or [])
    if inner:
        changes["config"] = inner
    merge(config, changes)
    if config.get("config", {}).get("Cmd", "") is None:
        del config["config"]["Cmd"]
    if request.annotations is not None:
        manifest["annotations"] = manifest.get("annotations", {}) | pairs(request.annotations)
    blob = jq(config)[:-1]  # rules_oci omits the final newline of the config, not of the manifest.
    manifest["config"]["size"] = len(blob)
    manifest["config"]["digest"] = sha256(blob)
    raw = jq(manifest)
    image.blobs = {sha256(blob): blob, sha256(raw): raw}
    entry = {"mediaType": manifest["mediaType"], "digest": sha256(raw), "size": len(raw)}
    image.files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": jq({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}),
    }
    return image


def assemble_index(folders: list[Path]) -> Layout:
    """Return an index of the images at ``folders``."""
    result = Layout({}, {})
    manifests = []
    for folder in folders:
        image = read_layout(folder)
        entry = json.loads((folder / "index.json").read_bytes())["manifests"][0]
        keys = ("os", "architecture", "variant", "os.version", "os.features")
        platform = {key: image.config[key] for key in keys if image.config.get(key) is not None}
        manifests.append({**entry, "platform": platform})
        for path in (folder / "blobs/sha256").iterdir():
            result.layers["sha256:" + path.name] = path
    raw = jq({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
    result.blobs[sha256(raw)] = raw
    entry = {"mediaType": INDEX, "size": len(raw), "digest": sha256(raw)}
    result.files = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}\n',
        "index.json": jq({"manifests": [entry]}),
    }
    return result


def write(layout: Layout, folder: Path, *, link: bool) -> None:
    """Write ``layout``; with ``link``, layers are symlinks, as in rules_oci's oci_image."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    for name, data in layout.files.items():
        (folder / name).write_bytes(data)
    for digest, path in layout.layers.items():
        place = blobs / digest.removeprefix("sha256:")
        if link:
            # A relative symlink is valid inside the sandbox and afterwards.
            place.symlink_to(os.path.relpath(path, blobs))
        else:
            shutil.copyfile(path, place)
    for digest, data in layout.blobs.items():
        (blobs / digest.removeprefix("sha256:")).write_bytes(data)
