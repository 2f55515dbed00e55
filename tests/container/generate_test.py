"""An operator's first steps (generate, check, start) as a user that is unknown in the image."""

import json
import stat
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.image import Image, container, entrypoint
from testbed.site import make_mounts

NAMED = {"SYNAPSE_SERVER_NAME": "example.com", "SYNAPSE_REPORT_STATS": "no"}
START = {"SYNAPSE_WORKER": "synapse.app.homeserver", "SYNAPSE_FEDERATION_TLS": "off"}


@pytest.fixture(scope="module")
def mounts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the empty folders to mount, by their path in the container."""
    return make_mounts(tmp_path_factory.mktemp("mounts"))


def command(
    image: Image, root: Path, mounts: Mapping[str, Path], environ: Mapping[str, str], *verb: str
) -> list[str]:
    """Return the command line of a container as uid 12345, which is not in /etc/passwd."""
    inside = replace(container(image, root, mounts, environ), user=(12345, 54321))
    return inside.command(*entrypoint(image), *verb)


def run(
    image: Image, root: Path, mounts: Mapping[str, Path], environ: Mapping[str, str], verb: str
) -> subprocess.CompletedProcess[str]:
    """Run a verb and wait for it to end."""
    line = command(image, root, mounts, environ, verb)
    return subprocess.run(line, text=True, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("environ", "lines"),
    [
        (
            {},
            [
                "error: SYNAPSE_SERVER_NAME is not set; set it to the part after the colon in user "
                "IDs",
                "error: SYNAPSE_REPORT_STATS='' is neither yes nor no; use yes to send anonymous "
                "statistics to matrix.org, or no",
            ],
        ),
        (
            NAMED | {"SYNAPSE_SERVER_NAME": "https://x"},
            [
                "error: SYNAPSE_SERVER_NAME='https://x' is not a server name; use a name such as "
                "example.com, followed by a port if needed"
            ],
        ),
    ],
)
def test_wrong_names_are_refused_and_nothing_is_written(
    image: Image, root: Path, mounts: dict[str, Path], environ: dict[str, str], lines: list[str]
) -> None:
    """Wrong names must be refused because a server name can never be changed later."""
    done = run(image, root, mounts, environ, "generate")
    assert (done.returncode, done.stderr.splitlines()) == (2, lines)
    assert list(mounts["/data"].iterdir()) == []


def test_it_writes_what_a_homeserver_needs(
    image: Image, root: Path, mounts: dict[str, Path]
) -> None:
    """The files are readable only by their owner, and Synapse accepts them."""
    done = run(image, root, mounts, NAMED, "generate")
    assert done.returncode == 0, done.stderr
    written = [line.removeprefix("wrote /data/") for line in done.stdout.splitlines()]
    assert written == [
        "registration_shared_secret",
        "macaroon_secret_key",
        "form_secret",
        "signing.key",
        "homeserver.yaml",
    ]
    for path in mounts["/data"].iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    checked = run(image, root, mounts, START, "check")
    assert checked.stdout.startswith("ok: synapse.app.homeserver: accepted by Synapse"), (
        checked.stderr
    )


def test_it_replaces_nothing(image: Image, root: Path, mounts: dict[str, Path]) -> None:
    """Replacing the files in a second run would give the homeserver a new identity."""
    before = {path.name: path.read_bytes() for path in mounts["/data"].iterdir()}
    done = run(image, root, mounts, NAMED, "generate")
    assert (done.returncode, done.stderr) == (
        2,
        "error: /data/homeserver.yaml already exists; it is not replaced\n",
    )
    assert {path.name: path.read_bytes() for path in mounts["/data"].iterdir()} == before


def test_what_was_generated_starts(image: Image, root: Path, mounts: dict[str, Path]) -> None:
    """Synapse starts from a read-only root as a user that is not in passwd, and logs JSON."""
    log = mounts["/data"].parent / "log"
    line = command(image, root, mounts, START | {"SYNAPSE_LOG_FORMAT": "json"})
    with log.open("wb") as output:
        process = subprocess.Popen(line, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen("http://127.0.0.1:8080/health", timeout=3) as answer:
                    assert answer.read() == b"OK"
                    break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
        healthy = run(image, root, mounts, START, "healthcheck")
        assert (healthy.returncode, healthy.stdout) == (0, "healthy\n"), healthy.stderr
    finally:
        process.terminate()
        process.wait(20)
    lines = log.read_text().splitlines()
    assert len(lines) > 5
    try:
        logged = [json.loads(line) for line in lines if not line.startswith("warning: ")]
    except ValueError:
        pytest.fail("\n".join(lines[:20]))
    assert {"log", "namespace", "level", "time"} <= logged[0].keys()
    unhealthy = run(image, root, mounts, START, "healthcheck")
    assert (unhealthy.returncode, unhealthy.stderr) == (
        1,
        "unhealthy: synapse.app.homeserver at 127.0.0.1 port 8080 does not answer: "
        "Connection refused\n",
    )
