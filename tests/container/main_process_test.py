"""The main process runs with SQLite, started through the entrypoint as an operator would."""

import hashlib
import hmac
import json
import os
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.image import container, entrypoint, read_image, unpack
from testbed.site import SERVER_NAME, SHARED_SECRET, SQLITE, make_mounts

# A CPU that this test may use.
CPU = min(os.sched_getaffinity(0))
CLIENT = "http://127.0.0.1:8008"


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Return once ``ready()`` is true; fail with ``what`` if it is not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.2)


def call(path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send GET, or POST with ``body``, to the client listener; return the response."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(CLIENT + path, data), timeout=30) as answer:
        document: dict[str, Any] = json.load(answer)
        return document


def healthy() -> bool:
    """Return whether the client listener answers /health."""
    try:
        with urllib.request.urlopen(CLIENT + "/health", timeout=5) as answer:
            return bool(answer.read() == b"OK")
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the data, root and log of the main process."""
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def synapse(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the main process, started as an engine starts it; its log is printed at the end."""
    image = read_image(Path(os.environ["IMAGE"]))
    unpack(image, folder / "root")
    mounts = make_mounts(folder, SQLITE)
    environ = {
        "SYNAPSE_WORKER": "synapse.app.homeserver",
        "SYNAPSE_HOSTNAME": "host-1",
        "SYNAPSE_CPU_AFFINITY": hex(1 << CPU),
    }
    inside = container(image, folder / "root", mounts, environ).in_our_processes()
    command = inside.command(*entrypoint(image))
    log = (folder / "log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: healthy() or process.poll() is not None, "/health answers OK")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        print((folder / "log").read_text()[-8000:])
        subprocess.run(["rm", "-rf", folder / "root"], check=True)


def test_it_answers_health(synapse: subprocess.Popen[bytes]) -> None:
    """The client listener answers /health, which orchestrators query."""
    assert synapse.poll() is None
    assert healthy()


def test_it_serves_the_pinned_version(synapse: subprocess.Popen[bytes]) -> None:
    """The version that Synapse reports is the one in pin.json."""
    pin = json.loads(Path(os.environ["PIN"]).read_text())
    assert "v1.11" in call("/_matrix/client/versions")["versions"]
    server = call("/_matrix/federation/v1/version")["server"]
    assert server == {"name": "Synapse", "version": pin["version"]}


def test_a_user_registers_and_logs_in(synapse: subprocess.Popen[bytes]) -> None:
    """This uses the database, password hashing and the Rust code."""
    nonce = call("/_synapse/admin/v1/register")["nonce"]
    fields = "\0".join([nonce, "alice", "wonderland", "notadmin"])
    mac = hmac.new(SHARED_SECRET.encode(), fields.encode(), hashlib.sha1).hexdigest()
    user = {"nonce": nonce, "username": "alice", "password": "wonderland", "mac": mac}
    assert call("/_synapse/admin/v1/register", user)["user_id"] == f"@alice:{SERVER_NAME}"
    identifier = {"type": "m.id.user", "user": "alice"}
    login = {"type": "m.login.password", "identifier": identifier, "password": "wonderland"}
    assert call("/_matrix/client/v3/login", login)["access_token"]


def test_it_gives_metrics(synapse: subprocess.Popen[bytes]) -> None:
    """Port 9000 serves metrics for Prometheus."""
    with urllib.request.urlopen("http://127.0.0.1:9000/_synapse/metrics", timeout=30) as answer:
        assert b"synapse_build_info" in answer.read()


def test_federation_speaks_tls(synapse: subprocess.Popen[bytes], folder: Path) -> None:
    """Port 8448 presents the mounted certificate."""
    context = ssl.create_default_context(cafile=str(folder / "data/tls.crt"))
    context.check_hostname = False
    url = "https://127.0.0.1:8448/_matrix/federation/v1/version"
    with urllib.request.urlopen(url, timeout=30, context=context) as answer:
        assert json.load(answer)["server"]["name"] == "Synapse"


def test_each_log_line_names_application_and_host(
    synapse: subprocess.Popen[bytes], folder: Path
) -> None:
    """The logs of twelve containers may be collected in one place."""
    lines = (folder / "log").read_text().splitlines()
    assert any(line.startswith("synapse.app.homeserver [host-1] - ") for line in lines)


def test_rendered_files_are_private(synapse: subprocess.Popen[bytes], folder: Path) -> None:
    """Rendered files contain the operator's secrets, so only their owner can read them."""
    modes = {
        path.name: path.stat().st_mode & 0o777 for path in (folder / "synapse_runtime").iterdir()
    }
    assert modes.pop("home") == 0o700
    assert set(modes) == {"homeserver.yaml", "log.yaml", "replication_secret"}
    assert set(modes.values()) == {0o600}


def pid_of(process: subprocess.Popen[bytes]) -> int:
    """Return the process ID of Synapse, even if a bwrap process is waiting for it."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else process.pid


def test_synapse_runs_on_the_chosen_cpu(synapse: subprocess.Popen[bytes]) -> None:
    """Every thread runs on the chosen CPU; Synapse itself has ignored the setting since 1.1."""
    threads = Path(f"/proc/{pid_of(synapse)}/task").iterdir()
    assert {tuple(os.sched_getaffinity(int(thread.name))) for thread in threads} == {(CPU,)}


def test_nothing_of_the_launcher_reaches_synapse(synapse: subprocess.Popen[bytes]) -> None:
    """Variables of Bazel's launcher and of the predecessor would affect what Synapse imports."""
    environ = Path(f"/proc/{pid_of(synapse)}/environ").read_bytes().split(b"\0")
    names = {line.partition(b"=")[0].decode() for line in environ if line}
    assert not {name for name in names if name.startswith(("PYTHON", "RUNFILES", "BAZEL"))}


def test_sigterm_ends_it_cleanly(synapse: subprocess.Popen[bytes]) -> None:
    """On SIGTERM, as from `docker stop`, Synapse exits with code 0 within 5 s; must come last."""
    os.kill(pid_of(synapse), signal.SIGTERM)
    assert synapse.wait(timeout=5) == 0
