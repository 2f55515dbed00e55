"""Chooses, from the files that a lock allows, the one to use on each architecture."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from pinning.as_of import AsOf, version_of
from pinning.errors import PinError
from pinning.index import File, project_files

# Debian's name of an architecture -> its name in wheel tags.
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Target:
    """The interpreter that will import the files.

    Attributes:
        python: its version, such as (3, 13).
        architecture: Debian's name of the architecture.
        glibc: the minor version of its glibc 2.x, the newest that a wheel may require.
    """

    python: tuple[int, int]
    architecture: str
    glibc: int = 36

    def tags(self) -> list[Tag]:
        """Return the wheel tags that this interpreter supports, best first (PEP 425, 600)."""
        machine = MACHINES[self.architecture]
        platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(self.glibc, 4, -1)]
        old = ["manylinux2014", "manylinux2010", "manylinux1", "linux"]
        platforms += [f"{name}_{machine}" for name in old]
        abi = f"cp{self.python[0]}{self.python[1]}"
        return [
            *cpython_tags(self.python, abis=[abi], platforms=platforms),
            *compatible_tags(self.python, interpreter=abi, platforms=platforms),
        ]


def locked(text: str) -> Iterator[tuple[str, str, set[str]]]:
    """Yield (normalized name, version, sha256 of every file) for each entry of a lock."""
    for line in text.replace("\\\n", " ").splitlines():
        if "==" not in line or line.lstrip().startswith("#"):
            continue
        requirement, *options = line.partition("#")[0].split()
        name, _, version = requirement.partition(";")[0].partition("==")
        prefix = "--hash=sha256:"
        hashes = {option[len(prefix) :] for option in options if option.startswith(prefix)}
        yield str(canonicalize_name(name)), version, hashes


def versions(text: str) -> dict[str, str]:
    """Return the versions in a lock by normalized name."""
    return {name: version for name, version, _ in locked(text)}


@cache
def tag_order(target: Target) -> dict[Tag, int]:
    return {tag: rank for rank, tag in enumerate(target.tags())}


def choose(files: Sequence[File], target: Target) -> File | None:
    """Return the best wheel for ``target``, or the sdist if no wheel fits, or None."""
    order = tag_order(target)
    best: tuple[int, File] | None = None
    for file in files:
        if not file["filename"].endswith(".whl"):
            continue
        tags = parse_wheel_filename(file["filename"])[3]
        places = [order[tag] for tag in tags if tag in order]
        if places and (best is None or min(places) < best[0]):
            best = (min(places), file)
    if best:
        return best[1]
    return next((file for file in files if file["filename"].endswith(".tar.gz")), None)


def is_wheel(file: File | None) -> bool:
    """Tell whether ``file`` is a wheel."""
    return file is not None and file["filename"].endswith(".whl")


def without_wheel(text: str, target: Target, as_of: AsOf) -> set[str]:
    """Return the names of entries whose release has Linux wheels, but none for ``target``.

    The files are looked up on the index, because uv does not lock the hashes of wheels that are
    only for other Python versions.
    """
    names = set()
    for name, locked_version, _ in release_files(text):
        version = Version(locked_version)
        files = [
            file
            for file in project_files(name)
            if version_of(file) == version and as_of.counts(name, file)
        ]
        chosen = choose(files, target)
        # Wheels for other systems do not count: psycopg2 has some for Windows only.
        some = any(
            file["filename"].endswith(".whl") and "linux" in file["filename"] for file in files
        )
        if some and not is_wheel(chosen):
            names.add(name)
    return names


def release_files(text: str) -> list[tuple[str, str, list[File]]]:
    """Return (name, version, index files whose hash is locked) for each entry of a lock.

    Raises:
        PinError: if the index has no file with a locked hash for an entry.
    """
    entries = list(locked(text))
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(project_files, [name for name, _, _ in entries]))
    result = []
    for (name, version, hashes), page in zip(entries, pages, strict=True):
        files = [file for file in page if file["hashes"].get("sha256") in hashes]
        if not files:
            raise PinError(f"{name}=={version}: the index has no file with a locked hash")
        result.append((name, version, files))
    return result


def chosen_files(
    text: str,
    targets: Sequence[Target],
    folder: str,
    sdists: str,
    only: Sequence[str] | None = None,
) -> list[File]:
    """Return the entries of files.lock.json for a lock: one per file, with its architectures.

    Args:
        text: the lock.
        targets: one target for each architecture.
        folder: the folder for wheels.
        sdists: the folder for sdists to compile.
        only: the names of the packages to include, or None for all.

    Raises:
        PinError: if a package has neither a wheel for a target nor an sdist.
    """
    result: list[File] = []
    for name, version, files in release_files(text):
        if only is not None and name not in only:
            continue
        entry_by_file: dict[str, File] = {}
        for target in targets:
            file = choose(files, target)
            if file is None:
                names = ", ".join(file["filename"] for file in files)
                raise PinError(
                    f"{name}=={version} has neither a wheel for {target.architecture} nor a "
                    f".tar.gz; the index has {names}"
                )
            entry = entry_by_file.setdefault(
                file["filename"],
                {
                    "architectures": [],
                    "filename": file["filename"],
                    "folder": folder if file["filename"].endswith(".whl") else sdists,
                    "name": name,
                    "sha256": file["hashes"]["sha256"],
                    "version": version,
                },
            )
            entry["architectures"].append(target.architecture)
        result += entry_by_file.values()
    return result


def files_document(files: Sequence[File], command: str) -> str:
    """Return the text of files.lock.json, with the files sorted."""
    ordered = sorted(files, key=lambda file: (file["folder"], file["name"], file["filename"]))
    return json.dumps({"//": f"Made by: {command}", "files": ordered}, indent=1) + "\n"
