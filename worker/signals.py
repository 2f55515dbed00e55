"""Ends the entrypoint on SIGTERM and SIGINT at any moment, as process 1 of a container too.

The kernel drops a signal for process 1 that has no handler (pid_namespaces(7)).  So a handler is
installed before anything else is imported, and the signals wait, blocked, while Synapse takes this
process over: ``worker/boot.py`` hears them.  Little is imported here, for the same reason.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGINT)
_GRACE = 0.5  # Seconds for temporary files to be removed.
_IO_ERROR = 74  # EX_IOERR of sysexits.h.

_asked_to_end = 0


class EndedError(BaseException):
    """A signal asked for the end; no Exception, so that nothing takes it for a failure.

    Attributes:
        exit_code: 128 and the number of the signal, as shells have it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def _end(number: int, _: FrameType | None) -> None:
    """Unwind, so that temporary files go; end after a while whatever does not unwind."""
    global _asked_to_end
    if _asked_to_end:
        return  # It ends already.
    _asked_to_end = number
    signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + number))
    signal.setitimer(signal.ITIMER_REAL, _GRACE)
    raise EndedError(number)


def end_on_signals() -> None:
    """Raise ``EndedError`` in the main thread on SIGTERM or SIGINT, from now on."""
    for number in ENDING:
        signal.signal(number, _end)


def forget_signals() -> None:
    """Have SIGTERM and SIGINT end this process at once; for a child, which is not process 1."""
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)


def block_for_exec() -> None:
    """Keep SIGTERM and SIGINT for the program that replaces this one; it must unblock them.

    Raises:
        EndedError: when one has arrived.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    if _asked_to_end:
        raise EndedError(_asked_to_end)


def unblock() -> None:
    """Undo ``block_for_exec``, since the program was not replaced."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def run(program: Callable[[], int]) -> None:
    """Run ``program`` and end with the exit code that it returns, or with that of a signal.

    Nothing is waited for: a thread that still asks somebody may hang for as long as it likes.
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
        if sys.stdout is not None:  # Closed from the start.
            sys.stdout.flush()
    except BrokenPipeError:
        code = 128 + signal.SIGPIPE
    except OSError:
        code = code or _IO_ERROR
    os._exit(code)
