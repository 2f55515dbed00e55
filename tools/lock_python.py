"""Resolves Python requirements with uv and writes both locks: all hashes, and the chosen files."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

_ACCEPT = "application/vnd.pypi.simple.v1+json"
_PIN = "config/pins/element-hq_synapse_master/"


@dataclass(frozen=True)
class Target:
    """The interpreter that will import the files."""

    python: tuple[int, int]
    platforms: tuple[str, ...] = tuple(
        [f"manylinux_2_{minor}_x86_64" for minor in range(36, 4, -1)]
        + ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]
    )

    def tags(self) -> list[Tag]:
        """Return the tags of wheels that this interpreter takes, best first (PEP 425)."""
        abi = f"cp{self.python[0]}{self.python[1]}"
        return [
            *cpython_tags(self.python, abis=[abi], platforms=self.platforms),
            *compatible_tags(self.python, interpreter=abi, platforms=self.platforms),
        ]


def index_address() -> str:
    """Return the address of the index as pip on this machine knows it."""
    named = os.environ.get("PIP_INDEX_URL")
    if named:
        return named.rstrip("/")
    command = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    done = subprocess.run(
        ["python3", "-I", "-c", command], text=True, capture_output=True, check=False
    )
    if done.returncode:
        sys.exit("error: no Python package index is known: install pip, or set PIP_INDEX_URL")
    return done.stdout.strip().rstrip("/")


def compile_lock(source: Path, lock: Path, target: Target, leave_out: Sequence[str]) -> None:
    """Let uv resolve ``source`` into ``lock``, with the hashes of every file of each release."""
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("error: uv is not on PATH; run: python3 -m pip install uv")
    command = [uv, "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--upgrade"]
    command += ["--python-version", ".".join(map(str, target.python))]
    command += ["--python-platform", "x86_64-manylinux_2_28"]
    for name in leave_out:
        command += ["--no-emit-package", name]
    done = subprocess.run([*command, source], text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"error: {source}: uv cannot resolve it:\n{done.stderr.strip()}")
    header = f"# Made from {source.name} by: ./bazelw run //tools:lock_python\n"
    lock.write_text(header + done.stdout)


def locked(lock: Path) -> Iterator[tuple[str, str, set[str]]]:
    """Yield (normalised name, version, sha256 of every file) for each entry of ``lock``."""
    text = lock.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if "==" not in line or line.lstrip().startswith("#"):
            continue
        requirement, *options = line.split()
        name, _, version = requirement.partition("==")
        prefix = "--hash=sha256:"
        hashes = {option[len(prefix) :] for option in options if option.startswith(prefix)}
        yield canonicalize_name(name), version, hashes


def choose(files: list[dict[str, Any]], target: Target) -> dict[str, Any]:
    """Return the best wheel for ``target``, or the sdist where no wheel fits."""
    order = {tag: place for place, tag in enumerate(target.tags())}
    best: tuple[int, dict[str, Any]] | None = None
    for file in files:
        if not file["filename"].endswith(".whl"):
            continue
        tags = parse_wheel_filename(file["filename"])[3]
        places = [order[tag] for tag in tags if tag in order]
        if places and (best is None or min(places) < best[0]):
            best = (min(places), file)
    if best:
        return best[1]
    for file in files:
        if file["filename"].endswith(".tar.gz"):
            return file
    sys.exit(f"error: no usable file among {[file['filename'] for file in files]}")


def chosen_files(lock: Path, target: Target, index: str, folder: str) -> list[dict[str, str]]:
    """Return one entry per project of ``lock``: the file that ``target`` gets."""
    result = []
    for name, version, hashes in locked(lock):
        request = urllib.request.Request(f"{index}/{name}/", headers={"Accept": _ACCEPT})
        with urllib.request.urlopen(request, timeout=60) as answer:
            page = json.load(answer)
        files = [file for file in page["files"] if file["hashes"].get("sha256") in hashes]
        if not files:
            sys.exit(f"error: {name}=={version}: the index has no file with a locked hash")
        file = choose(files, target)
        result.append(
            {
                "filename": file["filename"],
                "folder": folder if file["filename"].endswith(".whl") else "sdists",
                "name": name,
                "sha256": file["hashes"]["sha256"],
                "version": version,
            }
        )
        print(f"  {file['filename']}")
    return result


def write_files(target: Path, files: list[dict[str, str]]) -> None:
    """Write the lock of chosen files."""
    ordered = sorted(files, key=lambda file: (file["folder"], file["name"]))
    document = {"//": "Made by: ./bazelw run //tools:lock_python", "files": ordered}
    target.write_text(json.dumps(document, indent=1) + "\n")


def main(argv: Sequence[str]) -> int:
    """Write the locks of this repository's own Python or of the pin; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["tools", "pin"])
    parser.add_argument("--keep", action="store_true", help="choose files anew, resolve nothing")
    options = parser.parse_args(argv)
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    index = index_address()

    def lock(name: str, folder: str, target: Target, *leave_out: str) -> list[dict[str, str]]:
        source = workspace / f"{name}.in"
        result = source.with_name(f"{source.stem}_lock.txt")
        if not options.keep:
            compile_lock(source, result, target, leave_out)
        return chosen_files(result, target, index, folder)

    if options.what == "tools":
        files = lock("requirements", "wheels", Target((3, 14)))
        write_files(workspace / "requirements.lock.json", files)
    else:
        image = Target((3, 13))
        files = lock(_PIN + "requirements", "wheels", image, "matrix-synapse")
        files += lock(_PIN + "build_requirements", "build_wheels", image)
        write_files(workspace / _PIN / "files.lock.json", files)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
