"""`wait` and `healthcheck --ready` keep their deadlines in the image when services are stuck."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from testbed import services
from testbed.image import Image, container, entrypoint, read_image, unpack
from testbed.processes import Process
from testbed.site import WORKERS, make_data
from tests.worker.servers import Behaviour, deaf, dripping, dripping_headers, endless, silent

POSTGRES, REDIS, MAIN = "127.0.0.2", "127.0.0.3", "127.0.0.4"
PORTS = {POSTGRES: 5432, REDIS: 6379, MAIN: 9093}
READY = 5.5  # Seconds: the documented 5, plus some time for the sandbox.
SILENCE = r"has not answered within [1-4](\.\d)? s"
Run = Callable[..., tuple[int, str, float]]


@pytest.fixture(scope="module")
def image() -> Image:
    """Return the image."""
    return read_image(Path(os.environ["IMAGE"]))


@pytest.fixture(scope="module")
def root(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder with the unpacked image."""
    folder = tmp_path_factory.mktemp("image") / "root"
    unpack(image, folder)
    (folder / "etc/resolv.conf").touch()  # Container engines create it as a mount point.
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


def _serve(listener: socket.socket, behaviour: Behaviour, kept: list[socket.socket]) -> None:
    def handle(connection: socket.socket) -> None:
        try:
            behaviour(connection)
        except OSError:
            connection.close()

    while True:
        try:
            connection = listener.accept()[0]
        except OSError:
            return
        kept.append(connection)
        threading.Thread(target=handle, args=[connection], daemon=True).start()


@pytest.fixture
def serve() -> Iterator[Callable[[str, Behaviour], None]]:
    """Yield a function that runs a server with a behavior at an address until the test ends."""
    kept: list[socket.socket] = []
    with ExitStack() as stack:

        def start(address: str, behaviour: Behaviour) -> None:
            listener = stack.enter_context(socket.create_server((address, PORTS[address])))
            threading.Thread(target=_serve, args=[listener, behaviour, kept], daemon=True).start()
            stack.callback(listener.shutdown, socket.SHUT_RDWR)

        yield start
        for connection in kept:
            connection.close()


@pytest.fixture
def run(image: Image, root: Path, tmp_path: Path) -> Run:
    """Return a function that runs a verb and returns its exit code, stderr and seconds taken."""

    def runs(*verb: str, host: str = POSTGRES, resolver: str = "") -> tuple[int, str, float]:
        document = yaml.safe_load(WORKERS)
        document["database"]["args"] = {"user": "synapse", "dbname": "synapse", "host": host}
        document["redis"] = {"enabled": True, "host": REDIS}
        document["instance_map"] = {"main": {"host": MAIN, "port": PORTS[MAIN]}}
        data, runtime = tmp_path / "data", tmp_path / "runtime"
        if not data.exists():
            make_data(data, "")
            runtime.mkdir()
        for folder in (data, runtime):
            (folder / "homeserver.yaml").write_text(yaml.safe_dump(document))
        environ = {
            "SYNAPSE_WORKER": "synapse.app.pusher",
            "SYNAPSE_WORKER_NAME": "pusher1",
            "SYNAPSE_REPLICATION_HOST": MAIN,
        }
        files = {"/data": data}
        if resolver:
            (tmp_path / "resolv.conf").write_text(f"nameserver {resolver}\n")
            files["/etc/resolv.conf"] = tmp_path / "resolv.conf"
        inside = container(image, root, {"/synapse_runtime": runtime}, environ, files)
        line = inside.command(*entrypoint(image), *verb)
        began = time.monotonic()
        done = subprocess.run(line, text=True, capture_output=True, check=False)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr, time.monotonic() - began

    return runs


def report(capsys: pytest.CaptureFixture[str], what: str, took: float) -> None:
    """Print a duration in seconds, also when the test passes."""
    with capsys.disabled():
        print(f"\n{what}: {took:.2f} s", file=sys.stderr)


@pytest.mark.parametrize("behaviour", [silent, deaf, dripping, endless, dripping_headers])
@pytest.mark.parametrize(
    ("address", "name"),
    [
        (POSTGRES, "PostgreSQL at 127.0.0.2 port 5432"),
        (REDIS, "Redis at 127.0.0.3 port 6379"),
        (MAIN, "the main process at 127.0.0.4 port 9093"),
    ],
    ids=["PostgreSQL", "Redis", "main"],
)
def test_ready_ends_in_time(
    run: Run,
    serve: Callable[[str, Behaviour], None],
    capsys: pytest.CaptureFixture[str],
    address: str,
    name: str,
    behaviour: Behaviour,
) -> None:
    """It must end before the engine's own timeout, which would kill it without any message."""
    serve(address, behaviour)
    code, lines, took = run("healthcheck", "--ready")
    report(capsys, f"healthcheck --ready, {name}: {behaviour.__name__}", took)
    assert code == 1
    assert name in lines
    assert took < READY


def test_all_stuck_at_once_take_no_longer(
    run: Run, serve: Callable[[str, Behaviour], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The services are checked in parallel, and each gets a line of its own."""
    for address in PORTS:
        serve(address, silent)
    code, lines, took = run("healthcheck", "--ready")
    report(capsys, "healthcheck --ready, all silent", took)
    assert (code, len(list(re.finditer(SILENCE, lines)))) == (1, 3), lines
    assert took < READY
    code, lines, took = run("wait", "3")
    report(capsys, "wait 3, all silent", took)
    assert (code, lines.count("error: after 3 s: ")) == (75, 3)
    assert 2.5 < took < 5


@pytest.fixture
def mute_resolver() -> Iterator[str]:
    """Yield the address of a name server that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.5", 53))
        yield "127.0.0.5"


def test_a_mute_name_server_does_not_hold_it_up(
    run: Run, mute_resolver: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """getaddrinfo takes tens of seconds and cannot be interrupted."""
    code, lines, took = run("healthcheck", "--ready", host="db.test", resolver=mute_resolver)
    report(capsys, "healthcheck --ready, a mute name server", took)
    assert code == 1
    assert re.search(f"PostgreSQL at db.test port 5432 {SILENCE}", lines), lines
    assert took < READY
    code, lines, took = run("wait", "3", host="db.test", resolver=mute_resolver)
    report(capsys, "wait 3, a mute name server", took)
    assert code == 75
    assert took < 5


def test_a_frozen_postgresql_and_a_frozen_redis(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Servers stopped by SIGSTOP still accept connections, but never answer."""
    root = Path(os.environ["SERVICES"]).resolve().parent / "root"
    started: list[Process] = []
    try:
        started.append(services.postgres(root, tmp_path, POSTGRES))
        started.append(services.redis(root, tmp_path, REDIS))
        code, lines, took = run("wait", "1")
        assert code == 75
        assert "PostgreSQL" not in lines
        assert "Redis" not in lines
        for process in started:
            subprocess.run(["kill", "-STOP", str(process.pid)], check=True)
        code, lines, took = run("healthcheck", "--ready")
        report(capsys, "healthcheck --ready, PostgreSQL and Redis stopped by SIGSTOP", took)
        assert re.search(f"PostgreSQL at 127.0.0.2 port 5432 {SILENCE}", lines), lines
        assert re.search(f"Redis at 127.0.0.3 port 6379 {SILENCE}", lines), lines
        assert took < READY
    finally:
        for process in started:
            process.kill()
        shutil.rmtree(tmp_path / "postgres", ignore_errors=True)
