"""Reads an OCI layout, unpacks it, and runs commands in it with bwrap according to its config."""

import gzip
import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandbox.bwrap import KERNEL, Sandbox, read_only, symlinks, system_bwrap, writable


@dataclass(frozen=True)
class Image:
    """An image in an OCI layout.

    Attributes:
        folder: the folder of the layout.
        manifest: its manifest (image-spec, manifest.md).
        config: its config (image-spec, config.md).
    """

    folder: Path
    manifest: dict[str, Any]
    config: dict[str, Any]

    def blob(self, digest: str) -> Path:
        """Return the path of a blob."""
        return self.folder / "blobs" / digest.replace(":", "/")


def read_image(folder: Path) -> Image:
    """Return the image of the layout at ``folder``; check all digests except those of layers."""

    def blob(digest: str) -> dict[str, Any]:
        data = (folder / "blobs" / digest.replace(":", "/")).read_bytes()
        assert digest == "sha256:" + hashlib.sha256(data).hexdigest(), f"{folder}: {digest}"
        document: dict[str, Any] = json.loads(data)
        return document

    (entry,) = json.loads((folder / "index.json").read_bytes())["manifests"]
    manifest = blob(entry["digest"])
    return Image(folder, manifest, blob(manifest["config"]["digest"]))


def layers(image: Image) -> list[tuple[str, str]]:
    """Return the digest and the diff_id of each layer, lowest first (image-spec, config.md)."""
    digests = [layer["digest"] for layer in image.manifest["layers"]]
    return list(zip(digests, image.config["rootfs"]["diff_ids"], strict=True))


def layer_tar(image: Image, digest: str, diff_id: str) -> bytes:
    """Return the tar in a layer, which is checked against its diff_id."""
    data = gzip.decompress(image.blob(digest).read_bytes())
    assert diff_id == "sha256:" + hashlib.sha256(data).hexdigest()
    return data


def unpack(image: Image, root: Path) -> None:
    """Unpack the layers into ``root``.

    GNU tar takes half as long as the standard library's tarfile.  Where ``LAYERS`` names the output
    of ``//testbed:layers``, its tars save the two seconds that decompressing takes.
    """
    root.mkdir()
    command = [
        "tar",
        "--extract",
        "--no-same-owner",
        "--preserve-permissions",
        f"--directory={root}",
    ]
    uncompressed = os.environ.get("LAYERS")
    for digest, diff_id in layers(image):
        if uncompressed:
            with Path(uncompressed, diff_id).open("rb") as layer:
                subprocess.run(command, stdin=layer, check=True)
        else:
            subprocess.run(command, input=layer_tar(image, digest, diff_id), check=True)
    # Container engines create this file as a mount point for their own.
    (root / "etc/hosts").touch()


def container(
    image: Image,
    root: Path,
    mounts: Mapping[str, Path],
    environ: Mapping[str, str],
    files: Mapping[str, Path] | None = None,
) -> Sandbox:
    """Return a container of an image: the image's user, read-only root, no capabilities.

    Args:
        image: provides user, environment and working folder.
        root: the unpacked image.
        mounts: writable folders, by path in the image.
        environ: environment variables that override the image's own.
        files: read-only files and folders, by path in the image.

    Raises:
        MissingProgramError: if bwrap is not installed.
    """
    config = image.config["config"]
    user, _, group = config["User"].partition(":")
    own = [
        read_only(root / name, f"/{name}")
        for name in sorted(os.listdir(root))
        if name not in ("dev", "proc", "sys", "tmp") and not (root / name).is_symlink()
    ]
    return Sandbox(
        bwrap=(system_bwrap(),),
        mounts=(
            *own,
            *symlinks(root),
            *KERNEL,
            *(writable(folder, place) for place, folder in mounts.items()),
            *(read_only(file, place) for place, file in (files or {}).items()),
        ),
        user=(int(user), int(group)),
        unshare=("ipc", "pid"),
        environ=dict(line.split("=", 1) for line in config["Env"]) | dict(environ),
        folder=config["WorkingDir"],
        read_only_root=True,
    )


def as_root(inside: Sandbox) -> Sandbox:
    """Return the container with root as its user, as engines do for ``--user 0``.

    It keeps the capabilities that are needed to switch to another user.
    """
    return replace(inside, user=None, capabilities=("CAP_SETUID", "CAP_SETGID"))


def entrypoint(image: Image) -> list[str]:
    """Return the image's entrypoint."""
    words: list[str] = image.config["config"]["Entrypoint"]
    return words
