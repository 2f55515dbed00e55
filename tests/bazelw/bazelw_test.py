"""bazelw against a tiny Debian archive on disk: real apt, real dpkg-deb, faults by their text."""

import gzip
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

BAZELW = Path(os.environ["BAZELW"]).absolute()
lacking = [name for name in ("apt-get", "dpkg-deb", "flock", "bwrap") if not shutil.which(name)]
pytestmark = pytest.mark.skipif(bool(lacking), reason=f"not on PATH: {', '.join(lacking)}")


def make_package(folder: Path, size: int = 0) -> Path:
    """Build a package whose `bazel` is echo, with the libraries that it loads."""
    root = folder / "package"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n"
    )
    echo = shutil.which("echo")
    assert echo
    listed = subprocess.run(["ldd", echo], text=True, capture_output=True, check=True).stdout
    for path in [echo, *re.findall(r"(/\S+)", listed)]:
        name = "/usr/bin/bazel" if path == echo else "/usr" + path.removeprefix("/usr")
        (root / name[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / name[1:])
    (root / "usr/filler").write_bytes(os.urandom(size))
    deb = folder / "tiny_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", "-Znone", root, deb], check=True, capture_output=True)
    return deb


@dataclass(frozen=True)
class Mirror:
    """A Debian archive: its files and its address."""

    root: Path
    address: str


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    """A Debian archive with one suite and one package, served on loopback."""
    root = make_archive(tmp_path)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Mirror(root, f"http://127.0.0.1:{server.server_port}/debian")
        server.shutdown()


