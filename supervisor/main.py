"""The program that the entrypoint becomes if the container runs several processes."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from supervisor import kernel
from supervisor.answers import Answers
from supervisor.child import Birth, Shared, become
from supervisor.control import listen
from supervisor.notify import take_over
from supervisor.output import Output
from supervisor.parent import Parent
from supervisor.process import Process
from supervisor.spec import ContainerSpec, loads
from supervisor.warm import warm
from supervisor.web import WebServer

_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def _end(signal_number: int, _: FrameType | None) -> None:
    os._exit(128 + signal_number)


class ThreadsError(RuntimeError):
    """The parent has several threads, of which a child would have only one."""


@dataclass(frozen=True)
class Origin:
    """What all children come from.

    Attributes:
        shared: what they share.
        modules_dir: a folder with Synapse modules, or "".
    """

    shared: Shared
    modules_dir: str


def fork(process: Process, origin: Origin) -> tuple[int, int]:
    """Fork ``process``; return its process ID and the pipe to read its output from.

    Signals are blocked until the child has reset their handlers.

    Raises:
        ThreadsError: if this process has more than one thread.
        OSError: if there cannot be another process.
    """
    if kernel.thread_count() != 1:
        raise ThreadsError(f"the parent has {kernel.thread_count()} threads; it may have only one")
    parent = os.getpid()
    reader, writer = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            birth = Birth(parent, writer, origin.modules_dir)
            become(process.spec, birth, origin.shared)
    except OSError:
        os.close(reader)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(writer)
    return pid, reader


async def _open(parent: Parent, spec: ContainerSpec) -> None:
    answers = Answers(parent)
    await WebServer(answers.web).listen(spec.bind_addresses, spec.port)
    await listen(spec.control_path, answers.control)
    parent.open()


def run(spec: ContainerSpec, shared: Shared) -> int:
    """Run all processes of ``spec`` until a signal ends them; return the exit code.

    A child is forked between two runs of the event loop, so that none is running in the child.
    """
    loop = asyncio.SelectorEventLoop()
    asyncio.set_event_loop(loop)
    parent = Parent(spec, Output(1, loop), loop)
    origin = Origin(shared, spec.modules_dir)
    loop.run_until_complete(_open(parent, spec))
    while (process := loop.run_until_complete(parent.next_start())) is not None:
        process.prepare()
        try:
            pid, pipe = fork(process, origin)
        except OSError as error:
            parent.not_forked(process, error)
        else:
            parent.forked(process, pid, pipe)
    return parent.exit_code


def main(spec_path: str) -> int:
    """Import Synapse, and run the processes that the file ``spec_path`` describes."""
    for number in _ENDING_SIGNALS:
        signal.signal(number, _end)
    # The entrypoint blocked these signals while there was no handler.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING_SIGNALS)
    spec = loads(Path(spec_path).read_text(encoding="utf-8"))
    kernel.set_name("synapse-parent")
    take_over()
    apps = dict.fromkeys(process.app for process in spec.processes)
    warmed = warm(["synapse.app.homeserver", "synapse.app.generic_worker", *apps])
    try:
        return run(spec, warmed)
    except OSError as error:
        print(f"error: {error.strerror}", file=sys.stderr)
        return 1
