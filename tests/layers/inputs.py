"""Helpers that write minimal .deb files and wheels, valid or invalid."""

import hashlib
import io
import tarfile
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

CONTROL = "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n"


def member(name: str, data: bytes = b"", *, mode: int = 0o644, **fields: object) -> tarfile.TarInfo:
    """Return a tar member; ``fields`` are attributes of TarInfo, ``data`` is in ``pax_headers``."""
    info = tarfile.TarInfo(name)
    info.mode, info.size = mode, len(data)
    info.pax_headers = {"comment": data.decode("latin-1")}  # Passes the content to make_deb.
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def _tar(members: list[tarfile.TarInfo]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:xz", format=tarfile.GNU_FORMAT) as archive:
        for info in members:
            archive.addfile(info, io.BytesIO(info.pax_headers["comment"].encode("latin-1")))
    return raw.getvalue()


def _ar_member(name: str, data: bytes) -> bytes:
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
    return header.encode() + data + b"\n" * (len(data) % 2)


def make_deb(
    folder: Path, members: list[tarfile.TarInfo], name: str = "tiny", text: str = CONTROL
) -> Path:
    """Write a package as in deb(5), without dpkg, which would refuse invalid ones.

    ``text`` is its control file, in which ``{name}`` stands for the name.
    """
    control = [member("./control", text.format(name=name).encode())]
    sums = "".join(
        f"{hashlib.md5(info.pax_headers['comment'].encode('latin-1')).hexdigest()}  "
        f"{info.name.removeprefix('./')}\n"
        for info in members
        if info.isreg()
    )
    control.append(member("./md5sums", sums.encode()))
    path = folder / f"{name}_1_all.deb"
    path.write_bytes(
        b"!<arch>\n"
        + _ar_member("debian-binary", b"2.0\n")
        + _ar_member("control.tar.xz", _tar(control))
        + _ar_member("data.tar.xz", _tar(members))
    )
    return path


def make_wheel(
    folder: Path,
    name: str,
    files: dict[str, str],
    *,
    record: dict[str, str] | None = None,
    modes: dict[str, int] | None = None,
    fields: str = "Wheel-Version: 1.0\n",
) -> Path:
    """Write a wheel whose file WHEEL is ``fields``.

    ``record`` overrides a file's hash in RECORD, and "-" drops its line.
    """
    path = folder / f"{name}-1-py3-none-any.whl"
    info = f"{name}-1.dist-info"
    content = {**files, f"{info}/WHEEL": fields}
    rows = [f"{info}/RECORD,,\n"]
    with zipfile.ZipFile(path, "w") as wheel:
        for place, text in content.items():
            entry = zipfile.ZipInfo(place)
            entry.external_attr = (modes or {}).get(place, 0o100644) << 16
            wheel.writestr(entry, text)
            digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
            said = (record or {}).get(place, f"sha256={digest.decode()}")
            if said != "-":
                rows.append(f"{place},{said},{len(text)}\n")
        rows += [
            f"{place},{said},1\n" for place, said in (record or {}).items() if place not in content
        ]
        wheel.writestr(f"{info}/RECORD", "".join(rows))
    return path
