"""The time as of which a pin's packages are chosen, and what may be newer than it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from packaging.tags import Tag
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from tools.pinning.errors import PinError
from tools.pinning.index import File, project_files

# In place of a package's name, as pip's --no-binary has it: every package.
ALL = ":all:"
# PEP 508.
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
# The files of one release are uploaded one after the other.
_TOGETHER = timedelta(days=1)
# By every Synapse.
_NEEDED = "twisted"
_HINT = re.compile(r"`([^`]+)` was filtered by `exclude-newer`")


def stamp(time: datetime) -> str:
    """Return ``time`` in UTC, in whole seconds, none of them cut off."""
    time = time.astimezone(UTC)
    return (time + timedelta(microseconds=-time.microsecond % 1_000_000)).strftime(_FORMAT)


def now() -> str:
    """Return the time of this moment."""
    return stamp(datetime.now(UTC))


def uploaded(file: File) -> datetime | None:
    """Return when the index says that a file was uploaded (PEP 700), or None when it does not."""
    text = file.get("upload-time")
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def release_time(file: File) -> str:
    """Return when the sdist of a release was uploaded, or "" when the index does not say it."""
    time = uploaded(file)
    return stamp(time) if time else ""


def version_of(file: File) -> Version | None:
    """Return the version that a file's name says, or None for another kind of file."""
    try:
        if file["filename"].endswith(".whl"):
            return parse_wheel_filename(file["filename"])[1]
        return parse_sdist_filename(file["filename"])[1]
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None


def newer_names(names: Sequence[str]) -> list[str]:
    """Return the normalised names of ``--newer``.

    Raises:
        PinError: for one that is not a package's name, or that the index does not have.
    """
    found = []
    for name in names:
        if name == ALL:
            found.append(name)
            continue
        if not _NAME.fullmatch(name):
            raise PinError(
                f"--newer={name}: not the name of a package; give a name such as cryptography, "
                f"or {ALL} for every package"
            )
        found.append(str(canonicalize_name(name)))
        try:
            project_files(found[-1])
        except PinError as error:
            raise PinError(f"--newer={name}: {error}") from None
    return found


def _tells(name: str) -> bool:
    """Whether the index says of every file of a package when it was uploaded."""
    return all(uploaded(file) for file in project_files(name))


@dataclass(frozen=True)
class AsOf:
    """Until when files count; what was uploaded later does not exist.

    Attributes:
        time: of the source.  All times are RFC 3339, in UTC.
        newer: the later time of each package named by ``--newer``, by normalised name or `ALL`.
        first_wheels: the later time of each package that had no wheel for the image's Python at
            the time of the source: that of its first release that has one.
    """

    time: str
    newer: Mapping[str, str] = field(default_factory=dict)
    first_wheels: Mapping[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """Return the time that holds for a package, by its normalised name."""
        times = [self.newer.get(ALL, ""), self.newer.get(name, ""), self.first_wheels.get(name, "")]
        return max([self.time, *times])

    def counts(self, name: str, file: File) -> bool:
        """Whether a file of the index had been uploaded by then."""
        time = uploaded(file)
        return time is None or time < datetime.fromisoformat(self.of(name))

    def options(self) -> Iterator[str]:
        """Yield the arguments of uv that say the same."""
        # uv leaves out what has no time.
        if ALL not in self.newer or _tells(_NEEDED):
            yield f"--exclude-newer={self.newer.get(ALL, self.time)}"
        for name in sorted((self.newer.keys() | self.first_wheels.keys()) - {ALL}):
            # A package that was named is taken from an index without times, too.
            yield f"--exclude-newer-package={name}={self.of(name) if _tells(name) else 'false'}"

    def with_first_wheel(self, name: str, tags: Mapping[Tag, int]) -> "AsOf | None":
        """Return this with a later time for ``name``, when its next release with a wheel came.

        Args:
            name: the package.
            tags: of the wheels that the image's Python takes.

        Returns:
            None when there is no later release with such a wheel.
        """
        files = []
        for file in project_files(name):
            version, time = version_of(file), uploaded(file)
            released = version is not None and not version.is_prerelease and not file.get("yanked")
            if released and time is not None:
                files.append((time, version, file))
        files.sort(key=lambda row: row[0])
        for time, version, file in files:
            if self.counts(name, file) or not file["filename"].endswith(".whl"):
                continue
            if parse_wheel_filename(file["filename"])[3] & tags.keys():
                last = max(
                    when for when, of, _ in files if of == version and when < time + _TOGETHER
                )
                later = {**self.first_wheels, name: stamp(last + timedelta(seconds=1))}
                return replace(self, first_wheels=later)
        return None

    def explain(self, words: str) -> str:
        """Return what uv said, with what this had to do with it.

        Raises:
            PinError: when the index does not say when files were uploaded.
        """
        for name in _HINT.findall(words):
            if not _tells(str(canonicalize_name(name))):
                raise PinError(
                    f"the package index does not say when the files of {name} were uploaded "
                    f"(PEP 700), so it cannot be taken as of {self.time}; name an index that does "
                    f"with PIP_INDEX_URL, or take its newest version with --newer {name} "
                    f"({ALL} for every package)"
                )
        return (
            f"{words}\nPackages are taken as of {self.time}, the time of the source; --newer "
            "PACKAGE takes a newer one"
        )
