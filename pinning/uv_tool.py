"""Runs uv without letting it build anything, because a build backend can do whatever the user can.

uv would have to build a release without a wheel just to learn its requirements. Instead, these are
read from the sdist and passed to uv as dependency metadata
(https://docs.astral.sh/uv/reference/settings/#dependency-metadata).
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uv
from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import Version

from pinning.errors import PinError
from pinning.index import File, index_address, project_files
from pinning.sdist_metadata import requires
from repositories.git_client import without_git
from repositories.vendor_crates import CratesError, authorities

# Matches uv's messages about packages that it would have to build.
_WANTED = re.compile(
    r"Wheels are required for `([A-Za-z0-9._-]+)"
    r"|(?<!\S)([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?(?:\{[^}]*\})?(?:[<>=!~]\S*)?"
    r" ha(?:ve|s) no usable wheels"
)
_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def _program() -> str:
    """Return the path of uv from the locked wheel, or of the uv on PATH."""
    site = Path(uv.__file__).resolve().parent.parent
    candidates = [*site.glob("uv-*.data/scripts/uv"), shutil.which("uv")]
    for path in candidates:
        if path:
            return str(path)
    raise PinError("uv is neither among the tools' packages nor on PATH")


def _environ() -> dict[str, str]:
    """Return the environment of uv, with the index and without the user's own uv variables.

    The index is not passed as an argument, because every user of the machine could read it there.
    """
    environ = {name: text for name, text in without_git(os.environ).items() if name[:3] != "UV_"}
    environ["UV_DEFAULT_INDEX"] = index_address()
    # Resolving needs no interpreter; uv would try to download one from GitHub's releases.
    environ["UV_PYTHON_DOWNLOADS"] = "never"
    try:
        environ["SSL_CERT_FILE"] = authorities(os.environ)
    except CratesError as error:
        raise PinError(str(error)) from None
    return environ


def _sdists(name: str, counts: Callable[[str, File], bool]) -> dict[Version, File]:
    """Return the sdist of each release of a project, by version."""
    sdist_by_version = {}
    for file in project_files(name):
        try:
            version = parse_sdist_filename(file["filename"])[1]
        except InvalidSdistFilename:
            continue
        if file["filename"].endswith(".tar.gz") and counts(name, file):
            sdist_by_version[version] = file
    return sdist_by_version


class _Told:
    """The dependency metadata for packages that uv would otherwise have to build.

    Args:
        counts: tells whether uv may use a file of a project.
        has_wheel: tells whether one of the files of a release is a wheel that uv can use.
    """

    def __init__(
        self,
        counts: Callable[[str, File], bool],
        has_wheel: Callable[[Sequence[File]], bool],
    ) -> None:
        self._counts, self._has_wheel = counts, has_wheel
        # Requirements by name and version; the first entry also applies to all other versions.
        self._said: dict[str, dict[str, list[str]]] = {}

    def add(self, name: str, version: str = "") -> bool:
        """Add the requirements of a release, by default the newest; return whether they are new."""
        name = canonicalize_name(name)
        said = self._said.get(name, {})
        if version in said or (said and not version):
            return False
        sdists = _sdists(name, self._counts)
        released = [one for one in sdists if not one.is_prerelease] or list(sdists)
        wanted = Version(version) if version else max(released, default=None)
        if wanted not in sdists:
            return False
        self._said.setdefault(name, {})[str(wanted)] = requires(sdists[wanted])
        return True

    def look(self, text: str) -> bool:
        """Add the metadata of releases that the lock names, or that uv may have skipped.

        Args:
            text: the lock.

        Returns:
            Whether any metadata is new, so that uv must resolve again.
        """
        entries = [(canonicalize_name(name), version) for name, version in _ENTRY.findall(text)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(project_files, [name for name, _ in entries]))
        news = False
        for name, version in entries:
            if name in self._said:
                news |= self.add(name, version)
            elif self._passed_over(name, Version(version)):
                news |= self.add(name)
        return news

    def _passed_over(self, name: str, chosen: Version) -> bool:
        for version, sdist in _sdists(name, self._counts).items():
            if version <= chosen or version.is_prerelease or sdist.get("yanked"):
                continue
            prefix = sdist["filename"].removesuffix(".tar.gz").rpartition("-")[2]
            files = [
                file
                for file in project_files(name)
                if f"-{prefix}-" in file["filename"] and self._counts(name, file)
            ]
            if not self._has_wheel(files):
                return True
        return False

    def arguments(self) -> Iterator[str]:
        """Yield the arguments of uv that prevent builds but allow the sdists described here."""
        yield from ("--only-binary", ":all:")
        for name in self._said:
            yield from ("--no-binary", name)

    def config(self) -> str:
        """Return the text of uv's configuration file."""
        text = ""
        for name, said in self._said.items():
            entries = [("", next(iter(said.values()))), *said.items()]
            for version, needs in entries:
                text += f"[[dependency-metadata]]\nname = {json.dumps(name)}\n"
                text += f"version = {json.dumps(version)}\n" if version else ""
                text += f"requires-dist = {json.dumps(needs)}\n"
        return text


def run_uv(
    arguments: Sequence[str],
    lock: Path,
    counts: Callable[[str, File], bool],
    has_wheel: Callable[[Sequence[File]], bool],
) -> str:
    """Run uv until its lock is the same as if it could build releases without wheels; return it.

    Args:
        arguments: the arguments of uv, which name ``lock`` as the output file.
        lock: the path of the lock; uv prefers versions that are already in it.
        counts: tells whether uv may use a file of a project.
        has_wheel: tells whether one of the files of a release is a wheel that uv can use.

    Raises:
        PinError: if uv cannot resolve the requirements; the message has uv's explanation.
    """
    environ = _environ()
    preferred = lock.read_bytes() if lock.exists() else b""
    config = lock.with_name("uv.toml")
    told = _Told(counts, has_wheel)
    while True:
        lock.write_bytes(preferred)
        config.write_text(told.config())
        command = [_program(), *arguments, "--no-sources", *told.arguments()]
        done = subprocess.run(
            [*command, "--config-file", str(config)],
            env=environ, text=True, capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            text = lock.read_text()
            if not told.look(text):
                return text
            continue
        names = {first or second for first, second in _WANTED.findall(done.stderr)}
        if not any([told.add(name) for name in sorted(names)]):
            words = done.stderr.strip() or "uv printed nothing"
            raise PinError(f"the requirements cannot be resolved; uv says:\n{words}")
