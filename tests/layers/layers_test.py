"""Checks the entries of the real layers with code that is independent of the writer's."""

import csv
import gzip
import hashlib
import json
import os
import posixpath
import re
import shutil
import struct
import subprocess
import tarfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

LIBRARIES = "usr/lib/x86_64-linux-gnu/"
WRITABLE = {"data", "synapse_media", "synapse_runtime"}


def entries(name: str) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Yield each entry of the layer ``name`` with its content."""
    with gzip.open(os.environ[name]) as raw, tarfile.open(fileobj=raw, mode="r|") as archive:
        for info in archive:
            file = archive.extractfile(info) if info.isreg() else None
            yield info, file.read() if file else b""


@pytest.mark.parametrize("name", ["DEBIAN", "PYTHON", "SYNAPSE", "ENTRYPOINT"])
def test_every_entry_has_the_one_clock_and_its_owner(name: str) -> None:
    """Times are 0 and owners fixed; no entry is setuid, a device, or unduly writable by all."""
    names = []
    for info, _ in entries(name):
        names.append(info.name)
        assert info.isreg() or info.isdir() or info.issym(), info.name
        assert info.mtime == 0, info.name
        assert not info.mode & 0o6000, info.name
        assert info.issym() or info.mode & 0o1002 in (0, 0o1002), info.name
        assert (info.uid, info.gid) == ((991, 991) if info.name in WRITABLE else (0, 0)), info.name
        assert (info.uname, info.gname) == ("", ""), info.name

    assert names == sorted(set(names))


@pytest.mark.parametrize("name", ["DEBIAN", "PYTHON", "SYNAPSE", "ENTRYPOINT"])
def test_every_python_file_has_bytecode_that_asks_for_nothing(name: str) -> None:
    """Bytecode cannot be written to a read-only image; without it, imports take 3 times as long."""
    sources, flags = set(), {}
    for info, data in entries(name):
        if info.name.endswith(".py") and info.isreg():
            sources.add(info.name)
        elif info.name.endswith(".pyc"):
            folder, _, file = info.name.partition("__pycache__/")
            flags[folder + file.partition(".")[0] + ".py"] = data[4:8]

    assert set(flags) == sources
    assert set(flags.values()) == {b"\x01\0\0\0"}  # PEP 552: unchecked hash.


@pytest.mark.parametrize("name", ["PYTHON", "SYNAPSE"])
def test_every_file_of_a_wheel_is_in_its_record(name: str) -> None:
    """RECORD has the hash and size of each file in the layer, scripts included, but no other."""
    files, records = {}, {}
    for info, data in entries(name):
        folder, _, file = info.name.rpartition("/")
        if info.isreg() and not file.endswith(".pyc"):
            digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            files[info.name] = [f"sha256={digest}", str(len(data))]
        # A package may have a copy of another one, with a RECORD that is a mere file.
        if re.fullmatch(r".*/dist-packages/[^/]+\.dist-info/RECORD", info.name):
            files[info.name] = ["", ""]
            site = posixpath.dirname(folder)
            for path, *row in csv.reader(data.decode().splitlines()):
                records[posixpath.normpath(posixpath.join(site, path))] = row

    assert records == files


def _soname(data: bytes) -> str | None:
    """Return the DT_SONAME of a 64-bit ELF file (System V ABI), or None."""
    if data[:5] != b"\x7fELF\x02":
        return None
    offset, size, count = (
        struct.unpack_from("<Q", data, 32)[0],
        *struct.unpack_from("<HH", data, 54),
    )
    segments = [
        struct.unpack_from("<IIQQQQ", data, offset + size * number) for number in range(count)
    ]
    dynamic = next((segment for segment in segments if segment[0] == 2), None)  # PT_DYNAMIC
    if dynamic is None:
        return None
    tags = dict(struct.iter_unpack("<QQ", data[dynamic[2] : dynamic[2] + dynamic[5] // 16 * 16]))
    if 14 not in tags:  # DT_SONAME
        return None
    strings = tags[5]  # DT_STRTAB is an address: find the segment that is mapped there.
    for kind, _, place, address, _, length in segments:
        if kind == 1 and address <= strings < address + length:
            start = strings - address + place + tags[14]
            return data[start : data.index(b"\0", start)].decode()
    return None


def _cached(data: bytes) -> dict[str, str]:
    """Return path by name in an ld.so.cache of the format glibc-ld.so.cache1.1."""
    assert data.startswith(b"glibc-ld.so.cache1.1")
    (count,) = struct.unpack_from("<I", data, 20)
    result = {}
    for number in range(count):
        _, key, value, _, _ = struct.unpack_from("<iIIIQ", data, 48 + 24 * number)
        result[data[key : data.index(b"\0", key)].decode()] = data[
            value : data.index(b"\0", value)
        ].decode()
    return result


def test_the_linker_cache_knows_every_library_and_nothing_else() -> None:
    """The cache has every library, so LD_PRELOAD=libjemalloc.so.2 works on every architecture."""
    sonames, paths, cache = set(), set(), b""
    for info, data in entries("DEBIAN"):
        paths.add(info.name)
        if info.name == "etc/ld.so.cache":
            cache = data
        elif info.name.startswith(LIBRARIES) and info.name.count("/") == LIBRARIES.count("/"):
            sonames |= {_soname(data)} - {None}
    cached = _cached(cache)

    assert sonames <= set(cached)
    assert {
        path.lstrip("/").replace("lib/", "usr/lib/", path.startswith("/lib/"))
        for path in cached.values()
    } <= paths
    assert "libjemalloc.so.2" in cached


@pytest.mark.skipif(not shutil.which("ldconfig", path="/usr/sbin:/sbin"), reason="no ldconfig here")
def test_ldconfig_reads_the_linker_cache(tmp_path: Path) -> None:
    """glibc's own ldconfig can read the cache."""
    cache = next(data for info, data in entries("DEBIAN") if info.name == "etc/ld.so.cache")
    (tmp_path / "cache").write_bytes(cache)
    ldconfig = shutil.which("ldconfig", path="/usr/sbin:/sbin")
    assert ldconfig
    printed = subprocess.run(
        [ldconfig, "-p", "-C", tmp_path / "cache"], check=True, capture_output=True, text=True
    ).stdout

    assert f"{len(_cached(cache))} libs found in cache" in printed
    assert "libpq.so.5 (libc6,x86-64) => " in printed


