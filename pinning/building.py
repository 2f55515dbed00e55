"""Makes a pin and builds, tests and starts it with Bazel; keeps nothing of one that fails."""

import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pinning.checking import last_lines
from pinning.errors import BuildError, PinError, StartError
from pinning.making import Made, make
from pinning.pins import Pin, find_pin, folder_name, put_back, snapshot
from pinning.wish import Wish

# A closed terminal and a stopped job interrupt the tool just as Ctrl-C does.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CHECKS = ("//tests/worker_images:homeserver_test", "//tests/worker_images:generic_worker_test")
_STARTS = "//tests/starts:starts_test"


def _bazel(
    workspace: Path,
    verb: str,
    flags: Sequence[str],
    *targets: str,
    failure: type[PinError] = PinError,
) -> None:
    """Run Bazel the way the user would.

    Raises:
        PinError: if it fails, as a ``failure``; Bazel's own output has the reason.
    """
    command = [str(workspace / "bazelw"), verb, *flags, *targets]
    print(f"running: ./bazelw {shlex.join(command[1:])}", flush=True)
    if subprocess.run(command, cwd=workspace, check=False).returncode:
        raise failure(f"./bazelw {verb} {' '.join(targets)} failed: see above")


def build_root(workspace: Path, suite: str) -> Path:
    """Return the unpacked build root of ``suite``; Bazel fetches it if necessary."""
    name = f"build_root_{suite}"
    _bazel(workspace, "build", [], f"@{name}//:stamp.json")
    command = [str(workspace / "bazelw"), "info", "output_base"]
    done = subprocess.run(command, cwd=workspace, text=True, stdout=subprocess.PIPE, check=True)
    return Path(done.stdout.strip(), "external", name, "root")


def _check_start(workspace: Path, flags: Sequence[str]) -> None:
    """Start the pin: the main process, two workers, and nginx, with PostgreSQL and Redis.

    Raises:
        StartError: if the processes do not start, communicate, or stop as expected; the message
            has the last lines of the log.
    """
    begin = time.time()
    try:
        # The last lines of the log are shown only once, in the error message below.
        options = [*flags, "--test_output=summary"]
        _bazel(workspace, "test", options, _STARTS, failure=StartError)
    except StartError:
        command = [str(workspace / "bazelw"), "info", "bazel-testlogs"]
        done = subprocess.run(
            command, cwd=workspace, text=True, stdout=subprocess.PIPE, check=False
        )
        package, _, name = _STARTS.removeprefix("//").partition(":")
        outputs = Path(done.stdout.strip(), package, name, "test.outputs")
        log = last_lines(outputs, begin)
        if not log:
            raise
        raise StartError(f"the pin does not start\n{log}") from None


def flags_of(pin: Pin, base: str) -> list[str]:
    """Return the Bazel flags that build ``pin``, with the base address that it was made with."""
    return [*pin.flags, *([f"--repo_env=SYNAPSE_GIT_BASE={base}"] if base else [])]


def make_checked(workspace: Path, wish: Wish, kept: list[str], *, build: bool) -> Made:
    """Make a pin, then build and check it; if any step fails, restore the previous state.

    Args:
        workspace: the folder of this repository.
        wish: what to pin.
        kept: the names of the pins that were made; the new one is added as the last step, so that
            an interruption knows what it must not undo.
        build: whether to build and start the image.
    """
    print(f"pinning {wish.repository} {wish.branch}", flush=True)
    name = folder_name(workspace, wish.repository, wish.branch)
    before = snapshot(workspace, name)
    try:
        made = make(workspace, wish, partial(build_root, workspace))
        for line in made.messages:
            print(line, flush=True)
        if build:
            flags = flags_of(find_pin(workspace, made.name), wish.base)
            try:
                _bazel(workspace, "build", flags, "image", failure=BuildError)
                _bazel(workspace, "test", flags, *_CHECKS, failure=StartError)
                _check_start(workspace, flags)
            except (BuildError, StartError) as error:
                first, *more = str(error).splitlines()
                first += "; nothing was changed, and --no-build keeps the pin"
                raise type(error)("\n".join([first, *more])) from None
        kept.append(name)
    except BaseException:
        if name not in kept:
            # A second signal must not interrupt this.
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            put_back(workspace, name, before)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        raise
    return made
