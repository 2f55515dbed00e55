"""Compares settings of the allocator, and what processes that are forked from one parent copy.

Each variant starts on a database that is migrated already, idles, and then answers the same
requests.  What is measured does not depend on the speed of the machine, except for the CPU time.
"""

import argparse
import mmap
import statistics
import threading
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from testbed.homeserver import Homeserver, Parts
from testbed.layout import MAIN, Options
from testbed.processes import cpu_seconds, memory
from tools.benchmarks import one_of_each, parts, start_all
from tools.users import use

_IDLE_SECONDS = 15
_USERS = 6
_REQUESTS = 200
# https://jemalloc.net/jemalloc.3.html#tuning and mallopt(3).
_VARIANTS = {
    "as it is": {},
    "narenas:1": {"MALLOC_CONF": "narenas:1"},
    "narenas:1, tcache:false": {"MALLOC_CONF": "narenas:1,tcache:false"},
    "dirty_decay_ms:0": {"MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0"},
    "dirty_decay_ms:1000": {"MALLOC_CONF": "dirty_decay_ms:1000,muzzy_decay_ms:0"},
    "narenas:1, decay 0": {"MALLOC_CONF": "narenas:1,dirty_decay_ms:0,muzzy_decay_ms:0"},
    "C library": {"SYNAPSE_JEMALLOC": "off"},
    "C library, one arena": {"SYNAPSE_JEMALLOC": "off", "MALLOC_ARENA_MAX": "1"},
}


@dataclass
class Figures:
    """What was measured of one variant, one value for each run.

    Attributes:
        idle: the memory of all processes in MiB (PSS) before the requests, the parent included.
        used: the same after them.
        worked: their CPU seconds for the requests.
    """

    idle: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)


def _memory(homeserver: Homeserver) -> float:
    return sum(memory(process.pid) for process in homeserver.synapses_and_parents())


def _cpu_seconds(homeserver: Homeserver) -> float:
    return sum(cpu_seconds(process.pid) for process in homeserver.synapses_and_parents())


def _pages(pid: int) -> dict[int, bool]:
    """Return the anonymous pages of a process by number, and whether no other process has them.

    From proc_pid_maps(5) and proc_pid_pagemap(5): bit 63 is set for pages in memory, bit 61 for
    those of files, bit 56 for those that are mapped once.
    """
    size = mmap.PAGESIZE
    pages = {}
    with Path(f"/proc/{pid}/pagemap").open("rb") as pagemap:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            first, last = (int(text, 16) // size for text in line.split()[0].split("-"))
            if "[v" in line:  # The kernel's own: vvar, vdso and vsyscall.
                continue
            pagemap.seek(first * 8)
            entries = array("Q", pagemap.read((last - first) * 8))
            for page, entry in enumerate(entries, first):
                if entry >> 63 & 1 and not entry >> 61 & 1:
                    pages[page] = bool(entry >> 56 & 1)
    return pages


def _print_pages(homeserver: Homeserver, title: str) -> None:
    """Print the memory of each process: copies of the parent's pages, new and shared pages."""
    of_parent = _pages(homeserver.processes[homeserver.layout.container_of(MAIN)].pid)
    print(f"\n{title + ', MiB':26}{'copied':>8}{'new':>8}{'shared':>8}")
    for process in homeserver.synapses():
        sizes = Counter(
            "shared" if not alone else "copied" if page in of_parent else "new"
            for page, alone in _pages(process.pid).items()
        )
        copied, new, shared = (
            sizes[name] * mmap.PAGESIZE / 2**20 for name in ("copied", "new", "shared")
        )
        print(f"{process.name:26}{copied:8.1f}{new:8.1f}{shared:8.1f}")


def _load(homeserver: Homeserver) -> None:
    """Return once all users have sent their requests."""
    never = threading.Event()
    users = [
        threading.Thread(
            target=use,
            args=(homeserver, f"user{number}", never),
            kwargs={"pause": 0, "requests": _REQUESTS},
        )
        for number in range(_USERS)
    ]
    for user in users:
        user.start()
    for user in users:
        user.join()


def _measure(homeserver: Homeserver, figures: Figures, *, shows_pages: bool) -> None:
    """Start the processes, and measure one run."""
    start_all(homeserver)
    time.sleep(_IDLE_SECONDS)
    figures.idle.append(_memory(homeserver))
    if shows_pages:
        _print_pages(homeserver, "idle")
    before = _cpu_seconds(homeserver)
    _load(homeserver)
    figures.worked.append(_cpu_seconds(homeserver) - before)
    figures.used.append(_memory(homeserver))
    if shows_pages:
        _print_pages(homeserver, "used")


def compare(folder: Path, parts: Parts, runs: int) -> None:
    """Print the medians of ``runs`` runs of each variant, all in turn."""
    figures = {name: Figures() for name in _VARIANTS}
    for run in range(runs):
        for number, (name, environ) in enumerate(_VARIANTS.items(), 1):
            options = Options(one_of_each(), planned=True, parents=1, environ=environ)
            homeserver = Homeserver(number, folder / f"{number}.{run}", parts, options)
            try:
                homeserver.start()
                homeserver.processes[homeserver.layout.container_of(MAIN)].stop(30)
                shows_pages = not environ and run == 0
                _measure(homeserver, figures[name], shows_pages=shows_pages)
            finally:
                homeserver.kill()
    print(f"\n{'medians of ' + str(runs):26}{'idle, MiB':>10}{'used, MiB':>11}{'CPU, s':>8}")
    for name, of_variant in figures.items():
        idle, used, worked = map(
            statistics.median, (of_variant.idle, of_variant.used, of_variant.worked)
        )
        print(f"{name:26}{idle:10.0f}{used:11.0f}{worked:8.1f}", flush=True)


def main() -> int:
    """Print the comparison; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="how often; the default is 3")
    runs = parser.parse_args().runs
    with parts("bench") as (folder, of_homeserver):
        compare(folder, of_homeserver, runs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
