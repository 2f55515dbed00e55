"""What happens in a child, from the fork until it ends as a Synapse process."""

import asyncio
import atexit
import gc
import importlib
import os
import random
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, Protocol

from supervisor import kernel
from supervisor.spec import ProcessSpec

_ALL_SIGNALS = signal.valid_signals()


class Shared(Protocol):
    """What the parent has imported for all children."""

    @property
    def generators(self) -> Sequence[random.Random]:
        """The pseudorandom generators that it has, as `random_generators` finds them."""

    def finish(self) -> None:
        """Make this child independent of the others that use the same modules."""


@dataclass(frozen=True)
class Birth:
    """What a child gets from its parent.

    Attributes:
        parent: the process ID of the parent.
        output: the descriptor of the pipe for its output.
        modules_dir: a folder with Synapse modules, or "".
    """

    parent: int
    output: int
    modules_dir: str


def random_generators() -> tuple[random.Random, ...]:
    """Return all pseudorandom generators that the garbage collector knows.

    In a child, Python itself reseeds only the one of the module ``random``.
    """
    return tuple(
        one
        for one in gc.get_objects()
        if isinstance(one, random.Random) and not isinstance(one, random.SystemRandom)
    )


def reseed(generators: Sequence[random.Random]) -> None:
    """Give generators a state that no other process has."""
    for generator in generators:
        generator.seed()


def forget_signals() -> None:
    """Reset the parent's handling of signals, which must be blocked until then."""
    signal.set_wakeup_fd(-1)
    for number in _ALL_SIGNALS:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    # As Python starts; Twisted replaces no other handler.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Its default action would end a process that Synapse has not prepared for it yet.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def keep_only(output: int) -> None:
    """Close every descriptor but the standard ones, which become /dev/null and ``output``.

    The objects of the parent that own the others are never finalized here, since the frames below
    this one refer to them: they would close descriptors of the same number that are Synapse's.
    """
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # Not os.closerange: where the kernel lacks close_range(2), it would try each of a billion.
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with suppress(OSError):  # That of the folder itself is closed already.
                os.close(int(name))


def _exit_code(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


def _run(spec: ProcessSpec) -> int:
    """Run the application as ``python -m`` does; return its exit code."""
    sys.argv = [spec.app, *spec.arguments]
    try:
        importlib.import_module(spec.app).main()
    except SystemExit as error:
        return _exit_code(error)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def become(spec: ProcessSpec, birth: Birth, shared: Shared) -> NoReturn:
    """Turn this child into the process ``spec``; all signals must be blocked.

    It ends without the interpreter's finalization, which would write to all that it shares with the
    parent, after the functions that libraries have registered for the end.
    """
    code = 1
    try:
        kernel.die_with(birth.parent)
        keep_only(birth.output)
        forget_signals()
        kernel.set_name(spec.name)
        kernel.raise_oom_score(spec.oom_score)
        if spec.cpus:
            os.sched_setaffinity(0, spec.cpus)
        asyncio.set_event_loop(None)
        if birth.modules_dir:
            sys.path.append(birth.modules_dir)  # Last, so that it replaces no module of the image.
        reseed(shared.generators)
        shared.finish()
        code = _run(spec)
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)
