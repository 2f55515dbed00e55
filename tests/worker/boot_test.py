"""Signals that arrive before Synapse is up, sent to real processes as PID 1 of a namespace."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import worker.boot

_BOOT = worker.boot.__file__
# A shell's background jobs ignore SIGINT, and processes that a test starts would inherit that.
_NAMESPACE = [
    "env",
    "--default-signal=INT",
    "unshare",
    "--user",
    "--map-current-user",
    "--pid",
    "--fork",
    "--kill-child",
]
_ENTRYPOINT = """\
import os, signal, sys, tempfile, time
from worker.signals import ENDING_SIGNALS, block_for_exec, end_on_signals
from worker.signals import forget_signals, run, unblock
end_on_signals()
{}
"""


@contextmanager
def started(folder: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``command`` as PID 1 until the block ends; yield it after its first line of output."""
    environ = {"PATH": os.environ["PATH"], "SYNAPSE_MODULES_DIR": str(folder)}
    environ["PYTHONPATH"] = ":".join(path for path in sys.path if path)
    process = subprocess.Popen(
        [*_NAMESPACE, sys.executable, "-u", *command],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n", process.stderr and process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_that_came_before_the_handler_are_not_lost(tmp_path: Path, number: int) -> None:
    """The entrypoint blocks the signals during the exec."""
    command = application(tmp_path, "print('up')\ntime.sleep(30)")
    program = (
        f"import os, signal, sys\nsignal.pthread_sigmask(signal.SIG_BLOCK, [{number:d}])\n"
        f"os.kill(os.getpid(), {number:d})\nprint('up', flush=True)\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    with started(tmp_path, "-c", program, *command) as process:
        assert process.wait(60) == 128 + number


def inner(process: subprocess.Popen[str]) -> int:
    """Return the process ID, as seen from outside, of PID 1 in the namespace."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return int(path.read_text().split()[0])


def end(process: subprocess.Popen[str], number: int) -> tuple[int, float]:
    """Send the signal to PID 1; return its exit code and the seconds until it exited."""
    start = time.monotonic()
    os.kill(inner(process), number)
    code = process.wait(60)
    return code, time.monotonic() - start


def application(folder: Path, text: str, imported: str = "") -> list[str]:
    """Write a module whose ``main`` runs this source text; return the command that boots it."""
    program = f"import gc, signal, sys, time\n{{}}\ndef main():\n{textwrap.indent(text, '    ')}\n"
    (folder / "application.py").write_text(program.format(imported))
    return ["-I", _BOOT, "application", "-c", "homeserver.yaml"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_application_that_is_not_up_ends_at_once(tmp_path: Path, number: int) -> None:
    """The kernel drops signals to PID 1 that have no handler."""
    with started(tmp_path, *application(tmp_path, "print('up')\ntime.sleep(30)")) as process:
        code, seconds = end(process, number)
    assert code == 128 + number
    assert seconds < 5


def test_an_application_within_a_library_ends_too(tmp_path: Path) -> None:
    """Python's handler cannot run during a library call, such as libpq in a migration's query."""
    # The lock is never released, and no signal interrupts the wait for it.
    text = (
        "import ctypes\nlibrary, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)\n"
        "library.pthread_mutex_lock(lock)\nprint('up')\nlibrary.pthread_mutex_lock(lock)"
    )
    with started(tmp_path, *application(tmp_path, text)) as process:
        time.sleep(0.2)
        code, seconds = end(process, signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    assert seconds < 5


def test_a_handler_of_the_application_is_left_alone(tmp_path: Path) -> None:
    """Once Twisted is up, its own handler shuts down cleanly."""
    text = (
        "def stop(*_):\n    print('stopped')\n    sys.exit(7)\n"
        "signal.signal(signal.SIGTERM, stop)\ntime.sleep(0.8)\nprint('up')\ntime.sleep(30)"
    )
    with started(tmp_path, *application(tmp_path, text)) as process:
        assert end(process, signal.SIGTERM)[0] == 7
        assert process.stdout is not None
        assert process.stdout.read() == "stopped\n"


def test_an_application_finds_its_arguments(tmp_path: Path) -> None:
    """The operator's modules come last on the import path."""
    text = "print('up')\nprint(sys.argv)\nprint(sys.path[-1])"
    with started(tmp_path, *application(tmp_path, text)) as process:
        assert process.wait(60) == 0
        assert process.stdout is not None
        assert process.stdout.read().splitlines() == [
            "['application', '-c', 'homeserver.yaml']",
            str(tmp_path),
        ]


def test_nothing_is_collected_during_the_imports(tmp_path: Path) -> None:
    """The garbage collector rests while modules are imported, and works afterwards."""
    text = "print('up')\nprint(while_imported, gc.isenabled())"
    with started(
        tmp_path, *application(tmp_path, text, "while_imported = gc.isenabled()")
    ) as process:
        assert process.wait(60) == 0
        assert process.stdout is not None
        assert process.stdout.read() == "False True\n"


def entrypoint(text: str) -> list[str]:
    """Return the command of a program that handles signals as the entrypoint does."""
    return ["-c", _ENTRYPOINT.format(text)]


_STOPPED = """\
def program():
    try:
        print("up", flush=True)
        # A signal that comes just before a call is only heard after it.
        for _ in range(300):
            time.sleep(0.1)
    finally:
        print("cleaned", flush=True)
run(program)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_entrypoint_unwinds_and_ends_with_the_signals_status(
    tmp_path: Path, number: int
) -> None:
    """Unwinding removes temporary files."""
    with started(tmp_path, *entrypoint(_STOPPED)) as process:
        code, seconds = end(process, number)
        assert process.stdout is not None
        assert process.stdout.read() == "cleaned\n"
    assert code == 128 + number
    assert seconds < 5


def test_what_does_not_unwind_is_ended_all_the_same(tmp_path: Path) -> None:
    """It has half a second to unwind; a second signal during that time changes nothing."""
    text = _STOPPED.replace("flush=True)\nrun", "flush=True)\n        time.sleep(20)\nrun")
    with started(tmp_path, *entrypoint(text)) as process:
        start = time.monotonic()
        os.kill(inner(process), signal.SIGTERM)
        # Of two pending signals, the one with the lower number is handled first.
        assert process.stdout is not None
        assert process.stdout.readline() == "cleaned\n"
        os.kill(inner(process), signal.SIGINT)
        code = process.wait(60)
        seconds = time.monotonic() - start
    assert code == 128 + signal.SIGTERM
    assert 0.4 < seconds < 5


@pytest.mark.parametrize(
    ("raises", "code", "reported"),
    [("os.kill(os.getpid(), signal.SIGTERM)", 128 + signal.SIGTERM, False), ("1 / 0", 5, True)],
)
def test_a_signal_within_a_callback_is_not_reported(
    tmp_path: Path, raises: str, code: int, reported: bool
) -> None:
    """Python drops what a callback of a weak reference raises, and prints it with a traceback."""
    text = (
        "import weakref\nclass Value: pass\nvalue = Value()\n"
        f"reference = weakref.ref(value, lambda _: {raises})\nprint('up', flush=True)\n"
        "def program():\n    global value\n    value = None\n    time.sleep(1)\n    return 5\n"
        "run(program)"
    )
    with started(tmp_path, *entrypoint(text)) as process:
        assert process.wait(60) == code
        assert process.stderr is not None
        assert ("Traceback" in process.stderr.read()) == reported


def test_signals_wait_for_the_program_that_takes_over(tmp_path: Path) -> None:
    """No signal is lost between the last check and the exec."""
    text = (
        "block_for_exec()\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.1)\n"
        "print('up', flush=True)\nprint(signal.sigpending() == {15}, flush=True)\n"
        "run(lambda: unblock() or 0)"
    )
    with started(tmp_path, *entrypoint(text)) as process:
        assert process.wait(60) == 128 + signal.SIGTERM
        assert process.stdout is not None
        assert process.stdout.read() == "True\n"


def test_nothing_takes_over_after_a_signal(tmp_path: Path) -> None:
    """A signal whose exception was swallowed still prevents the exec."""
    text = (
        "def program():\n    try:\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(5)\n    except BaseException:\n        pass\n"
        "    block_for_exec()\n    os.execv('/bin/true', ['true'])\n"
        "print('up', flush=True)\nrun(program)"
    )
    with started(tmp_path, *entrypoint(text)) as process:
        assert process.wait(60) == 128 + signal.SIGINT


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("run(lambda: 0)", 0),
        ("run(lambda: 75)", 75),
        ("def program():\n    raise BrokenPipeError\nrun(program)", 128 + signal.SIGPIPE),
        ("sys.stdout = open('/dev/full', 'w')\nprint('lost')\nrun(lambda: 0)", 74),
        ("sys.stdout = open('/dev/full', 'w')\nprint('lost')\nrun(lambda: 2)", 2),
        ("import threading\nthreading.Thread(target=time.sleep, args=[20]).start()\n"
         "run(lambda: 3)", 3),
        ("forget_signals()\nassert signal.getsignal(15) == signal.getsignal(2) == 0\n"
         "run(lambda: 4)", 4),
    ],
)  # fmt: skip
def test_the_exit_code_is_the_programs(tmp_path: Path, text: str, code: int) -> None:
    """Lost output counts as a failure, and a hanging thread does not delay the exit."""
    command = entrypoint(f"print('up', flush=True)\n{text}")
    with started(tmp_path, *command) as process:
        assert process.wait(60) == code
