"""Ends the entrypoint on SIGTERM and SIGINT at any time, even as process 1 of a container.

The kernel drops a signal for process 1 that has no handler (pid_namespaces(7)).  So a handler is
installed before anything else is imported, and the signals are blocked while Synapse replaces this
process, until ``worker/boot.py`` handles them.  For the same reason, this module imports little.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM)
_GRACE = 0.5  # Seconds allowed for removing temporary files.
_IO_ERROR = 74  # EX_IOERR of sysexits.h.

_asked_to_end = 0


class EndedError(BaseException):
    """A signal requested the end; not an Exception, so that nothing handles it as a failure.

    Attributes:
        exit_code: 128 plus the number of the signal, as in shells.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def _end(number: int, _: FrameType | None) -> None:
    """Unwind, so that temporary files are removed; exit after ``_GRACE`` seconds in any case."""
    global _asked_to_end
    if _asked_to_end:
        return  # The process is already ending.
    _asked_to_end = number
    signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + number))
    signal.setitimer(signal.ITIMER_REAL, _GRACE)
    raise EndedError(number)


def end_on_signals() -> None:
    """Install handlers that raise ``EndedError`` in the main thread on SIGTERM or SIGINT.

    A signal can arrive as soon as the first of them is installed, so only a program that `run` runs
    may call this.
    """
    for number in ENDING:
        signal.signal(number, _end)


def forget_signals() -> None:
    """Let SIGTERM and SIGINT end this process at once; for a child, which is not process 1."""
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)


def block_for_exec() -> None:
    """Block SIGTERM and SIGINT for the program that replaces this one, which must unblock them.

    Raises:
        EndedError: if one of them has already arrived.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    if _asked_to_end:
        raise EndedError(_asked_to_end)


def unblock() -> None:
    """Undo ``block_for_exec`` if the program was not replaced."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def run(program: Callable[[], int]) -> None:
    """Run ``program`` and exit with the code that it returns, or with that of a signal.

    Threads are not waited for, since one that still runs a probe may hang indefinitely.
    """
    try:
        code = program()
    except EndedError as error:
        code = error.exit_code
    except BrokenPipeError:
        code = 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        code = _IO_ERROR
    try:
        if sys.stdout is not None:  # It is None if it was closed from the start.
            sys.stdout.flush()
    except BrokenPipeError:
        code = 128 + signal.SIGPIPE
    except OSError:
        code = code or _IO_ERROR
    os._exit(code)
