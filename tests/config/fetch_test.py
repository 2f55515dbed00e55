"""Tests of fetch errors, and of mirrors with a password: real Bazel, a mirror on loopback."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.nested_bazel import NestedBazel

RULES = [Path(path).absolute() for path in os.environ["RULES"].split()]
Fetch = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.skipif(
    not shutil.which("bazel"), reason="bazel is not on PATH inside the sandbox"
)
_WORKSPACE = """\
load("//repositories:debian_packages.bzl", "debian_packages")
load("//repositories:python_files.bzl", "python_site")

debian_packages(name = "debs", lock = "//:debs.json")
python_site(name = "site", lock = "//:site.json")
"""
GOOD = b"what the lock means"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Serve the folder ``served`` over HTTP on loopback; yield the URL."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def bazel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NestedBazel]:
    """Yield a Bazel whose workspace has one Debian package and one wheel."""
    nested = NestedBazel(tmp_path_factory.mktemp("bazel"), RULES)
    digest = hashlib.sha256(GOOD).hexdigest()
    debs = [
        {
            "archive": "debian",
            "name": "a",
            "path": "pool/main/a/a_1_all.deb",
            "sha256": digest,
            "version": "1",
        }
    ]
    files = [{"filename": "a-1-py3-none-any.whl", "name": "a", "sha256": digest}]
    documents = {"debs": {"packages": debs, "suite": "trixie"}, "site": {"files": files}}
    for name, document in documents.items():
        (nested.workspace / f"{name}.json").write_text(json.dumps(document))
    (nested.workspace / "WORKSPACE").write_text(_WORKSPACE)
    yield nested
    nested.stop()


@pytest.fixture
def fetch(bazel: NestedBazel, tmp_path: Path) -> Fetch:
    """Return a function that fetches a repository as a build would.

    It takes the mirror's address, the repository's name, and further environment variables.
    """

    def fetch(address: str, repository: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environ = {
            "DEBIAN_MIRROR": f"{address}/debian",
            "DEBIAN_SECURITY_MIRROR": f"{address}/debian-security",
            "HOME": str(tmp_path),
            "PATH": os.environ["PATH"],
            "PIP_INDEX_URL": f"{address}/simple",
            **variables,
        }
        # An address where nothing answers is tried only once.
        return bazel.fetch(repository, environ, "--http_connector_attempts=1")

    return fetch


def test_a_wrong_package_is_named_with_both_hashes(
    tmp_path: Path, served: str, fetch: Fetch
) -> None:
    """The error has both hashes, so that the mirror's fault can be reported to its owner."""
    pool = tmp_path / "served/debian/pool/main/a"
    pool.mkdir(parents=True)
    (pool / "a_1_all.deb").write_bytes(b"something else")
    done = fetch(served, "debs")
    assert done.returncode != 0
    found = hashlib.sha256(b"something else").hexdigest()
    wanted = hashlib.sha256(GOOD).hexdigest()
    said = f"/debian/pool/main/a/a_1_all.deb has the sha256 {found}, but the lock names {wanted}. "
    assert said in done.stderr


def test_a_package_that_left_the_mirror_is_named_with_the_remedy(
    tmp_path: Path, served: str, fetch: Fetch
) -> None:
    """If the mirror no longer has a version, the error says how to move the lock."""
    (tmp_path / "served/debian").mkdir()
    done = fetch(served, "debs")
    assert done.returncode != 0
    address = f"{served}/debian/pool/main/a/a_1_all.deb"
    assert f"a 1 cannot be fetched: {address}: " in done.stderr
    assert "Update the lock with: ./bazelw run pin -- debian --update --suite trixie" in done.stderr
    assert "--repo_env=DEBIAN_ARCHIVE=ADDRESS" in done.stderr


def test_an_archive_of_old_packages_is_tried_second(
    tmp_path: Path, served: str, fetch: Fetch
) -> None:
    """A version that the mirror no longer has is fetched from DEBIAN_ARCHIVE."""
    pool = tmp_path / "served/old/debian/then/pool/main/a"
    pool.mkdir(parents=True)
    (pool / "a_1_all.deb").write_bytes(GOOD)
    done = fetch(served, "debs", DEBIAN_ARCHIVE=f"{served}/old/{{archive}}/then")
    assert done.returncode == 0, done.stderr


def test_a_wrong_wheel_is_named_with_both_hashes(tmp_path: Path, served: str, fetch: Fetch) -> None:
    """If the index serves a different file under the name, the error has both hashes."""
    page = tmp_path / "served/simple/a"
    page.mkdir(parents=True)
    anchor = '<a href="/files/a-1-py3-none-any.whl#sha256=0">a-1-py3-none-any.whl</a>'
    (page / "index.html").write_text(anchor)
    (tmp_path / "served/files").mkdir()
    (tmp_path / "served/files/a-1-py3-none-any.whl").write_bytes(b"something else")
    done = fetch(served, "site")
    assert done.returncode != 0
    wanted = hashlib.sha256(GOOD).hexdigest()
    assert "a-1-py3-none-any.whl" in done.stderr
    assert f"but wanted {wanted}" in done.stderr


def test_a_withdrawn_file_is_named_with_the_remedy(
    tmp_path: Path, served: str, fetch: Fetch
) -> None:
    """If the index no longer lists a file, the error says how to move the lock."""
    page = tmp_path / "served/simple/a"
    page.mkdir(parents=True)
    (page / "index.html").write_text('<a href="a-2-py3-none-any.whl">a-2-py3-none-any.whl</a>')
    done = fetch(served, "site")
    assert done.returncode != 0
    assert (
        "a-1-py3-none-any.whl is not in the package index any more; update its lock: "
        "./bazelw run //tools:lock_python" in done.stderr
    )


@pytest.mark.parametrize("repository", ["debs", "site"])
def test_no_network_names_the_address(fetch: Fetch, repository: str) -> None:
    """A refused connection is reported with its address."""
    done = fetch("http://127.0.0.1:9", repository)
    assert done.returncode != 0
    assert "http://127.0.0.1:9/" in done.stderr
    assert "Connection refused" in done.stderr


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """Serve the folder ``served`` to user ``me`` with password ``p@ss/word``; yield the URL."""
    folder = tmp_path / "served"
    folder.mkdir()
    expected = "Basic " + base64.b64encode(b"me:p@ss/word").decode()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            """Serve the file if the request has the password."""
            if self.headers["Authorization"] == expected:
                super().do_GET()
            else:
                self.send_error(401)

    handler = partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://me:p%40ss%2Fword@127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("content", [GOOD, b"something else"])
def test_a_password_of_the_mirror_is_used_and_not_printed(
    tmp_path: Path, guarded: str, fetch: Fetch, content: bytes
) -> None:
    """By itself, Bazel would print the address with the password and not send the password."""
    pool = tmp_path / "served/debian/pool/main/a"
    pool.mkdir(parents=True)
    (pool / "a_1_all.deb").write_bytes(content)
    done = fetch(guarded, "debs")
    assert "p%40ss" not in done.stderr
    assert "p@ss" not in done.stderr
    if content == GOOD:
        assert done.returncode == 0, done.stderr
    else:
        assert "/debian/pool/main/a/a_1_all.deb has the sha256 " in done.stderr
