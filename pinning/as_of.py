"""The time as of which a pin's packages are chosen, and the packages that may be newer."""

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

from pinning.errors import PinError
from pinning.index import File, project_files

# Stands for every package in place of a name, as in pip's --no-binary.
ALL = ":all:"
# A package name (PEP 508).
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
# The files of one release are uploaded one after another, within this time.
_TOGETHER = timedelta(days=1)
# A package that every Synapse requires.
_NEEDED = "twisted"
_HINT = re.compile(r"`([^`]+)` was filtered by `exclude-newer`")


def stamp(time: datetime) -> str:
    """Format ``time`` in UTC, rounded up to whole seconds."""
    time = time.astimezone(UTC)
    return (time + timedelta(microseconds=-time.microsecond % 1_000_000)).strftime(_FORMAT)


def now() -> str:
    """Return the current time."""
    return stamp(datetime.now(UTC))


def uploaded(file: File) -> datetime | None:
    """Return a file's upload time according to the index (PEP 700), or None if it has none."""
    text = file.get("upload-time")
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def release_time(file: File) -> str:
    """Return the upload time of a release's sdist, or "" if the index does not provide it."""
    time = uploaded(file)
    return stamp(time) if time else ""


def version_of(file: File) -> Version | None:
    """Return the version in a file's name, or None if it is neither a wheel nor an sdist."""
    try:
        if file["filename"].endswith(".whl"):
            return parse_wheel_filename(file["filename"])[1]
        return parse_sdist_filename(file["filename"])[1]
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None


def newer_names(names: Sequence[str]) -> list[str]:
    """Return the normalized names passed with ``--newer``.

    Raises:
        PinError: if a name is not a valid package name, or the index does not have the package.
    """
    checked = []
    for name in names:
        if name == ALL:
            checked.append(name)
            continue
        if not _NAME.fullmatch(name):
            raise PinError(
                f"--newer={name}: not the name of a package; give a name such as cryptography, "
                f"or {ALL} for every package"
            )
        checked.append(str(canonicalize_name(name)))
        try:
            project_files(checked[-1])
        except PinError as error:
            raise PinError(f"--newer={name}: {error}") from None
    return checked


def _tells(name: str) -> bool:
    """Tell whether the index has the upload time of every file of a package."""
    return all(uploaded(file) for file in project_files(name))


@dataclass(frozen=True)
class AsOf:
    """The cutoff time of packages; files that were uploaded later are ignored.

    All times are RFC 3339, in UTC.

    Attributes:
        time: the time of the source.
        newer: the later time of each package named by ``--newer``, by normalized name or `ALL`.
        first_wheels: the later time of each package that had no wheel for the image's Python at
            the time of the source: that of its first release with such a wheel.
    """

    time: str
    newer: Mapping[str, str] = field(default_factory=dict)
    first_wheels: Mapping[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """Return the cutoff time of a package, given its normalized name."""
        times = [self.newer.get(ALL, ""), self.newer.get(name, ""), self.first_wheels.get(name, "")]
        return max([self.time, *times])

    def counts(self, name: str, file: File) -> bool:
        """Tell whether a file on the index was uploaded before the package's cutoff time.

        A file without an upload time counts.
        """
        time = uploaded(file)
        return time is None or time < datetime.fromisoformat(self.of(name))

    def options(self) -> Iterator[str]:
        """Yield the equivalent arguments of uv."""
        # With --exclude-newer, uv ignores files that have no upload time.
        if ALL not in self.newer or _tells(_NEEDED):
            yield f"--exclude-newer={self.newer.get(ALL, self.time)}"
        for name in sorted((self.newer.keys() | self.first_wheels.keys()) - {ALL}):
            # A package named by --newer can also come from an index without upload times.
            yield f"--exclude-newer-package={name}={self.of(name) if _tells(name) else 'false'}"

    def with_first_wheel(self, name: str, tags: Mapping[Tag, int]) -> "AsOf | None":
        """Return a copy whose time for ``name`` is that of its next release with a wheel.

        Args:
            name: the package.
            tags: the wheel tags that the image's Python supports.

        Returns:
            The copy, or None if no later release has such a wheel.
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
        """Return uv's error message with an explanation of the cutoff time.

        Raises:
            PinError: if uv failed because the index does not provide upload times.
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
