"""Installs wheels in one site-packages folder, checking each file against its wheel's RECORD.

The format is defined in the binary distribution format specification (wheel 1.x).
"""

import base64
import csv
import hashlib
import io
import stat
import zipfile
import zlib
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path

import image_python
from console_scripts import python_script, scripts_of
from layer_error import LayerError
from tar_writer import Layer, checked_path

SITE = f"usr/local/lib/{image_python.NAME}/dist-packages"
BIN = "usr/local/bin"
_PREFIX = "usr/local"
_ALGORITHMS = ("sha256", "sha384", "sha512")
# RECORD cannot contain its own hash, nor those of its signatures.
_UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")


def add_wheels(layer: Layer, wheels: Iterable[Path], *, scripts: bool) -> None:
    """Add the files of each wheel, and its scripts if ``scripts`` is true.

    Raises:
        LayerError: if a wheel is broken, or two wheels have different content for a file.
    """
    for path in sorted(wheels, key=lambda path: path.name):
        try:
            with zipfile.ZipFile(path) as wheel:
                _add_wheel(layer, wheel, path.name, scripts=scripts)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise LayerError(f"{path.name}: it is not a whole wheel ({error})") from error


def _add_wheel(layer: Layer, wheel: zipfile.ZipFile, name: str, *, scripts: bool) -> None:
    info_folder = _info_folder(wheel, name)
    _check_version(wheel, name, info_folder)
    record = _record(wheel, name, info_folder)
    seen = set()
    for info in wheel.infolist():
        if info.is_dir():
            continue
        path = checked_path(info.filename, name)
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise LayerError(f"{name}: {path} is not a plain file; a wheel holds nothing else")
        if path in seen:
            raise LayerError(f"{name}: {path} is there twice")
        seen.add(path)
        data = wheel.read(info)
        if path.rpartition("/")[2] not in _UNRECORDED or path.count("/") != 1:
            _check_recorded(record, path, data, name)
        place = _place(path, name, info_folder, scripts=scripts)
        if place is not None:
            if place.startswith(BIN + "/"):
                data = python_script(data)
            executable = mode & 0o111 or place.startswith(BIN + "/")
            layer.file(place, data, name, mode & 0o6000 | (0o755 if executable else 0o644))
    missing = sorted(set(record) - seen)
    if missing:
        raise LayerError(f"{name}: RECORD names {missing[0]}, which the wheel lacks")
    entry_points = f"{info_folder}/entry_points.txt"
    if scripts and entry_points in seen:
        text = wheel.read(entry_points).decode()
        for program, script in scripts_of(text, name).items():
            layer.file(f"{BIN}/{program}", script, name, 0o755)


def _info_folder(wheel: zipfile.ZipFile, name: str) -> str:
    folders = {
        path.partition("/")[0]
        for path in wheel.namelist()
        if path.partition("/")[2] == "RECORD" and path.endswith(".dist-info/RECORD")
    }
    if len(folders) != 1:
        raise LayerError(f"{name}: a wheel has one *.dist-info/RECORD, this has {len(folders)}")
    return folders.pop()


def _check_version(wheel: zipfile.ZipFile, name: str, info_folder: str) -> None:
    path = f"{info_folder}/WHEEL"
    text = wheel.read(path).decode() if path in wheel.namelist() else ""
    # "The same basic key: value format" as METADATA, which is that of e-mail headers.
    version = HeaderParser().parsestr(text).get("Wheel-Version", "")
    if version.partition(".")[0] != "1":
        raise LayerError(f"{name}: Wheel-Version is {version!r}; only 1.x is known here")


def _record(wheel: zipfile.ZipFile, name: str, info_folder: str) -> dict[str, str]:
    """Return the hashes in RECORD by path, in its notation (``sha256=…``, or empty)."""
    text = wheel.read(f"{info_folder}/RECORD").decode()
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if any(len(row) < 2 for row in rows):
        raise LayerError(f"{name}: RECORD has a line without a hash column")
    return {row[0]: row[1] for row in rows}


def _check_recorded(record: dict[str, str], path: str, data: bytes, name: str) -> None:
    if path not in record:
        raise LayerError(f"{name}: {path} is not in RECORD")
    algorithm, _, recorded = record[path].partition("=")
    if algorithm not in _ALGORITHMS:
        raise LayerError(
            f"{name}: RECORD has {record[path]!r} for {path}; it must be a hash by one of "
            f"{', '.join(_ALGORITHMS)}"
        )
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest())
    if digest.rstrip(b"=").decode() != recorded:
        raise LayerError(f"{name}: {path} has not the hash that RECORD names; fetch it again")


def _place(path: str, name: str, info_folder: str, *, scripts: bool) -> str | None:
    """Return the place in the image for ``path`` of a wheel, or None if the image leaves it out."""
    if "__pycache__/" in path:
        return None  # Bytecode is compiled during the build, by the image's own Python.
    distribution = info_folder.removesuffix(".dist-info")
    top, _, rest = path.partition("/")
    if top != f"{distribution}.data":
        return f"{SITE}/{path}"
    scheme, _, inner = rest.partition("/")
    match scheme:
        case "purelib" | "platlib":
            return f"{SITE}/{inner}"
        case "scripts":
            return f"{BIN}/{inner}" if scripts else None
        case "data":
            return f"{_PREFIX}/{inner}"
        case "headers":
            return f"{_PREFIX}/include/{image_python.NAME}/{distribution.partition('-')[0]}/{inner}"
    raise LayerError(f"{name}: {path}: {scheme!r} is no scheme of a wheel")
