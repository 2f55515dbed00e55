"""Measures the image's size and start times and prints the figures, without any assertion."""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.bwrap import Sandbox
from testbed.image import Image, container, entrypoint, read_image, unpack
from testbed.site import WORKERS, make_mounts

_RUNS = 7
# Runs the entrypoint up to the point where it would exec Synapse, and prints the time.
_UNTIL_EXEC = """\
import os, runpy, sys, time
def stop(*_):
    print(time.clock_gettime(time.CLOCK_MONOTONIC), flush=True)
    os._exit(0)
os.execve = stop
sys.argv = ["synapse-worker"]
runpy.run_path("/usr/lib/synapse-worker", run_name="__main__")
"""
_CLOCK = "import time; print(time.clock_gettime(time.CLOCK_MONOTONIC))"


def sizes(image: Image) -> Iterator[tuple[str, str]]:
    """Yield the figure's name and value for the size of the layers that a pull transfers."""
    layers = image.manifest["layers"]
    parts = " + ".join(f"{layer['size'] / 1e6:.1f}" for layer in layers)
    total = sum(layer["size"] for layer in layers) / 1e6
    yield "compressed layers", f"{total:.1f} MB ({parts})"


@contextmanager
def client_reader(image: Image) -> Iterator[Sandbox]:
    """Yield the container of a client_reader with a read-only root file system."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack(image, folder / "root")
        mounts = make_mounts(folder, WORKERS)
        environ = {"SYNAPSE_WORKER": "client_reader", "SYNAPSE_REPLICATION_HOST": "main"}
        yield container(image, folder / "root", mounts, environ)


def seconds(command: list[str], clock: Callable[[str], float]) -> str:
    """Run ``command`` several times; return the median and range of the seconds that it takes.

    ``clock`` turns the command's output into the CLOCK_MONOTONIC time at which a run ends.
    """
    durations = []
    for _ in range(_RUNS):
        start = time.clock_gettime(time.CLOCK_MONOTONIC)
        done = subprocess.run(command, text=True, capture_output=True, check=True)
        durations.append(clock(done.stdout) - start)
    median = statistics.median(durations)
    return f"{median:.3f} s (of {_RUNS}: {min(durations):.3f} to {max(durations):.3f})"


def main() -> int:
    """Print one line per figure; return the exit code."""
    image = read_image(Path(os.environ["IMAGE"]))
    figures = list(sizes(image))
    with client_reader(image) as inside:
        python = inside.command(entrypoint(image)[0], "-I")

        def printed(text: str) -> float:
            return float(text)

        figures.append(("python3 to its first line", seconds([*python, "-c", _CLOCK], printed)))
        imported = f"import synapse.app.generic_worker; {_CLOCK}"
        figures.append(("import of generic_worker", seconds([*python, "-c", imported], printed)))
        until_exec = seconds([*python, "-c", _UNTIL_EXEC], printed)
        figures.append(("entrypoint to exec", until_exec))
    print(f"{os.cpu_count()} CPUs, root read-only, times from the start of the container process")
    for what, figure in figures:
        print(f"{what:28}{figure}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
