"""Tests of the cache folder: its location, write errors, and clean-root."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bazelw.archive import (
    LACKING,
    Mirror,
    add_suite,
    bazelw,
    cache_of,
    checkout,
    environ,
    last_line,
    left,
    root_of,
    served,
)

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"not on PATH: {', '.join(LACKING)}")


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"HOME": ""}, id="no HOME"),
        pytest.param({"HOME": "/"}, id="HOME is the root folder"),
        pytest.param({"HOME": "/var/lib/dpkg"}, id="HOME below /var, not writable"),
        pytest.param({"HOME": "/nonexistent"}, id="HOME is not there"),
    ],
)
def test_with_a_cache_folder_home_does_not_matter(
    tmp_path: Path, mirror: Mirror, variables: dict[str, str]
) -> None:
    """With XDG_CACHE_HOME, HOME may be unusable, as for system users and in CI."""
    cache = str(tmp_path / "a cache")
    env = environ(tmp_path, mirror.address, XDG_CACHE_HOME=cache, **variables)
    done = bazelw(env, program=checkout(tmp_path / "here"))
    assert done.returncode == 0, done.stderr
    assert left(env) == ["actions", "bazel-root", "lock"]


def test_a_home_with_a_space_is_fine(tmp_path: Path, mirror: Mirror) -> None:
    """A space in HOME does not break any command."""
    (tmp_path / "a home").mkdir()
    env = environ(tmp_path, mirror.address, HOME=str(tmp_path / "a home"))
    done = bazelw(env)
    assert done.returncode == 0, done.stderr
    assert f"--disk_cache={tmp_path}/a home/.cache" in bazelw(env, "build").stdout


def in_bwrap(env: dict[str, str], *options: str | Path) -> subprocess.CompletedProcess[str]:
    """Run bazelw in bwrap, where ``options`` change the file system."""
    program = checkout(Path(env["HOME"]).parent / "here")
    return subprocess.run(
        ["bwrap", "--dev-bind", "/", "/", *options, "bash", program, "version"],
        env=env,
        text=True,
        capture_output=True,
        check=False,
        timeout=100,
    )


def test_a_read_only_cache_is_one_line_or_works_with_its_root(
    tmp_path: Path, mirror: Mirror
) -> None:
    """A read-only cache works if its root was made before; otherwise the error is one line."""
    env = environ(tmp_path, mirror.address)
    home = env["HOME"]
    read_only = in_bwrap(env, "--ro-bind", home, home)
    assert last_line(read_only) == (
        f"{cache_of(env)} cannot be created (Read-only file system); "
        "set XDG_CACHE_HOME to a folder of yours"
    )
    cache_of(env).mkdir(parents=True)
    read_only = in_bwrap(env, "--ro-bind", home, home)
    assert "Read-only file system" in last_line(read_only)
    (cache_of(env) / "actions").mkdir()
    read_only = in_bwrap(env, "--ro-bind", home, home)
    assert last_line(read_only) == (
        f"{cache_of(env)} cannot be written; free some space, or set "
        "XDG_CACHE_HOME to another folder"
    )
    assert bazelw(env).returncode == 0
    read_only = in_bwrap(env, "--ro-bind", home, home)
    assert read_only.returncode == 0, read_only.stderr


@pytest.mark.parametrize("megabytes", [0, 3, 9, 15])
def test_no_space_is_one_line_and_leaves_nothing(tmp_path: Path, megabytes: int) -> None:
    """A full disk causes one error line at any step: the first file, download or unpacking."""
    add_suite(tmp_path / "mirror/debian", "sid", ["7.7.1-1"], filler=7_000_000)
    with served(tmp_path / "mirror") as address:
        env = environ(tmp_path, f"{address}/debian")
        size = str(megabytes * 1_000_000 or 4096)
        done = in_bwrap(env, "--size", size, "--tmpfs", env["HOME"])
        line = last_line(done)
    assert "space" in line or "cannot be written" in line, done.stderr
    assert len([text for text in done.stderr.splitlines() if "error" in text]) == 1, done.stderr


def test_a_folder_left_by_a_cut_off_run_goes_and_a_lock_file_is_no_lock(
    tmp_path: Path, mirror: Mirror
) -> None:
    """Leftovers are removed, and a lock file that no process holds does not block."""
    env = environ(tmp_path, mirror.address)
    (cache_of(env) / "tmp.AAAAAA/root").mkdir(parents=True)
    (cache_of(env) / "lock").touch()
    assert bazelw(env).returncode == 0
    assert left(env) == ["actions", "bazel-root", "lock"]


def without(tmp_path: Path, *names: str) -> str:
    """Return a PATH with the programs of a small machine, except ``names``."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("bash", "chmod", "flock", "grep", "readlink", "rm", "rmdir", "sleep", "stat"):
        program = shutil.which(name)
        if program and name not in names:
            (folder / name).symlink_to(program)
    return str(folder)


def test_clean_root_needs_neither_debian_nor_bwrap(tmp_path: Path, mirror: Mirror) -> None:
    """clean-root needs no tools that make a root, and removes read-only folders."""
    env = environ(tmp_path, mirror.address)
    assert bazelw(env).returncode == 0
    (root_of(env) / "usr/bin").chmod(0o555)
    done = bazelw(env | {"PATH": without(tmp_path, "flock")}, "clean-root")
    assert done.returncode == 0, done.stderr
    assert not cache_of(env).exists()
    again = bazelw(env, "clean-root")
    assert (again.returncode, again.stderr) == (0, "")


def server(env: dict[str, str], folder: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a process that looks like a checkout's Bazel server, and write its PID file."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(90)", *arguments])
    pid = Path(env["HOME"], f".cache/bazel/_bazel_me/{folder}/server/server.pid.txt")
    pid.parent.mkdir(parents=True)
    pid.write_text(str(process.pid))
    return process


def test_clean_root_ends_the_servers_of_the_root_and_no_other_process(
    tmp_path: Path, mirror: Mirror
) -> None:
    """Only servers of the root are stopped, as a stale PID file may name any other process."""
    env = environ(tmp_path, mirror.address)
    assert bazelw(env).returncode == 0
    name = root_of(env).name.removeprefix("bazel-root-")
    ours = [server(env, number, f"-Dbazelw.root={name}") for number in ("a", "b")]
    others = [server(env, "c", "-Dbazelw.root=0123456789abcdef"), server(env, "d")]
    try:
        assert bazelw(env, "clean-root").returncode == 0
        assert [process.wait(timeout=10) for process in ours] == [-15, -15]
        assert [process.poll() for process in others] == [None, None]
    finally:
        for process in (*ours, *others):
            process.kill()
            process.wait()


def test_clean_root_waits_for_a_bazelw_that_makes_the_root(tmp_path: Path, mirror: Mirror) -> None:
    """clean-root must not remove a root while another bazelw makes it."""
    env = environ(tmp_path, mirror.address)
    cache_of(env).mkdir(parents=True)
    lock = cache_of(env) / "lock"
    holder = subprocess.Popen(["flock", lock, "sleep", "3"])
    while subprocess.run(["flock", "-n", lock, "true"], check=False).returncode == 0:
        assert holder.poll() is None
    started = time.monotonic()
    done = bazelw(env, "clean-root")
    holder.wait()
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started > 1
    assert "waiting for another bazelw" in done.stderr
