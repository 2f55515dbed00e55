"""Tests of bazelw with real apt and dpkg-deb against a small Debian archive on disk."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.bazelw.archive import LACKING, Mirror, bazelw, checkout, environ, last_line, left

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"not on PATH: {', '.join(LACKING)}")
# The programs that bazelw calls before it checks for those that a machine may lack.
ALWAYS = ("awk", "bash", "cut", "readlink", "sed", "sha256sum", "stat", "uname")


def tools(tmp_path: Path, *names: str) -> str:
    """Return a PATH that contains only the programs ``names``."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in names:
        program = shutil.which(name)
        assert program
        (folder / name).symlink_to(program)
    return str(folder)


def test_an_empty_home_gets_a_root_and_the_next_run_uses_it(tmp_path: Path, mirror: Mirror) -> None:
    """The first command does all of the setup, and later commands do not repeat it."""
    env = environ(tmp_path, mirror.address)
    first = bazelw(env, "version")
    assert first.returncode == 0, first.stderr
    said = first.stdout.splitlines()[0]
    assert re.fullmatch("--host_jvm_args=-Dbazelw.root=[0-9a-f]{16} version", said)
    assert "bazelw: debian mode (BAZELW_MODE=debian), root " in first.stderr
    assert "bazelw: unpacking 1 packages" in first.stderr
    assert left(env) == ["actions", "bazel-root", "lock"]
    second = bazelw(env, "build", "image")
    actions = f"{env['HOME']}/.cache/synapse-worker-image/actions"
    assert f" build --config=debian --disk_cache={actions} --repo_env=DEBIAN" in second.stdout
    assert "unpacking" not in second.stderr
    # `info` loads the WORKSPACE file, so it needs the rulesets, too.
    assert " info --config=debian " in bazelw(env, "info", "bazel-testlogs").stdout


@pytest.mark.parametrize(
    ("options", "free", "limit", "used"),
    [
        ("rw,nosuid,nodev", 12, "max", True),
        ("rw,nosuid,nodev", 12, str(12 << 30), True),
        ("rw,nosuid,nodev,noexec", 12, "max", False),
        ("rw,noexec,relatime", 12, "max", False),
        ("rw", 11, "max", False),
        ("rw", 12, str(8 << 30), False),
        ("", 12, "max", False),
    ],
)
def test_sandboxes_are_in_memory_where_it_has_room(
    tmp_path: Path, mirror: Mirror, options: str, free: int, limit: str, used: bool
) -> None:
    """Sandboxes need 12 GiB of free memory, and files there that can be executed."""
    env = environ(tmp_path, mirror.address)
    assert bazelw(env).returncode == 0
    mounts = f"tmpfs /dev/shm tmpfs {options} 0 0\n" if options else "proc /proc proc rw 0 0\n"
    (tmp_path / "mounts").write_text(mounts)
    (tmp_path / "meminfo").write_text(f"MemFree: 5 kB\nMemAvailable: {(free << 20) + 5} kB\n")
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    env |= {"BAZELW_PROC": str(tmp_path), "BAZELW_CGROUP": str(tmp_path)}
    assert ("--sandbox_base=/dev/shm" in bazelw(env, "build", "image").stdout) == used


def test_clean_root_removes_what_bazelw_made_and_nothing_else(
    tmp_path: Path, mirror: Mirror
) -> None:
    """clean-root removes the whole cache folder of bazelw and nothing beside it."""
    env = environ(tmp_path, mirror.address)
    other = Path(env["HOME"], ".cache/other")
    other.mkdir(parents=True)
    assert bazelw(env).returncode == 0
    done = bazelw(env, "clean-root")
    assert done.returncode == 0, done.stderr
    assert "bazelw: removed " in done.stderr
    assert [path.name for path in Path(env["HOME"], ".cache").iterdir()] == ["other"]


def test_a_wrong_file_is_named_and_leaves_no_root(tmp_path: Path, mirror: Mirror) -> None:
    """A package with a wrong hash is named in the error, and no root is made from it."""
    deb = mirror.root / "pool/bazel-bootstrap_7.7.1+ds-8_all.deb"
    data = bytearray(deb.read_bytes())
    data[-1] ^= 1
    deb.write_bytes(data)
    env = environ(tmp_path, mirror.address)
    done = bazelw(env)
    assert done.returncode == 2
    assert "bazelw: error: packages of http:" in done.stderr
    assert "bazel-bootstrap_7.7.1" in done.stderr
    assert "Hash Sum mismatch" in done.stderr
    assert left(env) == ["actions", "lock"]


def test_no_network_is_one_line(tmp_path: Path) -> None:
    """The error names the address that could not be reached."""
    env = environ(tmp_path, "http://127.0.0.1:9/debian")
    done = bazelw(env)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("bazelw: error: package lists of http://127.0.0.1:9/debian: ")
    assert left(env) == ["actions", "lock"]


