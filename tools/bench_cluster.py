"""Measures the workers' start times, with and without bytecode, and their memory."""

import os
import shutil
import statistics
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from testbed.homeserver import Homeserver, Parts
from testbed.layout import Options
from testbed.processes import memory
from tools.benchmarks import parts
from worker.worker_types import load_table

_RUNS = 3
_MANY = (1, 10, 25)


def without_bytecode(root: Path, target: Path) -> Path:
    """Copy an unpacked image without bytecode, as the official Dockerfile leaves it; return it."""
    subprocess.run(["cp", "-a", str(root), str(target)], check=True)
    for folder in list(target.glob("usr/**/__pycache__")):
        shutil.rmtree(folder)
    return target


def restart(homeserver: Homeserver, name: str) -> float:
    """Stop a process and start it again; return the seconds until it is healthy."""
    process = homeserver.processes[name]
    process.stop()
    begin = time.monotonic()
    process.start()
    process.wait_until(lambda: homeserver.healthy(name))
    return time.monotonic() - begin


def starts(folder: Path, parts: Parts, bare: Path) -> None:
    """Print each worker type's time to become healthy in both layouts, and its memory."""
    types = load_table().apps
    workers = {process.slug: app for app, process in types.items() if not process.is_main}
    ours = Homeserver(1, folder / "ours", parts, Options(workers))
    other = Homeserver(2, folder / "bare", replace(parts, root=bare), Options(workers))
    try:
        ours.start()
        used = {process.name: memory(process.pid) for process in ours.synapses()}
        other.start()
        print(f"{'start to healthy, s':22}{'ours':>8}{'bare':>8}{'ratio':>8}{'MiB (PSS)':>12}")
        for name in ["main", *workers]:
            pairs = [(restart(ours, name), restart(other, name)) for _ in range(_RUNS)]
            mine, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
            ratio = theirs / mine
            print(f"{name:22}{mine:8.2f}{theirs:8.2f}{ratio:8.2f}{used[name]:12.0f}", flush=True)
        print(f"{'all together':46}{sum(used.values()):12.0f}")
        ours.stop()
        other.stop()
    finally:
        ours.kill()
        other.kill()


def many(folder: Path, parts: Parts) -> None:
    """Print the start time and memory of main with increasing numbers of workers."""
    print(f"\n{'workers':>8}{'healthy after s':>18}{'MiB (PSS)':>12}")
    for number, count in enumerate(_MANY, 3):
        workers = {f"w{place}": "generic_worker" for place in range(count)}
        homeserver = Homeserver(
            number, folder / f"many{count}", parts, Options(workers, planned=True)
        )
        try:
            begin = time.monotonic()
            homeserver.start()
            seconds = time.monotonic() - begin
            used = sum(memory(process.pid) for process in homeserver.synapses())
            print(f"{count:8}{seconds:18.1f}{used:12.0f}", flush=True)
            homeserver.stop()
        finally:
            homeserver.kill()


def main() -> int:
    """Print the tables; return the exit code."""
    with parts("bench") as (folder, of_homeserver):
        bare = without_bytecode(of_homeserver.root, folder / "bare-root")
        print(f"{os.cpu_count()} CPUs; each start is the median of {_RUNS}, both layouts in turn")
        starts(folder, of_homeserver, bare)
        many(folder, of_homeserver)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
