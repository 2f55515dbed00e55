"""What the benchmarks of whole homeservers share: the unpacked image, services and workers."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.homeserver import Homeserver, Parts
from testbed.image import read_image, unpack
from testbed.site import make_authority
from worker.worker_types import load_table


@contextmanager
def parts(purpose: str) -> Iterator[tuple[Path, Parts]]:
    """Yield a temporary folder, and the parts of a homeserver that are in it or come from Bazel.

    Args:
        purpose: a word for the name of the folder.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"synapse-{purpose}."))
    try:
        image = read_image(Path(os.environ["IMAGE"]))
        unpack(image, folder / "root")
        services = Path(os.environ["SERVICES"]).resolve().parent / "root"
        authority = make_authority(folder / "authority")
        yield folder, Parts(image, folder / "root", services, authority)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def one_of_each() -> dict[str, str]:
    """Return the worker types of a worker for each application, joined by ``+``, by its name."""
    types = load_table().apps.values()
    return {process.slug: process.joined for process in types if not process.is_main}


def start_all(homeserver: Homeserver) -> float:
    """Start all containers at once; return the seconds until every process is healthy."""
    begin = time.monotonic()
    for name in homeserver.layout.containers:
        homeserver.processes[name].start()
    for name in homeserver.layout.names:
        homeserver.wait_healthy(name)
    return time.monotonic() - begin
