"""Pins a repository and branch of Synapse, or the Debian packages; updates and checks pins."""

import argparse
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pinning import changes
from pinning.as_of import newer_names
from pinning.building import SIGNALS, build_root, flags_of, make_checked
from pinning.checking import check_debian, check_pin
from pinning.choosing import versions
from pinning.command_line import BASE, debian_parser, hand_written, newer, parser
from pinning.debian import SUITES, lock_debian
from pinning.errors import PinError, changed
from pinning.pins import Pin, all_pins, find_pin, folder_name, pythons, remove_pin
from pinning.source import normal_repository, pinned_tree
from pinning.wish import Wish
from repositories.addresses import SourceError, git_address


def _pin(workspace: Path, options: argparse.Namespace, kept: list[str]) -> None:
    if not options.repo or not options.branch:
        raise PinError("--repo and --branch are both needed; or one of --update --list --check")
    repository = normal_repository(options.repo)
    folder = workspace / "config/pins" / folder_name(workspace, repository, options.branch)
    pins = {pin.folder: pin for pin in all_pins(workspace)}
    before = pins[folder].document.get("newer", {}) if folder in pins else {}
    wish = Wish(
        repository=repository,
        branch=options.branch,
        release=options.release,
        suite=options.suite or "",
        extras=tuple((options.extras or "all").split(",")),
        base=options.base,
        hand=hand_written(options, folder),
        newer=newer(options, before, move=False),
        asked=frozenset(options.newer),
    )
    made = make_checked(workspace, wish, kept, build=not options.no_build)
    print(f"pinned as config/pins/{made.name}; choose it with:")
    flags = flags_of(find_pin(workspace, made.name), wish.base)
    print(f"  ./bazelw build image {shlex.join(flags)}")


def _update(workspace: Path, pin: Pin, options: argparse.Namespace, kept: list[str]) -> None:
    """Update one pin and print what changed."""
    old = pin.document
    old_packages = versions((pin.folder / "requirements_lock.txt").read_text())
    extras = options.extras.split(",") if options.extras else old["extras"]
    wish = Wish(
        repository=pin.repository,
        branch=pin.branch,
        release=options.release or old["release"],
        suite=options.suite or pin.suite,
        extras=tuple(extras),
        base=options.base,
        hand=hand_written(options, pin.folder),
        newer=newer(options, old.get("newer", {}), move=True),
        asked=frozenset(options.newer),
    )
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        options_before: set[str] | None = None
        try:
            tree = pinned_tree(pin.name, old, options.base, pin.patches, scratch / "old")
            options_before = changes.worker_options(tree)
        except PinError as error:
            print(f"{pin.name}: the old source is no longer available: {error}")
        made = make_checked(workspace, wish, kept, build=not options.no_build)
        new = made.document
        moved = find_pin(workspace, made.name)
        tree = pinned_tree(pin.name, new, options.base, moved.patches, scratch / "new")
        print(f"{pin.name}: {old['version']} ({old['revision']}) -> ", end="")
        print("unchanged" if old["revision"] == new["revision"] else new["version"], end="")
        print(f" ({new['revision']})")
        if old["revision"] != new["revision"] and "git" in new and "git" in old:
            (scratch / "history").mkdir()
            for line in changes.commits(
                scratch / "history", pin.repository, options.base, old["revision"], new["revision"]
            ):
                print(f"  {line}")
        log = tree / "CHANGES.md"
        changelog = log.read_text(encoding="utf-8") if log.exists() else ""
        between = changes.releases(changelog, old["version"], new["version"])
        _print("releases between", [", ".join(between)] if between else [])
        _print("advisories", changes.advisories(changelog, old["version"]))
        lock = (moved.folder / "requirements_lock.txt").read_text()
        _print("dependencies", changes.packages(old_packages, versions(lock)))
        if options_before is not None:
            after = changes.worker_options(tree)
            _print("new settings of workers", sorted(after - options_before))
            _print("removed settings of workers", sorted(options_before - after))


def _update_each(workspace: Path, options: argparse.Namespace, kept: list[str]) -> int:
    """Update every pin that ``options`` names, continuing after a failure.

    Returns:
        The exit code.
    """
    status = 0
    for pin in _chosen(workspace, options.update):
        try:
            _update(workspace, pin, options, kept)
        except PinError as error:
            print(f"error: {pin.name} is unchanged: {error}", file=sys.stderr)
            status = 2
    return status


def _print(what: str, lines: Sequence[str]) -> None:
    print(f"  {what}: {'none' if not lines else ''}".rstrip())
    for line in lines:
        print(f"    {line}")


def _list(workspace: Path) -> None:
    python = pythons(workspace)
    for pin in all_pins(workspace):
        document = pin.document
        place = "git" if "git" in document else "package index"
        print(f"{pin.name}: {' '.join(pin.flags)}")
        print(
            f"  Synapse {document['version']}, {document['revision']} from {place} "
            f"({git_address(pin.repository, BASE)}), {document['build_backend']}, "
            f"Python {python[pin.suite]} on {pin.suite}, extras {','.join(document['extras'])}, "
            f"packages as of {document.get('as_of', 'the day on which it was made')}"
        )
        later = [f"{name} ({time})" for name, time in document.get("newer", {}).items()]
        if later:
            print(f"  newer than that: {', '.join(later)}")


def _chosen(workspace: Path, names: Sequence[str]) -> list[Pin]:
    return [find_pin(workspace, name) for name in names] if names else all_pins(workspace)


def _report(name: str, looked: int, problems: Sequence[str]) -> bool:
    for line in problems:
        print(f"{name}: {line}")
    good = looked - len(problems)
    print(f"{name}: {good} of {looked} files can be fetched and have the right hash")
    return not problems


def _debian(workspace: Path, argv: Sequence[str]) -> int:
    options = debian_parser().parse_args(argv)
    if options.check:
        return 0 if _report("debian", *check_debian(workspace)) else 1
    lock_debian(workspace, options.suite or SUITES, update=options.update)
    return 0


def _run(workspace: Path, argv: Sequence[str], kept: list[str]) -> int:
    if argv[:1] == ["debian"]:
        return _debian(workspace, argv[1:])
    options = parser().parse_args(argv)
    options.newer = newer_names(options.newer)
    # Check --base even if nothing is fetched from it: the printed build command contains it.
    git_address("owner/name", options.base)
    if options.list:
        _list(workspace)
    elif options.remove:
        pin = find_pin(workspace, options.remove)
        remove_pin(workspace, pin)
        print(f"removed {pin.name}")
    elif options.check is not None:
        pins = _chosen(workspace, options.check)
        root = partial(build_root, workspace)
        good = [_report(pin.name, *check_pin(pin, options.base, root)) for pin in pins]
        return 0 if all(good) else 1
    elif options.update is not None:
        return _update_each(workspace, options, kept)
    else:
        _pin(workspace, options, kept)
    return 0


def main(argv: Sequence[str]) -> int:
    """Run the command line ``argv`` and return the exit code."""
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", ".")).resolve()
    # Clean up after a closed terminal or a stopped job just as after Ctrl-C.
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)
    kept: list[str] = []
    try:
        status = _run(workspace, argv, kept)
        # What follows is Python's own exit. A signal could no longer be reported there, and would
        # give a finished run the exit status of an interrupted one.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        return status
    except SourceError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, PinError) else PinError.exit_code
    except KeyboardInterrupt:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        print(
            f"error: interrupted; {changed([f'config/pins/{name}' for name in kept])}",
            file=sys.stderr,
        )
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
