"""SIGTERM and SIGINT end the container at any time; its process is PID 1, as in an engine."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from sandbox.bwrap import Sandbox
from testbed import services
from testbed.image import Image, container, entrypoint, read_image, unpack
from testbed.processes import Process, StartError
from testbed.site import SQLITE, make_mounts

POSTGRES, SILENT = "127.0.0.2", "127.0.0.4"
MOST = 1.0  # The most seconds that may pass from the signal to the exit.
# Seconds after the first signal handler is set, until somewhat after the reactor has started.
MOMENTS = [0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0]
either_signal = pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)


class Container:
    """A container of the image: user 991, read-only root, PID 1 of its PID namespace."""

    def __init__(self, image: Image, root: Path, folder: Path, homeserver: str = SQLITE) -> None:
        """Create its files in ``folder``."""
        self._image, self._root, self._folder = image, root, folder
        self._mounts = make_mounts(folder, homeserver)

    @property
    def runtime(self) -> Path:
        """Return the folder in which the entrypoint writes."""
        return self._mounts["/synapse_runtime"]

    def start(self, *verb: str, **environ: str) -> Process:
        """Start a verb; return once it has a handler, before which the kernel drops signals."""
        environ = {"SYNAPSE_WORKER": "homeserver"} | environ
        inside = replace(container(self._image, self._root, self._mounts, environ), first=True)
        log = self._folder / "log"
        log.unlink(missing_ok=True)
        process = Process("container", inside.command(*entrypoint(self._image), *verb), log)
        process.start()
        process.wait_until(lambda: hears(process), every=0.002)
        return process


def command_line(process: Process) -> bytes:
    """Return the command line of PID 1, or b"" if it has not started yet."""
    try:
        words = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except OSError:
        return b""
    return b"" if b"bwrap" in words.partition(b"\0")[0] else words


def hears(process: Process) -> bool:
    """Return whether PID 1 has a handler for SIGTERM, and so one for SIGINT too."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return False
    caught = re.search(r"^SigCgt:\t(\w+)$", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> signal.SIGTERM - 1 & 1)


def is_first(process: Process) -> bool:
    """Return whether the process is PID 1 of a PID namespace."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return re.search(r"^NSpid:.*\t1$", status, re.MULTILINE) is not None


def end(process: Process, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
    """Send a signal; return the exit code and the seconds until the process exited."""
    assert is_first(process), "not process 1 of a PID namespace"
    began = time.monotonic()
    process.signal(number)
    code = process.wait(20)
    return code, time.monotonic() - began


def listening(process: Process) -> None:
    """Return once Synapse logs that it is listening."""
    process.wait_until(lambda: "Synapse now listening" in process.log.read_text(), 120)


def report(capsys: pytest.CaptureFixture[str], phase: str, took: float) -> None:
    """Print a duration, given in seconds, also when the test passes."""
    with capsys.disabled():
        print(f"\n{phase}: {took * 1000:.0f} ms from the signal to the end", file=sys.stderr)


@pytest.fixture(scope="module")
def image() -> Image:
    """Return the image."""
    return read_image(Path(os.environ["IMAGE"]))


@pytest.fixture(scope="module")
def root(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder with the unpacked image."""
    folder = tmp_path_factory.mktemp("image") / "root"
    unpack(image, folder)
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Start PostgreSQL; yield its container, in which psql can run too."""
    services_root = Path(os.environ["SERVICES"]).resolve().parent / "root"
    folder = tmp_path_factory.mktemp("postgres")
    process = services.postgres(services_root, folder, POSTGRES)
    yield services.container(services_root, folder / "postgres")
    process.stop()


def homeserver(**args: object) -> str:
    """Return a homeserver.yaml with PostgreSQL; ``args`` override its connection parameters."""
    document = yaml.safe_load(SQLITE)
    given = {"user": "synapse", "dbname": "synapse", "host": POSTGRES} | args
    document["database"] = {"name": "psycopg2", "args": given}
    return yaml.safe_dump(document)


@pytest.fixture
def silent() -> Iterator[None]:
    """Run a server at ``SILENT``, port 5432, that accepts connections and sends nothing."""
    with socket.create_server((SILENT, 5432)):
        yield


@pytest.mark.parametrize("seconds", MOMENTS)
def test_at_any_moment_of_a_start(
    image: Image, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds: float
) -> None:
    """The signals hit every phase: reading, checking, rendering, importing, setup and running."""
    container = Container(image, root, tmp_path)
    process = container.start()
    time.sleep(seconds)
    booted = b"boot.py" in command_line(process)
    code, took = end(process)
    report(capsys, f"{seconds} s after the start ({'Synapse' if booted else 'entrypoint'})", took)
    assert code in (143, 0), process.tail()
    assert took < (MOST if code == 143 else 10)
    left = [path.name for path in container.runtime.iterdir() if path.name.startswith(".")]
    assert left == [], "half-written"


def test_between_the_entrypoint_and_synapse(
    image: Image, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The new interpreter has no handler yet; the signal is blocked and stays pending."""
    process = Container(image, root, tmp_path).start()
    while b"boot.py" not in command_line(process):
        pass
    assert not hears(process), "too late for what is tested"
    code, took = end(process)
    report(capsys, "between the entrypoint and Synapse", took)
    assert code == 143, process.tail()
    assert took < MOST


