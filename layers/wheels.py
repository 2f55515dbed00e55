"""Lays wheels into one site-packages folder, checked against their own RECORD.

Format: the binary distribution format specification (wheel 1.0).
"""

import base64
import configparser
import csv
import hashlib
import io
import zipfile
from pathlib import Path

from tar_writer import Layer

SITE = "usr/local/lib/python3.13/dist-packages"
_SCRIPT = """\
#!/usr/bin/python3 -I
import sys

from {module} import {top}

sys.exit({call}())
"""


def _record(wheel: zipfile.ZipFile, name: str) -> dict[str, str]:
    # At the top: a wheel may carry the metadata of what it vendors further down.
    names = [entry for entry in wheel.namelist() if entry.count("/") == 1]
    records = [entry for entry in names if entry.endswith(".dist-info/RECORD")]
    if len(records) != 1:
        raise ValueError(f"{name}: a wheel has one RECORD, this has {len(records)}")
    rows = csv.reader(io.StringIO(wheel.read(records[0]).decode()))
    return {row[0]: row[1] for row in rows if len(row) > 1}


def _placed(path: str, name: str) -> str | None:
    """Return where ``path`` of a wheel goes, or None for what the image leaves out."""
    top, _, rest = path.partition("/")
    if not top.endswith(".data"):
        return f"{SITE}/{path}"
    scheme, _, inner = rest.partition("/")
    if scheme in ("purelib", "platlib"):
        return f"{SITE}/{inner}"
    if scheme in ("scripts", "headers", "data"):
        return None  # Programs of libraries, headers and manual pages: nothing imports them.
    raise ValueError(f"{name}: {path}: unknown scheme {scheme}")


def add_wheel(layer: Layer, path: Path, *, scripts: bool) -> None:
    """Add the files of the wheel at ``path``, and its console scripts when ``scripts``.

    Raises:
        ValueError: when a file is not what RECORD says.
    """
    with zipfile.ZipFile(path) as wheel:
        record = _record(wheel, path.name)
        for info in wheel.infolist():
            if info.is_dir():
                continue
            data = wheel.read(info)
            recorded = record.get(info.filename, "")
            if recorded.startswith("sha256="):
                digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
                if recorded != "sha256=" + digest.decode():
                    raise ValueError(
                        f"{path.name}: {info.filename} has not the hash that RECORD names"
                    )
            place = _placed(info.filename, path.name)
            if place is not None:
                mode = 0o755 if place.endswith(".so") else 0o644
                layer.file(place, data, path.name, mode)
            if scripts and info.filename.endswith(".dist-info/entry_points.txt"):
                _add_scripts(layer, data.decode(), path.name)


def _add_scripts(layer: Layer, text: str, source: str) -> None:
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    if not parser.has_section("console_scripts"):
        return
    for name, target in parser.items("console_scripts"):
        module, _, call = target.partition(":")
        script = _SCRIPT.format(module=module, top=call.partition(".")[0], call=call)
        layer.file(f"usr/local/bin/{name}", script.encode(), source, 0o755)
