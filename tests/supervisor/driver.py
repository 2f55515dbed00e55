"""Runs the parent with small applications in place of Synapse.

    driver.py SPEC [REMOVED]

REMOVED is the name of a guard that is taken out, so that tests can show that they notice it.
"""

import importlib
import os
import random
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from supervisor import child, kernel, main, parent
from supervisor.child import random_generators
from supervisor.notify import take_over
from supervisor.spec import loads


class Small:
    """What the parent has imported: the small application."""

    def __init__(self) -> None:
        """Import it."""
        importlib.import_module("tests.supervisor.small_app")
        self.generators: Sequence[random.Random] = random_generators()

    def finish(self) -> None:
        """Do nothing, since it has no reactor."""


def _keep_all(output: int) -> None:
    os.dup2(output, 1)
    os.dup2(output, 2)


async def _fail(*_: object) -> None:
    raise RuntimeError("broken")


def _remove(guard: str) -> None:
    """Take a guard out."""
    if guard == "descriptors":
        child.keep_only = _keep_all
    elif guard == "signals":
        child.forget_signals = lambda: None
    elif guard == "random":
        child.reseed = lambda generators: None
    elif guard == "death":
        kernel.die_with = lambda parent: None
    elif guard == "keep":
        parent.Parent._watch = _fail  # type: ignore[method-assign,assignment]
    elif guard == "threads":
        kernel.thread_count = lambda: 1
    else:
        raise ValueError(guard)


if __name__ == "__main__":
    spec_path, *removed = sys.argv[1:]
    for name in removed:
        if name == "thread":
            threading.Thread(target=signal.pause, daemon=True).start()
        else:
            _remove(name)
    take_over()
    shared = Small()
    os._exit(main.run(loads(Path(spec_path).read_text()), shared))
