"""Tests of push to Debian's docker-registry on loopback: digest, tags, credentials, refusals."""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from push import main, problems, run_and_show

LAUNCHER, DIGEST = Path(os.environ["PUSH_LAUNCHER"]), Path(os.environ["PUSH_DIGEST"])
needs_registry = pytest.mark.skipif(
    not (shutil.which("docker-registry") and shutil.which("crane")),
    reason="docker-registry and crane are not on PATH",
)


def free_port() -> int:
    """Return a free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def registry(folder: Path, *, htpasswd: str = "") -> Iterator[str]:
    """Run a registry on loopback; yield its address."""
    address = f"127.0.0.1:{free_port()}"
    config: dict[str, object] = {
        "version": 0.1,
        "http": {"addr": address},
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
    }
    if htpasswd:
        (folder / "htpasswd").write_text(htpasswd)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )
        try:
            host, _, port = address.partition(":")
            deadline = time.monotonic() + 20
            while socket.socket().connect_ex((host, int(port))):
                assert time.monotonic() < deadline, (folder / "registry.log").read_text()
                time.sleep(0.1)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=10)


@needs_registry
def test_the_registry_has_the_built_digest_under_every_tag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pushed manifest has the digest that was built, under all tags."""
    with registry(tmp_path) as address:
        name = f"{address}/matrix/worker"
        assert main(["--repository", name, "--tag", "a", "--tag", "b"], LAUNCHER, DIGEST) == 0
        digest = DIGEST.read_text().strip()
        assert capsys.readouterr().out == f"{name}@{digest}\n{name}:a\n{name}:b\n"
        for tag in ("a", "b"):
            request = urllib.request.Request(
                f"http://{address}/v2/matrix/worker/manifests/{tag}",
                headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.headers["Docker-Content-Digest"] == digest


# bcrypt of "wonderland", as `htpasswd -B` writes it.
ALICE = "alice:$2y$05$abcdefghijklmnopqrstuuA0vov2GDneHB3.8.cv9UF9g.RdvScIW\n"


@needs_registry
def test_credentials_come_from_the_docker_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials from `docker login`, or from `podman login` with this file, are used."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with registry(tmp_path, htpasswd=ALICE) as address:
        login = base64.b64encode(b"alice:wonderland").decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {address: {"auth": login}}}))
        assert main(["--repository", f"{address}/one", "--tag", "t"], LAUNCHER, DIGEST) == 0
    assert capsys.readouterr().out.endswith(f"\n{address}/one:t\n")


@needs_registry
def test_a_registry_that_wants_credentials_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line has the HTTP status; the launcher's own output is above it."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with registry(tmp_path, htpasswd=ALICE) as address:
        assert main(["--repository", f"{address}/one", "--tag", "t"], LAUNCHER, DIGEST) == 1
    *shown, last = capsys.readouterr().err.splitlines()
    assert last.startswith(f"error: {address}/one rejected the push: ")
    assert "401" in last or "UNAUTHORIZED" in last
    assert any("401" in line or "UNAUTHORIZED" in line for line in shown)


@needs_registry
def test_a_registry_that_does_not_answer_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The last line contains the registry's address and the reason."""
    repository = f"127.0.0.1:{free_port()}/one"
    assert main(["--repository", repository], LAUNCHER, DIGEST) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: {repository} rejected the push: ")
    assert "connection refused" in last


def test_progress_is_shown_while_it_happens(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line is copied as soon as the launcher prints it, even if it is not valid UTF-8."""
    script = r"printf 'pushed one\npushed \377\n'; exit 3"
    assert run_and_show(["sh", "-c", script]) == (3, "pushed one\npushed \ufffd\n")
    assert capsys.readouterr() == ("", "pushed one\npushed \ufffd\n")


@pytest.mark.parametrize(
    ("repository", "tags", "line"),
    [
        ("", [], "--repository is not given; name one, such as ghcr.io/OWNER/synapse-worker"),
        ("https://a/b", [], "--repository 'https://a/b' has a scheme; give HOST/NAME alone"),
        ("a/B", [], "--repository 'a/B' is not HOST/NAME with a name in lower case, without tag"),
        ("a/b:c", [], "--repository 'a/b:c' is not HOST/NAME with a name in lower case, without"),
        ("a", [], "--repository 'a' is not HOST/NAME with a name in lower case, without tag"),
        ("a/b", ["-x"], "--tag '-x' is not a tag; use up to 128 of A-Z a-z 0-9 _ . -, the first"),
        ("a/b", [""], "--tag '' is not a tag; use up to 128 of A-Z a-z 0-9 _ . -, the first"),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_is_sent(
    repository: str, tags: list[str], line: str
) -> None:
    """No registry would accept such names and tags."""
    (found,) = problems(repository, tags)
    assert found.startswith(line)
