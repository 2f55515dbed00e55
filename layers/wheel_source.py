"""Reads a wheel, checking each file against the wheel's RECORD.

The format is defined in the binary distribution format specification (wheel 1.x). The checks are
stricter than those of `installer.sources.WheelFile`, which accepts MD5, paths that leave the
folder, duplicate files, and lines of RECORD without a file. That class also takes the
distribution's name from the file name, which for Synapse's own wheel is `matrix_synapse.whl`.
"""

import base64
import csv
import hashlib
import io
import stat
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from console_scripts import check_entry_points
from installer.sources import WheelSource
from installer.utils import SCHEME_NAMES
from layer_error import LayerError
from tar_writer import checked_path

_ALGORITHMS = ("sha256", "sha384", "sha512")
# RECORD cannot contain its own hash, nor those of its signatures.
_UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_ENTRY_POINTS = "entry_points.txt"


class CheckedWheel(WheelSource):
    """A wheel for `installer.install`, whose files are checked while they are read."""

    def __init__(self, archive: zipfile.ZipFile, name: str, *, scripts: bool) -> None:
        """Read RECORD.

        Args:
            archive: the wheel.
            name: its file name, for error messages.
            scripts: whether the console scripts are wanted; otherwise entry_points.txt is a file
                like any other and need not be valid.

        Raises:
            LayerError: if the wheel has no RECORD, or more than one.
        """
        self._archive = archive
        self._name = name
        self._scripts = scripts
        distribution, _, version = self._info_folder().removesuffix(".dist-info").partition("-")
        super().__init__(distribution, version)
        self._record = self._read_record()

    @property
    def dist_info_filenames(self) -> list[str]:
        """The names of the files in the dist-info folder that `installer` looks for by name."""
        wanted = self._scripts and f"{self.dist_info_dir}/{_ENTRY_POINTS}" in self._record
        return [_ENTRY_POINTS] if wanted else []

    def read_dist_info(self, filename: str) -> str:
        """Return the text of a file in the dist-info folder.

        Raises:
            LayerError: if it is missing, not UTF-8, or an invalid entry_points.txt.
        """
        try:
            text = self._archive.read(f"{self.dist_info_dir}/{filename}").decode()
        except KeyError:
            raise LayerError(f"{self._name}: {self.dist_info_dir}/{filename} is missing") from None
        except UnicodeDecodeError:
            raise LayerError(
                f"{self._name}: {self.dist_info_dir}/{filename} is not UTF-8"
            ) from None
        if filename == _ENTRY_POINTS:
            check_entry_points(text, self._name)
        return text

    def get_contents(self) -> Iterator[tuple[tuple[str, str, str], BinaryIO, bool]]:
        """Yield (row of RECORD, content, whether it is executable) for each file to install.

        `installer` uses only the path of the row, and computes a new hash and size.

        Raises:
            LayerError: if a file is not what RECORD says, or nothing that a wheel may hold.
        """
        seen = set()
        for info in self._archive.infolist():
            if info.is_dir():
                continue
            path = checked_path(info.filename, self._name)
            mode = info.external_attr >> 16
            self._check_mode(path, mode)
            if path in seen:
                raise LayerError(f"{self._name}: {path} is in the wheel twice")
            seen.add(path)
            data = self._archive.read(info)
            if path not in [f"{self.dist_info_dir}/{name}" for name in _UNRECORDED]:
                self._check_recorded(path, data)
            self._check_scheme(path)
            if not self._replaced(path):
                yield (path, "", ""), io.BytesIO(data), bool(mode & 0o111)
        missing = sorted(set(self._record) - seen)
        if missing:
            raise LayerError(f"{self._name}: RECORD names {missing[0]}, which the wheel lacks")

    def _replaced(self, path: str) -> bool:
        """Return whether the image has its own file in place of ``path``."""
        # Bytecode is compiled during the build, by the image's own Python.
        compiled = "__pycache__" in path.split("/")[:-1]
        return compiled or path == f"{self.dist_info_dir}/INSTALLER"

    def _info_folder(self) -> str:
        folders = {
            path.partition("/")[0]
            for path in self._archive.namelist()
            if path.partition("/")[2] == "RECORD" and path.endswith(".dist-info/RECORD")
        }
        if len(folders) != 1:
            raise LayerError(
                f"{self._name}: a wheel has one *.dist-info/RECORD, this has {len(folders)}"
            )
        folder = folders.pop()
        if "-" not in folder.removesuffix(".dist-info"):
            raise LayerError(f"{self._name}: {folder} must be named NAME-VERSION.dist-info")
        return folder

    def _read_record(self) -> dict[str, str]:
        """Return the hashes in RECORD by path, in its notation (``sha256=…``, or empty)."""
        text = self.read_dist_info("RECORD")
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
        if any(len(row) < 2 for row in rows):
            raise LayerError(f"{self._name}: RECORD has a line without a hash column")
        return {row[0]: row[1] for row in rows}

    def _check_mode(self, path: str, mode: int) -> None:
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise LayerError(
                f"{self._name}: {path} is not a regular file; a wheel has only such files"
            )
        if mode & 0o6000:
            raise LayerError(
                f"{self._name}: {path} is setuid or setgid ({mode & 0o7777:o}); leave it out"
            )

    def _check_recorded(self, path: str, data: bytes) -> None:
        if path not in self._record:
            raise LayerError(f"{self._name}: {path} is not in RECORD")
        algorithm, _, recorded = self._record[path].partition("=")
        if algorithm not in _ALGORITHMS:
            raise LayerError(
                f"{self._name}: RECORD has {self._record[path]!r} for {path}; it must be a hash by "
                f"one of {', '.join(_ALGORITHMS)}"
            )
        digest = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest())
        if digest.rstrip(b"=").decode() != recorded:
            raise LayerError(
                f"{self._name}: {path} does not have the hash in RECORD; fetch it again"
            )

    def _check_scheme(self, path: str) -> None:
        """Check what `installer` 1.1 does not: it never returns if the data folder is a file."""
        top, _, rest = path.partition("/")
        scheme, _, inner = rest.partition("/")
        if top == self.data_dir and (scheme not in SCHEME_NAMES or not inner):
            raise LayerError(f"{self._name}: {path}: {scheme!r} is not a wheel scheme")
