"""Starts forked processes and ends them with all processes that they started."""

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h.


def adopt_orphans() -> None:
    """Become the parent of processes that a test leaves behind, so that they can be ended."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


def mount_tmpfs(folder: Path) -> None:
    """Mount an empty tmpfs on ``folder``, writable by everyone.

    Raises:
        OSError: If that is not allowed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"mode=1777"):
        raise OSError(ctypes.get_errno(), "cannot mount a tmpfs", str(folder))


def fork(work: Callable[[], None]) -> int:
    """Do ``work`` in a child process; return its process ID."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        work()
        sys.stdout.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def finished(child: int) -> bool:
    """Return whether ``child`` has ended, and reap it if so."""
    return os.waitpid(child, os.WNOHANG)[0] == child


def end(child: int) -> None:
    """Kill and reap ``child`` and its process group, as it is a session leader."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def end_orphans(kept: set[int]) -> None:
    """Kill and reap every child that is not in ``kept``, such as processes that a test left."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    while strays := set(map(int, children.read_text().split())) - kept:
        for stray in strays:
            os.kill(stray, signal.SIGKILL)
            os.waitpid(stray, 0)
