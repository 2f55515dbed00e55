"""Two builds of small sources under different circumstances produce identical wheels.

The tool and the build root are those used for Synapse, but the sources build in seconds. The
builds differ in path, clock, time zone, umask, home folder (with its cargo settings) and number of
CPUs.
"""

import hashlib
import io
import os
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path.cwd()
_RUST = {
    "pyproject.toml": """\
[build-system]
requires = ["maturin"]
build-backend = "maturin"

[project]
name = "small"
version = "1"

[tool.maturin]
bindings = "bin"
""",
    "Cargo.toml": """\
[package]
name = "small"
version = "1.0.0"
edition = "2021"

[profile.release]
debug = true
""",
    "src/main.rs": """\
fn main() {
    println!("{} {}", env!("CARGO_MANIFEST_DIR"), file!());
    let first: usize = std::env::args().nth(1).unwrap().parse().expect("a number");
    println!("{}", [1, 2, 3][first]);
}
""",
}
_C = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
""",
    "setup.py": """\
from setuptools import Extension, setup

setup(name="plain", version="1", ext_modules=[Extension("plain", ["plain.c"])])
""",
    "plain.c": """\
#include <Python.h>

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "plain", __FILE__ " " __DATE__ " " __TIME__};

PyMODINIT_FUNC PyInit_plain(void) { return PyModule_Create(&module); }
""",
}
_SOURCES = {"small-1.tar.gz": _RUST, "plain-1.tar.gz": _C}


def write_sdist(path: Path, files: Mapping[str, str]) -> None:
    """Write a source distribution that contains ``files``, a mapping of path to text."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))


def build(work: Path, cpus: set[int], umask: int, **environ: str) -> dict[str, bytes]:
    """Build the sources in ``work`` with the build root's tools; return the wheels by file name."""
    work.mkdir(parents=True)
    crates = work / "pin/crates.json"
    (crates.parent / "vendor").mkdir(parents=True)
    crates.write_text("[]\n")
    (work / "build_wheels.py").write_bytes((HERE / os.environ["TOOL"]).read_bytes())
    command: list[str | Path] = [HERE / os.environ["ENTER"], "--stamp", HERE / os.environ["STAMP"]]
    command += ["--", "build_wheels.py", "--output-folder=wheels", "--crates=pin/crates.json"]
    for wheel in map(Path, os.environ["BACKENDS"].split()):
        (work / wheel.name).write_bytes(wheel.read_bytes())
        command.append(f"--backend={wheel.name}")
    for sdist, files in _SOURCES.items():
        write_sdist(work / sdist, files)
        command.append(f"--sdist={sdist}")
    all_cpus, usual = os.sched_getaffinity(0), os.umask(umask)
    try:
        os.sched_setaffinity(0, cpus)
        done = subprocess.run(
            command, cwd=work, env=os.environ | environ, text=True, capture_output=True, check=False
        )
    finally:
        os.sched_setaffinity(0, all_cpus)
        os.umask(usual)
    assert done.returncode == 0, done.stderr
    return {wheel.name: wheel.read_bytes() for wheel in (work / "wheels").iterdir()}


def contents(wheel: bytes) -> dict[str, str]:
    """Return the sha256 of each file in a wheel."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def test_circumstances_do_not_matter(tmp_path: Path) -> None:
    """Rust code, as in Synapse, and C code, as in dependencies without a wheel, build the same."""
    cpus = os.sched_getaffinity(0)
    first = build(tmp_path / "one", cpus, 0o022)
    time.sleep(2)  # Timestamps in a zip file have a resolution of two seconds.
    elsewhere = {"HOME": "/nowhere", "TZ": "Asia/Tokyo", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "1"}
    again = build(tmp_path / "another/folder", {min(cpus)}, 0o077, **elsewhere)
    assert sorted(name.partition("-")[0] for name in first) == ["plain", "small"]
    for name, wheel in first.items():
        files, others = contents(wheel), contents(again[name])
        differing = [path for path in files | others if files.get(path) != others.get(path)]
        assert not differing, name
        assert wheel == again[name], name
        compiled = (".so", ".data/scripts/small")
        assert any(path.endswith(compiled) for path in files), files