def test_the_sums_for_scanners_are_those_of_the_files() -> None:
    """The checksums match the files in the layer, as debsums would check."""
    files, sums = {}, {}
    for info, data in entries("DEBIAN"):
        files[info.name] = hashlib.md5(data).hexdigest()
        if info.name.endswith(".md5sums"):
            lines = data.decode().splitlines()
            sums.update(
                {
                    line[34:].replace("lib/", "usr/lib/", line[34:38] == "lib/"): line[:32]
                    for line in lines
                }
            )

    assert len(sums) > 500
    assert {path for path, md5 in sums.items() if files[path] != md5} == set()


def test_the_debian_layer_holds_these_programs_and_no_other() -> None:
    """The layer has no other programs, because an intruder could run them."""
    python = json.loads(Path(os.environ["PIN"]).read_text())["python"]
    programs = [
        info.name for info, _ in entries("DEBIAN") if "/bin/" in info.name or "/sbin/" in info.name
    ]

    assert programs == ["usr/bin/python3", f"usr/bin/python{python}", "usr/bin/xmlsec1"]


def test_modules_that_rules_python_generates_are_left_out() -> None:
    """They differ between its versions, and so would the image's digest."""
    modules = {info.name for info, _ in entries("PROGRAM") if info.name.endswith(".py")}
    folder = "usr/lib/synapse-worker"
    assert modules == {f"{folder}/__main__.py", f"{folder}/tests/layers/inputs.py"}