def make_archive(tmp_path: Path) -> Path:
    """Write the archive's files."""
    root = tmp_path / "debian"
    index = root / "dists/sid/main/binary-amd64"
    index.mkdir(parents=True)
    (root / "pool").mkdir()
    deb = make_package(tmp_path)
    shutil.copy(deb, root / "pool")
    data = deb.read_bytes()
    packages = (
        "Package: tiny\nVersion: 1\nArchitecture: all\nFilename: pool/tiny_1_all.deb\n"
        f"Size: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    ).encode()
    (index / "Packages").write_bytes(packages)
    (index / "Packages.gz").write_bytes(gzip.compress(packages))
    release = "Suite: sid\nCodename: sid\nArchitectures: amd64 all\nComponents: main\nSHA256:\n"
    for name in ("Packages", "Packages.gz"):
        content = (index / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        release += f" {digest} {len(content)} main/binary-amd64/{name}\n"
    (root / "dists/sid/Release").write_text(release)
    return root


def environ(tmp_path: Path, mirror: str, **more: str) -> dict[str, str]:
    """The environment of a newcomer with an empty home."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return {
        "BAZELW_APT_OPTIONS": "trusted=yes",
        "BAZELW_MODE": "debian",
        "BAZELW_PACKAGES": "tiny",
        "DEBIAN_MIRROR": mirror,
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        **more,
    }


def bazelw(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run bazelw to its end."""
    return subprocess.run(
        ["bash", BAZELW, *(arguments or ("version",))],
        env=env,
        text=True,
        capture_output=True,
        check=False,
        timeout=100,
    )


def left(env: dict[str, str]) -> list[str]:
    """What is in the cache folder, hashes cut off."""
    cache = Path(env["HOME"], ".cache/synapse-worker-image")
    names = [path.name for path in cache.iterdir()] if cache.exists() else []
    return sorted(re.sub("-[0-9a-f]{16}$", "", name) for name in names)


def test_an_empty_home_gets_a_root_and_the_next_run_uses_it(tmp_path: Path, mirror: Mirror) -> None:
    """All set-up is in the one command, and only once."""
    env = environ(tmp_path, mirror.address)
    first = bazelw(env, "version")
    assert first.returncode == 0, first.stderr
    assert re.fullmatch("--host_jvm_args=-Dbazelw.root=[0-9a-f]{16} version\n", first.stdout)
    assert "bazelw: debian mode (BAZELW_MODE=debian), root " in first.stderr
    assert "bazelw: unpacking 1 packages" in first.stderr
    assert left(env) == ["bazel-root", "lock"]
    second = bazelw(env, "build", "image")
    actions = f"{env['HOME']}/.cache/synapse-worker-image/actions"
    assert f" build --config=debian --disk_cache={actions} --repo_env=DEBIAN" in second.stdout
    assert "unpacking" not in second.stderr


def test_clean_root_removes_what_bazelw_made_and_nothing_else(
    tmp_path: Path, mirror: Mirror
) -> None:
    """A newcomer who leaves finds the machine as it was."""
    env = environ(tmp_path, mirror.address)
    other = Path(env["HOME"], ".cache/other")
    other.mkdir(parents=True)
    assert bazelw(env).returncode == 0
    done = bazelw(env, "clean-root")
    assert done.returncode == 0, done.stderr
    assert "bazelw: removed " in done.stderr
    assert [path.name for path in Path(env["HOME"], ".cache").iterdir()] == ["other"]


def test_a_wrong_file_is_named_and_leaves_no_root(tmp_path: Path, mirror: Mirror) -> None:
    """A mirror, or someone before it, serves something else."""
    deb = mirror.root / "pool/tiny_1_all.deb"
    data = bytearray(deb.read_bytes())
    data[-1] ^= 1
    deb.write_bytes(data)
    env = environ(tmp_path, mirror.address)
    done = bazelw(env)
    assert done.returncode == 2
    assert "bazelw: error: packages of http:" in done.stderr
    assert "tiny_1_all.deb" in done.stderr
    assert "Hash Sum mismatch" in done.stderr
    assert left(env) == ["lock"]


def test_no_network_is_one_line(tmp_path: Path) -> None:
    """The address is in it."""
    env = environ(tmp_path, "http://127.0.0.1:9/debian")
    done = bazelw(env)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("bazelw: error: package lists of http://127.0.0.1:9/debian: ")
    assert left(env) == ["lock"]


def test_a_full_disk_leaves_no_half_root(tmp_path: Path, mirror: Mirror) -> None:
    """A limit on file size stands for the disk: the write fails in the middle of a file."""
    env = environ(tmp_path, mirror.address)
    limited = subprocess.run(
        ["bash", "-c", 'ulimit -f 64; trap "" XFSZ; exec bash "$0" version', BAZELW],
        env=env,
        text=True,
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert limited.returncode == 2, limited.stderr
    assert "bazelw: error: " in limited.stderr
    assert left(env) == ["lock"]
    assert bazelw(env).returncode == 0


def test_an_interrupted_run_is_repaired_by_the_next(tmp_path: Path, mirror: Mirror) -> None:
    """Even kill -9, which lets nothing be tidied up."""
    env = environ(tmp_path, mirror.address)
    process = subprocess.Popen(
        ["bash", BAZELW, "version"], env=env, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 20
    while not any(name.startswith("tmp.") for name in left(env)):
        assert time.monotonic() < deadline
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = bazelw(env)
    assert done.returncode == 0, done.stderr
    assert left(env) == ["bazel-root", "lock"]


def test_two_at_once_make_one_root(tmp_path: Path, mirror: Mirror) -> None:
    """An editor and a terminal often start together."""
    env = environ(tmp_path, mirror.address)
    both = [
        subprocess.Popen(["bash", BAZELW, "version"], env=env, text=True, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    words = [process.communicate(timeout=100)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], words
    assert sum("unpacking" in text for text in words) == 1
    assert left(env) == ["bazel-root", "lock"]


def test_without_user_namespaces_one_line_says_what_to_enable(
    tmp_path: Path, mirror: Mirror
) -> None:
    """A bwrap that is refused stands for the kernel's refusal, which root here cannot have."""
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "bwrap").write_text("#!/bin/bash\necho 'bwrap: No permissions' >&2\nexit 1\n")
    (shims / "bwrap").chmod(0o755)
    env = environ(tmp_path, mirror.address, PATH=f"{shims}:{os.environ['PATH']}")
    done = bazelw(env)
    assert done.returncode == 2
    assert "error: user namespaces are not allowed here (bwrap: No permissions)" in done.stderr
    assert "sysctl -w kernel.unprivileged_userns_clone=1" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("BAZELW_MODE", "x", "BAZELW_MODE=x is not a mode; use host or debian, or leave it unset"),
        (
            "BAZELW_MODE",
            "host",
            "BAZELW_MODE=host, but neither bazelisk nor bazel is on PATH; inst",
        ),
        ("HOME", "", "HOME is not set; set it, or XDG_CACHE_HOME"),
    ],
)
def test_a_wrong_setting_is_one_line(tmp_path: Path, variable: str, value: str, line: str) -> None:
    """Before anything is fetched."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "head", "sed", "tr"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    env = environ(tmp_path, "http://127.0.0.1:9/debian", PATH=str(tools)) | {variable: value}
    done = bazelw(env)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"bazelw: error: {line}")


def test_a_missing_prerequisite_is_named(tmp_path: Path) -> None:
    """Not Debian: the way out is in the line."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "head", "sed", "tr", "sha256sum", "cut"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    done = bazelw(environ(tmp_path, "http://127.0.0.1:9/debian", PATH=str(tools)))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "bazelw: error: debian mode needs apt-get, dpkg-deb and flock, as Debian has them; "
        "elsewhere install Bazelisk for host mode"
    )
