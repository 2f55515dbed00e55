"""The entrypoint's exit code for each way in which its program or its output can end."""

import errno
import io
import os
import signal
import subprocess
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


_INTERRUPTED_AT_ONCE = """\
import runpy, signal
real = signal.signal
def install(number, handler):
    real(number, handler)
    if number == signal.{}:
        signal.raise_signal(number)
signal.signal = install
runpy.run_module("worker.{}", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("module", ["image_main", "__main__"])
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_may_arrive_as_soon_as_its_handler_is_installed(
    module: str, name: str, code: int
) -> None:
    """The exit code is that of the signal, and there is no traceback."""
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED_AT_ONCE.format(name, module), "--help"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")
