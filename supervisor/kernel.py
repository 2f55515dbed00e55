"""Calls of the Linux kernel that Python's library does not offer, for a process about itself."""

import ctypes
import os
import signal
from pathlib import Path

_SET_DEATH_SIGNAL, _SET_NAME = 1, 15  # PR_SET_PDEATHSIG and PR_SET_NAME of prctl(2).
_MAX_NAME_BYTES = 15
_LIBC = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: object) -> None:
    if _LIBC.prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def die_with(parent: int) -> None:
    """Let the kernel kill this process as soon as its parent ends; end it if that has happened.

    Args:
        parent: the process ID of the parent, as it was before the fork.
    """
    _prctl(_SET_DEATH_SIGNAL, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)


def set_name(name: str) -> None:
    """Set the name of this process in ps and top, of which the kernel keeps 15 bytes."""
    _prctl(_SET_NAME, ctypes.c_char_p(name.encode()[:_MAX_NAME_BYTES]))


def raise_oom_score(score: int) -> None:
    """Add ``score`` to this process's ``oom_score_adj`` (proc_pid_oom_score_adj(5)), up to 1000.

    Any process may raise its own; a container that forbids even that keeps the score it has.
    """
    path = Path("/proc/self/oom_score_adj")
    try:
        path.write_text(str(min(1000, int(path.read_text()) + score)))
    except OSError:
        return


def thread_count() -> int:
    """Return how many threads this process has, those of libraries included."""
    return len(os.listdir("/proc/self/task"))
