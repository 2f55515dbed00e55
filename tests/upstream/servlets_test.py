"""Every request goes to a process that serves it, according to the image's own Synapse."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.image import read_image, unpack
from tests.upstream.agreement import STAYS_WITH_MAIN, kinds, unrouted, unserved, without_main
from tests.upstream.servlets import Served, samples, served
from worker.worker_types import Table, load_table

ADMIN = "/_synapse/admin/"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the unpacked image."""
    folder = tmp_path_factory.mktemp("image") / "root"
    unpack(read_image(Path(os.environ["IMAGE"])), folder)
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


@pytest.fixture(scope="module")
def table(root: Path) -> Table:
    """Return the table for the Synapse in the image."""
    (metadata,) = root.glob("usr/local/lib/python3.*/*-packages/matrix_synapse-*.dist-info")
    version = metadata.name.removeprefix("matrix_synapse-").removesuffix(".dist-info")
    return replace(load_table(), version=version)


@pytest.fixture(scope="module")
def by_login(
    root: Path, table: Table, tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, Served]:
    """Return what the processes of the image serve, by whether logins are delegated."""
    folder = tmp_path_factory.mktemp("served")
    image = read_image(Path(os.environ["IMAGE"]))
    return {
        delegated: served(image, root, folder / str(delegated), kinds(table), delegated=delegated)
        for delegated in (False, True)
    }


@pytest.fixture(params=[False, True], ids=["own logins", "delegated logins"])
def processes(request: pytest.FixtureRequest, by_login: dict[bool, Served]) -> Served:
    """Return what the processes of the image serve, with either of two ways to log in."""
    return by_login[request.param]


def test_workers_get_what_they_serve(table: Table, processes: Served) -> None:
    """A request that a worker serves is routed to one, or there is a reason why not."""
    assert list(unrouted(table, processes, STAYS_WITH_MAIN)) == []


def test_workers_serve_what_they_get(table: Table, processes: Served) -> None:
    """No worker answers 404 M_UNRECOGNIZED to what main would have served."""
    assert list(unserved(table, processes)) == []


def test_main_serves_what_it_stands_in_for(table: Table, processes: Served) -> None:
    """While workers are away, main can answer."""
    assert list(without_main(table, processes)) == []


def test_the_processes_serve_many_paths(processes: Served) -> None:
    """The comparisons are not of two empty lists."""
    least = {
        ("client",): 150,
        ("client", "federation"): 180,
        ("client", "media"): 180,
        ("federation",): 30,
    }
    assert {kind: len(servlets) >= least[kind] for kind, servlets in processes.workers.items()} == (
        dict.fromkeys(least, True)
    )
    assert len(processes.main) >= 350


def test_every_reason_is_needed(table: Table, by_login: dict[bool, Served]) -> None:
    """An exception that no servlet needs any more is removed."""
    requests = [line for processes in by_login.values() for line in unrouted(table, processes, {})]
    unused = [
        reason
        for reason in STAYS_WITH_MAIN
        if not any(re.fullmatch(reason, one) for one in requests)
    ]
    assert unused == []


def test_the_list_of_the_admin_api_is_complete(processes: Served) -> None:
    """tests/deploy sends a request to each of its paths."""
    lines = Path(os.environ["ADMIN_API"]).read_text(encoding="utf-8").splitlines()
    served_here = {
        f"{servlet.method} {path}"
        for servlet in processes.main
        for path in servlet.paths
        if path.startswith(ADMIN)
    }
    assert served_here <= {line for line in lines if not line.startswith("#")}


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("^/a/(r0|v3)/b$", ["/a/r0/b", "/a/v3/b"]),
        ("^/a/(?P<room_id>[^/]*)(/(?P<name>[^/]+))?$", ["/a/x1", "/a/x1/x1"]),
        (r"^/a\.b/.*/c/?$", ["/a.b/x1/c", "/a.b/x1/c/"]),
        (r"^/(?P<stage>[\w\.]*)(/|$)", ["/x1", "/x1/"]),
    ],
)
def test_samples(pattern: str, paths: list[str]) -> None:
    """Each alternative of a pattern has a sample that matches it."""
    assert samples(pattern) == paths
    assert all(re.search(pattern, path) for path in paths)
