"""The entrypoint's exit code for each way in which its program or its output can end."""

import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

import pytest

from worker.signals import EndedError, run


class _Output(io.StringIO):
    """Standard output that raises ``error``, if there is one, when it is flushed."""

    def __init__(self, error: OSError | None) -> None:
        super().__init__()
        self.error = error

    def flush(self) -> None:
        if self.error is not None:
            raise self.error


def code_of(
    monkeypatch: pytest.MonkeyPatch, program: Callable[[], int], output: io.StringIO | None
) -> object:
    """Return the exit code with which `run` ends the process."""

    def leave(code: int) -> NoReturn:
        raise SystemExit(code)

    with monkeypatch.context() as patched:
        patched.setattr(os, "_exit", leave)
        patched.setattr(sys, "stdout", output)
        with pytest.raises(SystemExit) as ended:
            run(program)
    return ended.value.code


def raising(error: BaseException) -> Callable[[], int]:
    """Return a program that raises ``error``."""

    def program() -> int:
        raise error

    return program


@pytest.mark.parametrize(
    ("program", "error", "code"),
    [
        (lambda: 0, None, 0),
        (lambda: 2, None, 2),
        (raising(EndedError(signal.SIGTERM)), None, 143),
        (raising(BrokenPipeError()), None, 141),
        (raising(OSError(errno.ENOSPC, "x")), None, 74),
        (lambda: 0, BrokenPipeError(), 141),
        (lambda: 0, OSError(errno.ENOSPC, "x"), 74),
        (lambda: 2, OSError(errno.EIO, "x"), 2),
    ],
    ids=["fine", "wrong", "ended", "pipe", "full", "late pipe", "late full", "wrong and full"],
)
def test_the_exit_code_says_why_it_ended(
    monkeypatch: pytest.MonkeyPatch,
    program: Callable[[], int],
    error: OSError | None,
    code: int,
) -> None:
    """It is 128 plus the signal number, 74 for output that cannot be written, or the program's."""
    assert code_of(monkeypatch, program, _Output(error)) == code


def test_an_error_of_the_program_itself_is_not_taken_for_one_of_its_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error propagates, and its traceback shows where it comes from."""
    monkeypatch.setattr(os, "_exit", lambda code: None)
    with pytest.raises(PermissionError):
        run(raising(PermissionError(errno.EACCES, "x")))


def test_a_process_without_standard_output_ends_as_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`sys.stdout` is None when standard output was closed before Python started."""
    assert code_of(monkeypatch, lambda: 0, None) == 0
