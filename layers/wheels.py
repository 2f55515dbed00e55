"""Installs wheels in one site-packages folder of a layer, using the library `installer`."""

import base64
import os
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Literal

import image_python
import installer
from console_scripts import console_script, python_script
from installer.destinations import WheelDestination
from installer.exceptions import InstallerError
from installer.records import Hash, RecordEntry
from installer.utils import Scheme, construct_record_file
from layer_error import LayerError
from tar_writer import Layer
from wheel_source import CheckedWheel

SITE = f"usr/local/lib/{image_python.NAME}/dist-packages"
BIN = "usr/local/bin"
_PREFIX = "usr/local"
# A name for people and scanners (PyPA, recording installed projects).
_METADATA = {"INSTALLER": b"synapse-worker-image\n"}
# Stands for a file that is not written, since `installer` wants a line of RECORD for each.
_LEFT_OUT = RecordEntry("", None, None)


def add_wheels(layer: Layer, wheels: Iterable[Path], *, scripts: bool) -> None:
    """Add the files of each wheel, and its scripts if ``scripts`` is true.

    The RECORD in the layer lists what is in the layer, except bytecode.

    Raises:
        LayerError: if a wheel is broken, or two wheels have different content for a file.
    """
    for path in sorted(wheels, key=lambda path: path.name):
        try:
            with zipfile.ZipFile(path) as archive:
                wheel = CheckedWheel(archive, path.name, scripts=scripts)
                destination = _LayerDestination(
                    layer, path.name, wheel.distribution, scripts=scripts
                )
                installer.install(wheel, destination, _METADATA)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise LayerError(f"{path.name}: it is not a complete wheel ({error})") from error
        except InstallerError as error:
            raise LayerError(f"{path.name}: {error.args[-1]}") from error


class _LayerDestination(WheelDestination):
    """Writes the files of one wheel into a layer."""

    def __init__(self, layer: Layer, name: str, distribution: str, *, scripts: bool) -> None:
        """Store the arguments.

        Args:
            layer: the layer to write into.
            name: the wheel's file name, for error messages.
            distribution: the distribution's name, for the folder of its headers.
            scripts: whether to write the wheel's scripts.
        """
        self._layer = layer
        self._name = name
        self._scripts = scripts
        self._folders = {
            "purelib": SITE,
            "platlib": SITE,
            "scripts": BIN,
            "data": _PREFIX,
            "headers": f"{_PREFIX}/include/{image_python.NAME}/{distribution}",
        }

    def write_script(
        self, name: str, module: str, attr: str, section: Literal["console", "gui"]
    ) -> RecordEntry:
        """Write a console script of entry_points.txt; return its line of RECORD."""
        if section == "gui":
            return _LEFT_OUT
        return self._write("scripts", name, console_script(module, attr), executable=True)

    def write_file(
        self, scheme: Scheme, path: str | os.PathLike[str], stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        """Write a file of the wheel; return its line of RECORD."""
        return self._write(scheme, os.fspath(path), stream.read(), executable=is_executable)

    def finalize_installation(
        self,
        scheme: Scheme,
        record_file_path: str,
        records: Iterable[tuple[Scheme, RecordEntry]],
    ) -> None:
        """Write RECORD, with paths relative to site-packages."""
        kept = [(scheme, record) for scheme, record in records if record is not _LEFT_OUT]
        with construct_record_file(kept, self._prefix) as stream:
            self.write_file(scheme, record_file_path, stream, is_executable=False)

    def _prefix(self, scheme: str) -> str | None:
        folder = self._folders[scheme]
        return None if folder == SITE else f"{os.path.relpath(folder, SITE)}/"

    def _write(self, scheme: str, path: str, data: bytes, *, executable: bool) -> RecordEntry:
        if scheme == "scripts" and not self._scripts:
            return _LEFT_OUT
        target = f"{self._folders[scheme]}/{path}"
        if target.startswith(f"{BIN}/"):
            data, executable = python_script(data), True
        digest = self._layer.file(target, data, self._name, 0o755 if executable else 0o644)
        text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return RecordEntry(path, Hash("sha256", text), len(data))
