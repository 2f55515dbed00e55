"""Objects of the parent are not copied because a child uses them; with the image's own Python."""

import subprocess

import pytest

from testbed.homeserver import Parts
from testbed.image import container, entrypoint

# Makes many functions, forks, uses each of them in the child, and prints what became private there.
_PROGRAM = """
import gc, os, sys
sys.path.append("/usr/lib/synapse-worker")
from supervisor import memory

gc.disable()
functions = [lambda: None for _ in range(200000)]
if sys.argv[1] == "untried":
    memory._VERSIONS = ()
elif sys.argv[1] == "different":
    memory._IMMORTAL -= 1
count = memory.make_immortal()
assert count > 200000 or count == 0, count
gc.freeze()
memory.release_free_memory()

def private():
    for line in open("/proc/self/smaps_rollup"):
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1])

print(count > 0, flush=True)
if os.fork() == 0:
    before = private()
    assert all(one() is None for one in functions)  # Each call counts a reference.
    print(private() - before, flush=True)
    os._exit(0)
assert os.wait()[1] == 0
functions.clear()
gc.unfreeze()
gc.collect()
print("done", flush=True)
os._exit(0)
"""


def measure(parts: Parts, mode: str) -> tuple[bool, int]:
    """Return whether objects were made immortal, and how many KiB a child copied."""
    python = entrypoint(parts.image)[0]
    done = subprocess.run(
        container(parts.image, parts.root, {}, {}).command(python, "-I", "-c", _PROGRAM, mode),
        text=True,
        capture_output=True,
        check=True,
    )
    immortal, copied, end = done.stdout.split()
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
