"""Objects of the parent are not copied because a child uses them; with the image's own Python."""

import subprocess

import pytest

from testbed.homeserver import Parts
from testbed.image import container, entrypoint

# Forks, uses many objects in the child, and prints what became private there.
_FORK = """
import gc, os, sys
sys.path.append("/usr/lib/synapse-worker")
from supervisor import memory

def private():
    for line in open("/proc/self/smaps_rollup"):
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1])

def copied(use):
    gc.freeze()
    memory.release_free_memory()
    if os.fork() == 0:
        before = private()
        use()
        print(private() - before, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0

gc.disable()
"""
# Many functions, each with code and a constant of its own, which the child refers to.
_CODE = """
functions = []
for number in range(20000):
    exec(f"def one(): return 'constant {number}'", space := {})
    functions.append(space["one"])
if sys.argv[1] == "without":
    memory._codes = lambda objects: []
memory.make_immortal()
copied(lambda: [(one.__code__, one.__code__.co_consts[-1]) for one in functions])
"""
# Many classes, in each of which the child looks up an attribute.
_CLASSES = """
classes = [type("One", (), {}) for _ in range(20000)]
if sys.argv[1] != "without":
    memory.look_up_in_classes()
memory.make_immortal()
copied(lambda: [one.__init__ for one in classes])
"""
# Many functions, each of which the child calls.
_FUNCTIONS = """
functions = [lambda: None for _ in range(200000)]
if sys.argv[1] == "untried":
    memory._VERSIONS = ()
elif sys.argv[1] == "different":
    memory._IMMORTAL -= 1
count = memory.make_immortal()
assert count > 200000 or count == 0, count
print(count > 0, flush=True)

def use():
    assert all(one() is None for one in functions)  # Each call counts a reference.

copied(use)
functions.clear()
gc.unfreeze()
gc.collect()
print("done", flush=True)
os._exit(0)
"""


def printed(parts: Parts, program: str, mode: str) -> list[str]:
    """Return the words that a program prints, run with ``mode`` by the image's Python."""
    python = entrypoint(parts.image)[0]
    inside = container(parts.image, parts.root, {}, {})
    done = subprocess.run(
        inside.command(python, "-I", "-c", _FORK + program, mode),
        text=True,
        capture_output=True,
        check=True,
    )
    return done.stdout.split()


def measure(parts: Parts, mode: str) -> tuple[bool, int]:
    """Return whether objects were made immortal, and how many KiB a child copied."""
    immortal, copied, end = printed(parts, _FUNCTIONS, mode)
    assert end == "done"
    return immortal == "True", int(copied)


def test_a_child_does_not_copy_what_it_uses(parts: Parts) -> None:
    """The image's Python is one of those that were tried."""
    immortal, copied = measure(parts, "expected")
    _, otherwise = measure(parts, "untried")

    assert immortal
    assert copied < otherwise / 10


@pytest.mark.parametrize("mode", ["untried", "different"])
def test_a_python_that_is_not_as_expected_is_left_alone(parts: Parts, mode: str) -> None:
    """It shares less, but nothing is written to its objects."""
    assert measure(parts, mode)[0] is False


@pytest.mark.parametrize("program", [_CODE, _CLASSES])
def test_what_the_collector_does_not_know_is_not_copied_either(parts: Parts, program: str) -> None:
    """Code and constants are immortal, and classes have their versions before the fork."""
    copied, otherwise = (int(printed(parts, program, mode)[0]) for mode in ("with", "without"))

    assert copied < otherwise / 3