def test_a_full_disk_leaves_no_half_root(tmp_path: Path, mirror: Mirror) -> None:
    """A write that fails in the middle of a file, here by a size limit, leaves no root."""
    env = environ(tmp_path, mirror.address)
    limited = subprocess.run(
        ["bash", "-c", 'ulimit -f 64; trap "" XFSZ; exec bash "$0" version', checkout(tmp_path)],
        env=env,
        text=True,
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert limited.returncode == 2, limited.stderr
    assert "bazelw: error: " in limited.stderr
    assert left(env) == ["actions", "lock"]
    assert bazelw(env).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_is_repaired_by_the_next(
    tmp_path: Path, mirror: Mirror, number: signal.Signals
) -> None:
    """The next run cleans up after any signal, even SIGKILL."""
    env = environ(tmp_path, mirror.address)
    process = subprocess.Popen(
        ["bash", checkout(tmp_path / "here"), "version"],
        env=env,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    while not any(name.startswith("tmp.") for name in left(env)):
        assert time.monotonic() < deadline
        assert process.poll() is None
    os.killpg(process.pid, number)
    process.wait()
    done = bazelw(env)
    assert done.returncode == 0, done.stderr
    assert left(env) == ["actions", "bazel-root", "lock"]


def test_two_at_once_make_one_root(tmp_path: Path, mirror: Mirror) -> None:
    """Two runs that start at the same time, such as an editor's and a terminal's, share a root."""
    env = environ(tmp_path, mirror.address)
    program = checkout(tmp_path / "here")
    both = [
        subprocess.Popen(["bash", program, "version"], env=env, text=True, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    words = [process.communicate(timeout=100)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], words
    assert sum("unpacking" in text for text in words) == 1
    assert left(env) == ["actions", "bazel-root", "lock"]


def test_without_user_namespaces_one_line_says_what_to_enable(
    tmp_path: Path, mirror: Mirror
) -> None:
    """A failing bwrap simulates the kernel's refusal, which a test that runs as root cannot get."""
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
            "BAZELW_MODE=host, but neither bazelisk nor bazel is on PATH; install Bazelisk",
        ),
        ("HOME", "", "HOME is not set; set it, or XDG_CACHE_HOME"),
        ("HOME", "relative", "HOME=relative: not an absolute path"),
        ("XDG_CACHE_HOME", "relative", "XDG_CACHE_HOME=relative: not an absolute path"),
        (
            "DEBIAN_MIRROR",
            "ftp://user:hunter2@127.0.0.1/debian",
            "DEBIAN_MIRROR=127.0.0.1/debian: not the address of a mirror; "
            "use http://, https:// or file:// (%40 for an @ in a password)",
        ),
    ],
)
def test_a_wrong_setting_is_one_line(tmp_path: Path, variable: str, value: str, line: str) -> None:
    """The error is one line without passwords, and nothing is fetched before it."""
    path = tools(tmp_path, *ALWAYS)
    env = environ(tmp_path, "http://127.0.0.1:9/debian", PATH=path) | {variable: value}
    done = bazelw(env, program=checkout(tmp_path))
    assert last_line(done) == line
    assert "hunter2" not in done.stderr


def test_a_missing_prerequisite_is_named(tmp_path: Path) -> None:
    """On a machine without Debian's tools, the error suggests Bazelisk."""
    path = tools(tmp_path, *ALWAYS)
    done = bazelw(environ(tmp_path, "http://127.0.0.1:9/debian", PATH=path))
    assert last_line(done) == (
        "debian mode needs apt-get, dpkg-deb and flock, as Debian has them; "
        "elsewhere install Bazelisk for host mode"
    )


@pytest.mark.parametrize("machine", ["Linux aarch64", "Darwin arm64", "Darwin x86_64"])
@pytest.mark.parametrize("mode", ["debian", "host"])
def test_another_machine_is_refused_first(tmp_path: Path, machine: str, mode: str) -> None:
    """Only Linux on x86_64 is supported, because the compilers are packages for amd64."""
    path = Path(tools(tmp_path, "bash", "readlink"))
    (path / "uname").write_text(f"#!/bin/bash\necho {machine}\n")
    (path / "uname").chmod(0o755)
    env = environ(tmp_path, "http://127.0.0.1:9/debian", PATH=str(path), BAZELW_MODE=mode)
    assert last_line(bazelw(env)) == (
        f"this machine is {machine}; the image is built on Linux x86_64 only "
        "(README.md, Requirements)"
    )
    assert left(env) == []


def test_a_call_through_a_symlink_from_elsewhere_finds_its_workspace(
    tmp_path: Path, mirror: Mirror
) -> None:
    """Symlinks to bazelw are followed to its checkout, whose path may contain a space."""
    program = checkout(tmp_path / "my work")
    env = environ(tmp_path, mirror.address)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/bazelw").symlink_to("other")
    (tmp_path / "bin/other").symlink_to(program)
    for cwd, where in ((tmp_path, ""), (tmp_path / "my work/debian_mode", "/debian_mode")):
        done = bazelw(env, program=tmp_path / "bin/bazelw", cwd=cwd)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == f"in {tmp_path}/my work{where}"
