"""Pins, builds and starts releases of Synapse in a scratch copy and prints a table of results."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from pinning.errors import BuildError, StartError

_HEAD = ("Release", "Suite, Python", "Pins", "Builds", "Starts", "Seconds", "Message")
_PLACE = re.compile(r"^Synapse \S+ for Python (\S+) on (\S+) ", re.MULTILINE)
# Whether a release was pinned, built and started, by the exit code of the tool.
_STEPS = {
    0: (True, True, True),
    StartError.exit_code: (True, True, False),
    BuildError.exit_code: (True, False, False),
}
# Earlier releases are in the repository of matrix-org.
_FIRST_OF_ELEMENT = Version("1.99")
_LATER = re.compile(r"^(?:newer than the source|Python \S+ of \S+ had no wheel).*", re.MULTILINE)
_ERROR = re.compile(r"^error: (.*)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Tried:
    """The result of trying a release.

    Attributes:
        release: The version.
        python: The Debian suite and the Python version, or "" if it was not pinned.
        steps: Whether it was pinned, built and started, in this order.
        seconds: The total time in seconds.
        message: The error, or the packages that are newer than the source.
    """

    release: str
    python: str
    steps: tuple[bool, bool, bool]
    seconds: float
    message: str

    @property
    def row(self) -> str:
        """The row for a Markdown table."""
        steps = ["yes" if step else "no" for step in self.steps]
        cells = [self.release, self.python, *steps, f"{self.seconds:.0f}", self.message]
        return f"| {' | '.join(cells)} |"


def judge(release: str, status: int, words: str, seconds: float) -> Tried:
    """Return the result of a release from the exit code and output of `./bazelw run pin`."""
    match = _PLACE.search(words)
    error = _ERROR.search(words)
    message = error[1] if error else "; ".join(_LATER.findall(words))
    lines = [line for line in message.splitlines() if line.strip()]
    # The first line says what failed, and the last one says why.
    short = ": ".join(dict.fromkeys([lines[0], lines[-1].strip()])) if lines else ""
    return Tried(
        release,
        f"{match[2]}, {match[1]}" if match else "",
        _STEPS.get(status, (False, False, False)),
        seconds,
        short.replace("|", "\\|"),
    )


def copy_workspace(workspace: Path, scratch: Path) -> None:
    """Copy the workspace to ``scratch``, without Bazel's output links and .git."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(
        workspace, scratch, symlinks=True, ignore=shutil.ignore_patterns("bazel-*", ".git")
    )


def attempt(scratch: Path, release: str, more: Sequence[str]) -> Tried:
    """Pin, build and start a release; write the whole output to a log beside the scratch copy."""
    owner = "element-hq" if Version(release) >= _FIRST_OF_ELEMENT else "matrix-org"
    command = [str(scratch / "bazelw"), "run", "pin", "--", "--repo", f"{owner}/synapse"]
    command += ["--branch", f"v{release}", "--release", release, *more]
    log = scratch.parent / f"{release}.log"
    begin = time.monotonic()
    with log.open("w") as file:
        done = subprocess.run(
            command,
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    words = log.read_text(errors="replace")
    return judge(release, done.returncode, words, time.monotonic() - begin)


def main(argv: Sequence[str]) -> int:
    """Try each release and print the table; return 1 if one does not start, otherwise 0."""
    parser = argparse.ArgumentParser(
        prog="./bazelw run //tools:try_releases --", description=__doc__
    )
    parser.add_argument("releases", nargs="+", metavar="RELEASE", help="such as 1.162.0")
    parser.add_argument("--suite", help="Debian release of the image, as of ./bazelw run pin")
    options = parser.parse_args(argv)
    for release in options.releases:
        try:
            Version(release)
        except InvalidVersion:
            parser.error(f"{release!r} is not a release; give versions such as 1.162.0")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    scratch = cache / "synapse-worker-image/releases/workspace"
    workspace = Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
    copy_workspace(workspace, scratch)
    print(f"in {scratch}; the output of each is in RELEASE.log beside it", flush=True)
    print(f"| {' | '.join(_HEAD)} |\n|{' --- |' * len(_HEAD)}", flush=True)
    good = True
    for release in options.releases:
        tried = attempt(scratch, release, ["--suite", options.suite] if options.suite else [])
        print(tried.row, flush=True)
        good = good and all(tried.steps)
    command = [str(scratch / "bazelw"), "shutdown"]
    subprocess.run(command, cwd=scratch, check=False, capture_output=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
