"""Compares the memory of both layouts over time, under load; prints a table as CSV.

Two homeservers run side by side: one with a container for each process, and one whose processes are
forked from one parent.  Both get the same requests.  The last column is the ratio of the two.
"""

import argparse
import itertools
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from testbed.homeserver import Homeserver, Parts
from testbed.layout import Options
from testbed.processes import memory
from tools.benchmarks import one_of_each, parts
from tools.users import use

_USERS = 6
_SAMPLE_SECONDS = 30.0
COLUMNS = ("minutes", "separate MiB", "one parent MiB", "smallest child", "largest child", "ratio")


def _memories(homeserver: Homeserver) -> dict[str, float]:
    """Return the memory of each process of Synapse and of their parents, in MiB (PSS)."""
    processes = homeserver.synapses_and_parents()
    return {process.name: memory(process.pid) for process in processes}


def _sample(separate: Homeserver, together: Homeserver) -> str:
    """Return a row of the table, without its time."""
    apart, shared = _memories(separate), _memories(together)
    children = [shared[process.name] for process in together.synapses()]
    total, shared_total = sum(apart.values()), sum(shared.values())
    return (
        f"{total:.0f},{shared_total:.0f},{min(children):.1f},{max(children):.1f},"
        f"{shared_total / total:.3f}"
    )


def measure(folder: Path, parts: Parts, seconds: float) -> None:
    """Run both homeservers for ``seconds``, and print the table."""
    workers = one_of_each()
    homeservers = [
        Homeserver(
            number, folder / f"{number}", parts, Options(workers, planned=True, parents=parents)
        )
        for number, parents in ((1, 0), (2, 1))
    ]
    ends = threading.Event()
    with ExitStack() as stack:
        for homeserver in homeservers:
            stack.callback(homeserver.kill)
            homeserver.start()
        users = [
            threading.Thread(target=use, args=(homeserver, f"user{number}", ends))
            for homeserver in homeservers
            for number in range(_USERS)
        ]
        begin = time.monotonic()
        print(",".join(COLUMNS), flush=True)
        for user in users:
            user.start()
        try:
            for number in itertools.count():
                minutes = (time.monotonic() - begin) / 60
                print(f"{minutes:.1f},{_sample(*homeservers)}", flush=True)
                if minutes * 60 >= seconds:
                    break
                time.sleep(max(0.0, begin + (number + 1) * _SAMPLE_SECONDS - time.monotonic()))
        finally:
            ends.set()
            for user in users:
                user.join(60)


def main() -> int:
    """Measure for as many minutes as the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="how long; the default is 60")
    seconds = parser.parse_args().minutes * 60
    with parts("soak") as (folder, of_homeserver):
        measure(folder, of_homeserver, seconds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
