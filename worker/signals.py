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

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GRACE_SECONDS = 0.5  # Seconds allowed for removing temporary files.
_IO_ERROR = 74  # EX_IOERR of sysexits.h.

_received_signal = 0


class EndedError(BaseException):
    """A signal asked the process to end; a BaseException, so that no handler of errors catches it.

    Attributes:
        exit_code: 128 plus the number of the signal, as in shells.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number


def _end(signal_number: int, _: FrameType | None) -> None:
    """Unwind, so that temporary files are removed; exit after ``_GRACE_SECONDS`` in any case."""
    global _received_signal
    if _received_signal:
        return  # The process is already ending.
    _received_signal = signal_number
    signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + signal_number))
    signal.setitimer(signal.ITIMER_REAL, _GRACE_SECONDS)
    raise EndedError(signal_number)


def _report_unraisable(lost: "sys.UnraisableHookArgs") -> None:
    """Report an exception that Python drops, as in the callback of a weak reference, unless ours.

    The timer then ends the process.
    """
    if not isinstance(lost.exc_value, EndedError):
        sys.__unraisablehook__(lost)


def end_on_signals() -> None:
    """Install handlers that raise ``EndedError`` in the main thread on SIGTERM or SIGINT.

    A signal can arrive as soon as the first of them is installed, so only a program that `run` runs
    may call this.
    """
    sys.unraisablehook = _report_unraisable
    for signal_number in ENDING_SIGNALS:
        signal.signal(signal_number, _end)


def forget_signals() -> None:
    """Restore the default action of SIGTERM and SIGINT; for a child, which is not process 1."""
    for signal_number in ENDING_SIGNALS:
        signal.signal(signal_number, signal.SIG_DFL)


def block_for_exec() -> None:
    """Block SIGTERM and SIGINT for the program that replaces this one, which must unblock them.

    Raises:
        EndedError: if one of them has already arrived.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    if _received_signal:
        raise EndedError(_received_signal)


def unblock() -> None:
    """Undo ``block_for_exec`` if the program was not replaced."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)


def run(program: Callable[[], int]) -> None:
    """Run ``program`` and exit with the code that it returns, or with that of a signal.

    Threads are not waited for, since one that still runs a probe may hang indefinitely.
    """
    try:
        exit_code = program()
    except EndedError as error:
        exit_code = error.exit_code
    except BrokenPipeError:
        exit_code = 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        exit_code = _IO_ERROR
    try:
        if sys.stdout is not None:  # It is None if it was closed from the start.
            sys.stdout.flush()
    except BrokenPipeError:
        exit_code = 128 + signal.SIGPIPE
    except OSError:
        exit_code = exit_code or _IO_ERROR
    os._exit(exit_code)
