"""Describes what an update of a pin changed, as lines for the administrator."""

import re
from collections.abc import Mapping
from pathlib import Path

from packaging.version import InvalidVersion, Version

from repositories.addresses import SourceError, git_address
from repositories.git_client import fetch_commit, git

_ADVISORY = re.compile(r"CVE-\d{4}-\d+|GHSA(?:-[0-9a-z]{4}){3}|ELEMENTSEC-\d{4}-\d+")
_HEADING = re.compile(r"^#+ Synapse (\S+)", re.MULTILINE)
# The modules in synapse/config that read settings for workers.
_MODULES = ("workers", "redis", "server")
_OPTION = re.compile(r"""(?:config|redis_config|listener)\.get\(\s*["'](\w+)["']""")
_WRITERS = re.compile(r"class WriterLocations.*?(?=\n\S)", re.DOTALL)
_STREAM = re.compile(r"^    (\w+): [Ll]ist\[str\]", re.MULTILINE)
_MOST = 20  # Commits shown by their subject.


def packages(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return a line for each package that was upgraded, downgraded, added, or removed."""
    lines = []
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        if was is None or now is None:
            lines.append(f"{name} {'new, ' + now if now else 'gone, was ' + str(was)}")
            continue
        try:
            way = "up" if Version(now) > Version(was) else "down"
        except InvalidVersion:
            way = "changed"
        lines.append(f"{name} {way}, {was} -> {now}")
    return lines


def advisories(changelog: str, old: str) -> list[str]:
    """Return ``version: identifiers`` for each version after ``old`` that lists advisories."""
    parts = _HEADING.split(changelog)
    lines = []
    for version, text in zip(parts[1::2], parts[2::2], strict=True):
        try:
            if Version(version) <= Version(old):
                break
        except InvalidVersion:
            continue
        advisories_of_version = sorted(set(_ADVISORY.findall(text)))
        if advisories_of_version:
            lines.append(f"{version}: {', '.join(advisories_of_version)}")
    return lines


def releases(changelog: str, old: str, new: str) -> list[str]:
    """Return the versions in the changelog after ``old``, up to ``new``, newest first."""
    result = []
    for version in _HEADING.findall(changelog):
        try:
            if Version(old) < Version(version) <= Version(new):
                result.append(version)
        except InvalidVersion:
            continue
    return result


def worker_options(tree: Path) -> set[str]:
    """Return the settings that Synapse reads for workers, Redis, and listeners."""
    options: set[str] = set()
    for module in _MODULES:
        path = tree / f"synapse/config/{module}.py"
        if path.exists():
            text = path.read_text(encoding="utf-8")
            options |= set(_OPTION.findall(text))
            for block in _WRITERS.findall(text):
                options |= {f"stream_writers.{name}" for name in _STREAM.findall(block)}
    return options


def commits(scratch: Path, repository: str, base: str, old: str, new: str) -> list[str]:
    """Return the number of commits from ``old`` to ``new`` and the subjects of the newest ones.

    If the history was rewritten, or cannot be read, return a line that says so. If the server
    supports it, only commits are fetched, without trees and files.
    """
    address = git_address(repository, base)
    try:
        fetch_commit(scratch, address, new, "--filter=tree:0")
    except SourceError as error:
        return [f"the commits between cannot be read: {error}"]
    try:
        log = git("log", "--format=%h %s", new, "--not", old, repository=scratch)
    except SourceError:
        return [f"commit {old} is not in the history of {new}: the branch was rewritten"]
    listed = log.decode(errors="replace").splitlines()
    shown = [f"  {line}" for line in listed[:_MOST]]
    more = [f"  and {len(listed) - _MOST} more"] if len(listed) > _MOST else []
    return [f"{len(listed)} commit{'s' if len(listed) != 1 else ''}:", *shown, *more]
