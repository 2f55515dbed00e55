"""Objects of the parent are not copied because a child uses them."""

import os
import subprocess
import sys

import pytest

# Makes many functions, forks, uses each of them in the child, and prints what became private there.
_PROGRAM = """
import gc, os, sys
from supervisor import memory

gc.disable()
functions = [eval("lambda: None") for _ in range(200000)]
if sys.argv[1] == "expected":
    count = memory.make_immortal()
    assert count > 200000 or count == 0, count
    print(count > 0)
elif sys.argv[1] == "strange":
    memory._VERSIONS = ()
    print(memory.make_immortal() > 0)
gc.freeze()
memory.release_free_memory()

def private():
    for line in open("/proc/self/smaps_rollup"):
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1])

sys.stdout.flush()
if os.fork() == 0:
    before = private()
    kept = list(functions)  # Counts one more reference to each.
    kept.clear()
    assert all(one() is None for one in functions)
    print(private() - before, flush=True)
    os._exit(0)
assert os.wait()[1] == 0
functions.clear()
gc.unfreeze()
gc.collect()
print("done", flush=True)
os._exit(0)
"""


def measure(mode: str) -> tuple[bool, int]:
    """Return whether objects were made immortal, and how many KiB a child copied."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, mode],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        text=True,
        capture_output=True,
        check=True,
    )
    supported, copied, end = done.stdout.split()
    assert end == "done"
    return supported == "True", int(copied)


def test_a_child_does_not_copy_what_it_uses() -> None:
    """If this Python is one of those that were tried, as that of the image is."""
    supported, copied = measure("expected")
    if not supported:
        pytest.skip(f"Python {sys.version.split()[0]} is not one of those that were tried")
    _, otherwise = measure("strange")

    assert copied < otherwise / 2


def test_another_python_is_left_alone() -> None:
    """It would share less, but nothing is written to its objects."""
    assert measure("strange")[0] is False