@either_signal
@pytest.mark.parametrize("verb", ["start", "wait", "healthcheck"])
def test_while_a_service_is_silent(
    image: Image,
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    silent: None,
    verb: str,
    number: signal.Signals,
    code: int,
) -> None:
    """A query to a service cannot be interrupted, and it must not delay the exit."""
    container = Container(image, root, tmp_path, homeserver(host=SILENT))
    words = [verb, "--ready"] if verb == "healthcheck" else [verb]
    if verb == "healthcheck":
        text = (tmp_path / "data/homeserver.yaml").read_text()
        (container.runtime / "homeserver.yaml").write_text(text)
    process = container.start(*words, SYNAPSE_WAIT_SECONDS="60")
    time.sleep(1.5)
    exit_code, took = end(process, number)
    report(capsys, f"{verb} while PostgreSQL is silent, {number.name}", took)
    assert exit_code == code, process.tail()
    assert took < MOST
    assert "Traceback" not in process.tail()


@either_signal
@pytest.mark.parametrize("verb", ["check", "doctor pusher:3", "generate", "print-config"])
def test_verbs_that_end_by_themselves(
    image: Image,
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    number: signal.Signals,
    code: int,
) -> None:
    """SIGTERM, which engines send to stop a container, and SIGINT, of Ctrl-C, end these too."""
    names = {"SYNAPSE_SERVER_NAME": "worker.test", "SYNAPSE_REPORT_STATS": "no"}
    for attempt in range(20):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        try:
            process = Container(image, root, folder).start(*verb.split(), **names)
        except StartError:
            continue  # It ended before its handler was seen.
        if is_first(process):
            break
    else:
        pytest.fail(f"{verb} ended before a signal could be sent, 20 times")
    exit_code, took = end(process, number)
    report(capsys, f"{verb}, {number.name}", took)
    assert exit_code == code, process.tail()
    assert took < MOST
    assert "Traceback" not in process.tail()


def sql(postgres: Sandbox, *words: str) -> subprocess.Popen[str]:
    """Start psql in the container of PostgreSQL."""
    line = postgres.command("psql", "-h", POSTGRES, "-U", "synapse", "-d", "synapse", *words)
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_while_synapse_waits_for_its_database(
    image: Image,
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    postgres: Sandbox,
) -> None:
    """A migration may take hours within a single call of libpq."""
    process = Container(image, root, tmp_path, homeserver()).start()
    listening(process)
    assert process.stop() == 0, process.tail()
    (tmp_path / "again").mkdir()
    with sql(postgres, "-q") as session:
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write("BEGIN; LOCK TABLE schema_version IN ACCESS EXCLUSIVE MODE;\n")
        session.stdin.write("SELECT 'locked';\n")
        session.stdin.flush()
        while "locked" not in session.stdout.readline():
            pass
        process = Container(image, root, tmp_path / "again", homeserver()).start()
        process.wait_until(lambda: _waits_for_lock(postgres), 60)
        code, took = end(process)
        session.stdin.close()
    report(capsys, "Synapse within a query of its set-up", took)
    assert code == 143, process.tail()
    assert took < MOST


def _waits_for_lock(postgres: Sandbox) -> bool:
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with sql(postgres, "-Atc", query) as session:
        return session.communicate()[0].strip() not in ("", "0")


def test_while_it_runs(
    image: Image, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twisted's own handlers are installed by then, so Synapse stops cleanly with exit code 0."""
    for number in (signal.SIGTERM, signal.SIGINT):
        folder = tmp_path / number.name
        folder.mkdir()
        process = Container(image, root, folder).start()
        listening(process)
        time.sleep(1)
        code, took = end(process, number)
        report(capsys, f"Synapse while it runs, {number.name}", took)
        assert code == 0, process.tail()


def test_synapse_is_process_1_alone(image: Image, root: Path, tmp_path: Path) -> None:
    """Synapse replaces the entrypoint, and no other process remains."""
    process = Container(image, root, tmp_path).start()
    process.wait_until(lambda: b"boot.py" in command_line(process))
    assert command_line(process).split(b"\0")[4] == b"synapse.app.homeserver"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    assert children == ""
    end(process)
