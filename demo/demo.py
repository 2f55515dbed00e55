"""Runs a whole homeserver on loopback with one worker of each type, and shows their state."""

import argparse
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
import urllib.error
from collections.abc import Sequence
from pathlib import Path

from sandbox.bwrap import MissingProgramError
from testbed.homeserver import Homeserver, Parts
from testbed.image import read_image, unpack
from testbed.layout import PORTS, Options
from testbed.processes import StartError, memory
from testbed.site import make_authority
from worker.worker_types import load_table

_REQUESTS = "synapse_http_server_requests_received_total"


def table(homeserver: Homeserver) -> list[str]:
    """Return a table with the health, memory and requests of each Synapse process, as lines."""
    lines = [f"{'process':20}{'address':14}{'health':10}{'MiB (PSS)':>10}{'requests':>10}"]
    total = 0.0
    for process in homeserver.synapses():
        name = process.name
        health, used, requests = "down", 0.0, "-"
        if process.running and homeserver.healthy(name):
            health = "healthy"
            used = memory(process.pid)
            try:
                requests = f"{homeserver.count(name, _REQUESTS):.0f}"
            except (urllib.error.URLError, OSError):
                pass
        total += used
        lines.append(
            f"{name:20}{homeserver.layout.host_of(name):14}{health:10}{used:10.0f}{requests:>10}"
        )
    lines.append(f"{'all':44}{total:10.0f}")
    return lines


def introduce(homeserver: Homeserver, users: dict[str, str]) -> None:
    """Print the addresses, users and routes that can be tried."""
    print(f"\nclients:     {homeserver.layout.url}")
    print(f"federation:  https://{homeserver.layout.proxy}:{PORTS['federation']}")
    for user, password in users.items():
        print(f"user:        {user}  password: {password}")
    print("\nroutes (nginx; everything else goes to main):")
    for route in json.loads(homeserver.routes("json"))["routes"]:
        for match in route["match"]:
            methods = f"  {' '.join(match['methods'])}" if match["methods"] else ""
            print(f"  {route['servers'][0]['name']:20}{match['pattern']}{methods}")
    print()


def show(homeserver: Homeserver, seconds: float) -> None:
    """Show the table until ``seconds`` have passed, or forever if ``seconds`` is 0."""
    end = time.monotonic() + seconds if seconds else float("inf")
    terminal = sys.stdout.isatty()
    drawn = 0
    while True:
        lines = table(homeserver)
        if terminal and drawn:
            print(f"\033[{drawn}A", end="")
        if terminal or not drawn:
            print("\n".join(f"{line}\033[K" if terminal else line for line in lines), flush=True)
        drawn = len(lines)
        if time.monotonic() >= end:
            return
        time.sleep(min(2.0, max(0.0, end - time.monotonic())))


def run(folder: Path, image_folder: Path, services: Path, options: argparse.Namespace) -> None:
    """Run the demo in ``folder`` as ``options`` say."""
    seconds: float = options.seconds
    print("unpacking the image", flush=True)
    image = read_image(image_folder)
    unpack(image, folder / "root")
    parts = Parts(image, folder / "root", services, make_authority(folder / "authority"))
    types = load_table().apps
    workers = {process.slug: app for app, process in types.items() if not process.is_main}
    layout = Options(workers)
    if options.one_container:
        joined = {types[app].slug: types[app].joined for app in workers.values()}
        layout = Options(joined, planned=True, parents=1)
    homeserver = Homeserver(1, folder / "homeserver", parts, layout)
    try:
        begin = time.monotonic()
        print(f"starting PostgreSQL, Redis, {len(types)} Synapse processes and nginx", flush=True)
        homeserver.start()
        print(f"all healthy after {time.monotonic() - begin:.1f} s", flush=True)
        passwords = [secrets.token_urlsafe(9) for _ in range(2)]
        users = {
            homeserver.register(name, password): password
            for name, password in zip(("alice", "bob"), passwords, strict=True)
        }
        introduce(homeserver, users)
        if not seconds:
            print("Press Ctrl-C to stop it.", flush=True)
        show(homeserver, seconds)
    finally:
        # A second Ctrl-C must not interrupt the shutdown and leave processes behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("\nstopping: nginx, workers, main, Redis, PostgreSQL", flush=True)
        statuses = homeserver.stop()
        homeserver.kill()
        bad = {name: status for name, status in statuses.items() if status}
        print(f"stopped{f'; these did not exit with 0: {bad}' if bad else ''}", flush=True)


def main(argv: Sequence[str]) -> int:
    """Run until Ctrl-C or for ``--seconds``; return 1 if something did not start, otherwise 0."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument(
        "--seconds",
        type=float,
        default=0,
        help="stop after this many seconds; the default is to run until Ctrl-C",
    )
    parser.add_argument(
        "--one-container", action="store_true", help="fork all Synapse processes from one parent"
    )
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    folder = Path(tempfile.mkdtemp(prefix="synapse-demo."))
    services = Path(os.environ["SERVICES"]).resolve().parent / "root"
    try:
        run(folder, Path(os.environ["IMAGE"]), services, options)
    except KeyboardInterrupt:
        return 0
    except (MissingProgramError, StartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
