"""Compares processes in containers of their own with the same processes forked from one parent.

Both layouts run in turn on databases that are migrated already: the time until all processes are
healthy, their memory after a pause, and the time that one worker takes to be healthy again.  Where
other programs run, the CPU time says more.
"""

import os
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from testbed.homeserver import Homeserver, Parts
from testbed.layout import Options
from testbed.processes import cpu_seconds, memory
from tools.benchmarks import one_of_each, parts, start_all

_RUNS = 5
_IDLE_SECONDS = 15
_RESTARTED = "synchrotron"
_MANY = 25
_LAYOUTS = {"separate": 0, "one parent": 1}


@dataclass
class Figures:
    """What was measured of one layout, one value for each run.

    Attributes:
        started: seconds until all processes were healthy, after all containers were started.
        worked: CPU seconds of all processes until then.
        used: their memory in MiB (PSS), parents included.
        restarted: seconds until a worker that had ended was healthy again.
    """

    started: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)
    restarted: list[float] = field(default_factory=list)


def _stop(homeserver: Homeserver) -> None:
    for name in reversed(homeserver.layout.containers):
        homeserver.processes[name].stop(30)


def _restart(homeserver: Homeserver) -> float:
    """End a worker; return the seconds from its end until it is healthy again."""
    process = homeserver.processes[_RESTARTED]
    if homeserver.layout.containers.keys() >= {_RESTARTED}:
        process.stop()
        begin = time.monotonic()
        process.start()
    else:
        pid = process.pid
        verb = homeserver.command(_RESTARTED, "restart", _RESTARTED)
        with subprocess.Popen(verb, stdout=subprocess.DEVNULL):
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.005)
            begin = time.monotonic()
            homeserver.wait_healthy(_RESTARTED)
            return time.monotonic() - begin
    homeserver.wait_healthy(_RESTARTED)
    return time.monotonic() - begin


def measure(homeserver: Homeserver, figures: Figures) -> None:
    """Measure one run, and stop the processes."""
    figures.started.append(start_all(homeserver))
    figures.worked.append(
        sum(cpu_seconds(process.pid) for process in homeserver.synapses_and_parents())
    )
    time.sleep(_IDLE_SECONDS)
    figures.used.append(sum(memory(process.pid) for process in homeserver.synapses_and_parents()))
    if _RESTARTED in homeserver.layout.names:
        figures.restarted.append(_restart(homeserver))
    _stop(homeserver)


def compare(folder: Path, parts: Parts, workers: dict[str, str], number: int, runs: int) -> None:
    """Print the medians of ``runs`` runs of each layout, both in turn, and their ratios."""
    homeservers = {
        layout: Homeserver(
            number + parents,
            folder / f"{number + parents}",
            parts,
            Options(workers, planned=True, parents=parents),
        )
        for layout, parents in _LAYOUTS.items()
    }
    figures = {layout: Figures() for layout in _LAYOUTS}
    try:
        for homeserver in homeservers.values():
            homeserver.start()  # Migrates its database.
            _stop(homeserver)
        for _ in range(runs):
            for layout, homeserver in homeservers.items():
                measure(homeserver, figures[layout])
    finally:
        for homeserver in homeservers.values():
            homeserver.kill()
    print(f"\n{len(workers) + 1} processes, medians of {runs} runs")
    print(f"{'':34}{'separate':>10}{'one parent':>12}{'ratio':>8}")
    rows = {
        "all healthy after, s": [figures[layout].started for layout in _LAYOUTS],
        "CPU time until then, s": [figures[layout].worked for layout in _LAYOUTS],
        f"memory after {_IDLE_SECONDS} s, MiB (PSS)": [figures[layout].used for layout in _LAYOUTS],
        "a restarted worker healthy, s": [figures[layout].restarted for layout in _LAYOUTS],
    }
    for title, values in rows.items():
        if values[0]:
            separate, together = map(statistics.median, values)
            ratio = together / separate
            print(f"{title:34}{separate:10.2f}{together:12.2f}{ratio:8.2f}", flush=True)


def main() -> int:
    """Print both comparisons; return the exit code."""
    with parts("bench") as (folder, of_homeserver):
        print(f"{os.cpu_count()} CPUs; both layouts in turn")
        compare(folder, of_homeserver, one_of_each(), 1, _RUNS)
        many = {f"w{number}": "generic_worker" for number in range(1, _MANY + 1)}
        compare(folder, of_homeserver, many, 3, _RUNS)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
