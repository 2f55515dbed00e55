"""Tests of fetch errors, and of mirrors with a password: real Bazel, a mirror on loopback."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

RULES = [Path(path).absolute() for path in os.environ["RULES"].split()]
# Debian's Bazel does not include Java.
JAVA = Path("/usr/lib/jvm/default-java")
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


def fetch(
    tmp_path: Path, address: str, repository: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Load ``repository`` in a workspace that has this project's rules, as a build would."""
    workspace = tmp_path / "workspace"
    (workspace / "repositories").mkdir(parents=True)
    for rule in RULES:
        shutil.copy(rule, workspace / "repositories")
    (workspace / "repositories/BUILD.bazel").touch()
    (workspace / "BUILD.bazel").touch()
    (workspace / "WORKSPACE").write_text(_WORKSPACE)
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
    (workspace / "debs.json").write_text(json.dumps({"packages": debs, "suite": "trixie"}))
    (workspace / "site.json").write_text(json.dumps({"files": files}))
    environ = {
        "DEBIAN_MIRROR": f"{address}/debian",
        "DEBIAN_SECURITY_MIRROR": f"{address}/debian-security",
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "PIP_INDEX_URL": f"{address}/simple",
        **variables,
    }
    if JAVA.exists():
        environ["JAVA_HOME"] = str(JAVA)
    # Bazel extracts its own installation only once for all tests; packages are fetched every time.
    # No run is long enough for the JVM's second compiler to pay off.
    command = ["bazel", f"--output_user_root={tmp_path.parent}/bazel", "--nohome_rc", "--batch"]
    command += [f"--output_base={tmp_path}/bazel", "--host_jvm_args=-XX:TieredStopAtLevel=1"]
    command += ["query"]
    command += ["--noenable_bzlmod", "--enable_workspace", "--lockfile_mode=off", "--color=no"]
    command += ["--http_connector_attempts=1", "--repository_cache=", f"@{repository}//:all"]
    return subprocess.run(
        command,
        cwd=workspace,
        env=environ,
        text=True,
        capture_output=True,
        check=False,
        timeout=200,
    )


def test_a_wrong_package_is_named_with_both_hashes(tmp_path: Path, served: str) -> None:
    """The error has both hashes, so that the mirror's fault can be reported to its owner."""
    pool = tmp_path / "served/debian/pool/main/a"
    pool.mkdir(parents=True)
    (pool / "a_1_all.deb").write_bytes(b"something else")
    done = fetch(tmp_path, served, "debs")
    assert done.returncode != 0
    found = hashlib.sha256(b"something else").hexdigest()
    wanted = hashlib.sha256(GOOD).hexdigest()
    said = f"/debian/pool/main/a/a_1_all.deb has the sha256 {found}, but the lock names {wanted}. "
    assert said in done.stderr


def test_a_package_that_left_the_mirror_is_named_with_the_remedy(
    tmp_path: Path, served: str
) -> None:
    """If the mirror no longer has a version, the error says how to move the lock."""
    (tmp_path / "served/debian").mkdir()
    done = fetch(tmp_path, served, "debs")
    assert done.returncode != 0
    address = f"{served}/debian/pool/main/a/a_1_all.deb"
    assert f"a 1 cannot be fetched: {address}: " in done.stderr
    assert "Move the lock with: ./bazelw run pin -- debian --update --suite trixie" in done.stderr
    assert "--repo_env=DEBIAN_ARCHIVE=ADDRESS" in done.stderr


def test_an_archive_of_old_packages_is_tried_second(tmp_path: Path, served: str) -> None:
    """A version that the mirror no longer has is fetched from DEBIAN_ARCHIVE."""
    pool = tmp_path / "served/old/debian/then/pool/main/a"
    pool.mkdir(parents=True)
    (pool / "a_1_all.deb").write_bytes(GOOD)
    done = fetch(tmp_path, served, "debs", DEBIAN_ARCHIVE=f"{served}/old/{{archive}}/then")
    assert done.returncode == 0, done.stderr


def test_a_wrong_wheel_is_named_with_both_hashes(tmp_path: Path, served: str) -> None:
    """If the index serves a different file under the name, the error has both hashes."""
    page = tmp_path / "served/simple/a"
    page.mkdir(parents=True)
    anchor = '<a href="/files/a-1-py3-none-any.whl#sha256=0">a-1-py3-none-any.whl</a>'
    (page / "index.html").write_text(anchor)
    (tmp_path / "served/files").mkdir()
    (tmp_path / "served/files/a-1-py3-none-any.whl").write_bytes(b"something else")
    done = fetch(tmp_path, served, "site")
    assert done.returncode != 0
    wanted = hashlib.sha256(GOOD).hexdigest()
    assert "a-1-py3-none-any.whl" in done.stderr
    assert f"but wanted {wanted}" in done.stderr


def test_a_withdrawn_file_is_named_with_the_remedy(tmp_path: Path, served: str) -> None:
    """If the index no longer lists a file, the error says how to move the lock."""
    page = tmp_path / "served/simple/a"
    page.mkdir(parents=True)
    (page / "index.html").write_text('<a href="a-2-py3-none-any.whl">a-2-py3-none-any.whl</a>')
    done = fetch(tmp_path, served, "site")
    assert done.returncode != 0
    assert (
        "a-1-py3-none-any.whl is not in the package index any more; its lock must move: "
        "./bazelw run //tools:lock_python" in done.stderr
    )


@pytest.mark.parametrize("repository", ["debs", "site"])
def test_no_network_names_the_address(tmp_path: Path, repository: str) -> None:
    """A refused connection is reported with its address."""
    done = fetch(tmp_path, "http://127.0.0.1:9", repository)
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
    tmp_path: Path, guarded: str, content: bytes
) -> None:
    """By itself, Bazel would print the address with the password and not send the password."""
    pool = tmp_path / "served/debian/pool/main/a"
    pool.mkdir(parents=True)
    (pool / "a_1_all.deb").write_bytes(content)
    done = fetch(tmp_path, guarded, "debs")
    assert "p%40ss" not in done.stderr
    assert "p@ss" not in done.stderr
    if content == GOOD:
        assert done.returncode == 0, done.stderr
    else:
        assert "/debian/pool/main/a/a_1_all.deb has the sha256 " in done.stderr
