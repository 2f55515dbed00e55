"""Tests of the private root: its Bazel, its record, its file modes, mirrors and proxies."""

import hashlib
import os
import re
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.bazelw.archive import (
    LACKING,
    Mirror,
    add_suite,
    bazelw,
    checkout,
    environ,
    last_line,
    left,
    proxy_to,
    root_of,
    served,
)

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"not on PATH: {', '.join(LACKING)}")


@pytest.mark.parametrize(
    ("suites", "taken"),
    [
        pytest.param({"sid": ["7.7.1-1"]}, "sid 7.7.1-1", id="nothing left out"),
        pytest.param({"sid": ["7.8.0+ds-1", "7.7.1+ds-8"]}, "sid 7.7.1+ds-8", id="not the newest"),
        pytest.param({"sid": ["1:7.7.1~ds2-1~bpo13+1"]}, "sid 1:7.7.1~ds2-1~bpo13+1", id="epoch"),
        pytest.param(
            {"sid": ["8.0.0+ds-1"], "testing": ["7.7.1+dfsg.1-2+b1"]},
            "testing 7.7.1+dfsg.1-2+b1",
            id="the second suite",
        ),
        pytest.param({"stable": ["7.7.1-1"]}, "stable 7.7.1-1", id="a mirror of stable alone"),
        pytest.param({"testing": ["7.7.1"]}, "testing 7.7.1", id="no revision"),
    ],
)
def test_the_suites_are_asked_in_turn_for_the_bazel_of_bazelversion(
    tmp_path: Path, suites: dict[str, list[str]], taken: str
) -> None:
    """The build is tested with one version of Bazel, which sid may no longer have."""
    for suite, versions in suites.items():
        add_suite(tmp_path / "mirror/debian", suite, versions)
    with served(tmp_path / "mirror") as address:
        env = environ(tmp_path, f"{address}/debian")
        done = bazelw(env)
        assert done.returncode == 0, done.stderr
        said = bazelw(env, "root-info").stdout
    suite, version = taken.split()
    assert f"\npackage bazel-bootstrap {version}\nsuite {suite}\n" in said


def test_no_suite_with_that_bazel_is_one_line_with_what_was_seen(tmp_path: Path) -> None:
    """A release candidate, a longer number and a "+really" version do not match .bazelversion."""
    archive = tmp_path / "mirror/debian"
    add_suite(archive, "sid", ["7.7.1~rc1+ds-1", "7.7.10-1", "7.7.1+really7.6.0-1"])
    add_suite(archive, "stable", [])
    with served(tmp_path / "mirror") as address:
        env = environ(tmp_path, f"{address}/debian")
        line = last_line(bazelw(env))
    assert re.fullmatch(
        rf"no Bazel 7\.7\.1 in {re.escape(address)}/debian \(sid has (7\.7\.1~rc1|7\.7\.10|"
        r"7\.7\.1\+really7\.6\.0)( and \S+){2}, no testing, stable has none\); "
        r"install Bazelisk for host mode, or set DEBIAN_MIRROR to the snapshot of a day "
        r"that had it \(docs/bazelw\.md\)",
        line,
    )
    assert left(env) == ["actions", "lock"]


def test_a_snapshot_archive_gives_the_bazel_of_its_day(tmp_path: Path, mirror: Mirror) -> None:
    """A snapshot used as DEBIAN_MIRROR, as the error suggests, implies its security archive."""
    day = "archive/debian/20260102T030405Z"
    add_suite(tmp_path / "snapshot" / day, "sid", ["7.6.0+ds-1"])
    with served(tmp_path / "snapshot") as address:
        env = environ(tmp_path, f"{address}/{day}/")
        done = bazelw(env, program=checkout(tmp_path / "old", "7.6.0"))
    assert done.returncode == 0, done.stderr
    security = f"{address}/archive/debian-security/20260102T030405Z"
    assert f"mirrors {address}/{day} {security}\n" in done.stdout


def test_another_bazelversion_makes_another_root(tmp_path: Path, mirror: Mirror) -> None:
    """A root for another version is not used, nor is one whose record names another version."""
    env = environ(tmp_path, mirror.address)
    assert bazelw(env).returncode == 0
    newer = checkout(tmp_path / "newer", "7.8.0")
    assert last_line(bazelw(env, program=newer)).startswith("no Bazel 7.8.0 in ")
    manifest = root_of(env) / "manifest"
    manifest.write_text(manifest.read_text().replace("bazel 7.7.1\n", "bazel 7.6.0\n"))
    assert last_line(bazelw(env, "root-info")).startswith("there is no root with Bazel 7.7.1 yet")
    again = bazelw(env)
    assert "unpacking" in again.stderr
    assert manifest.read_text().startswith("bazel 7.7.1\n")
    manifest.unlink()
    assert "unpacking" in bazelw(env).stderr


def test_root_info_lists_every_package_with_its_hash(tmp_path: Path, mirror: Mirror) -> None:
    """root-info lists what a build was made with, and omits the mirror's password."""
    address = mirror.address.replace("://", "://user:hunter2@")
    env = environ(tmp_path, address)
    nothing = bazelw(env, "root-info")
    assert last_line(nothing) == (
        "there is no root with Bazel 7.7.1 yet; any other command in debian mode creates it"
    )
    made = bazelw(env)
    assert made.returncode == 0, made.stderr
    assert "hunter2" not in made.stderr
    assert f"mirrors {address} " in made.stdout, "Bazel gets it whole"
    assert "hunter2" not in made.stdout.splitlines()[0], "but not on its command line"
    said = bazelw(env, "root-info")
    assert said.returncode == 0, said.stderr
    deb = (mirror.root / "pool/bazel-bootstrap_7.7.1+ds-8_all.deb").read_bytes()
    expected = [
        f"root {root_of(env)}",
        "bazel 7.7.1",
        "package bazel-bootstrap 7.7.1+ds-8",
        "suite sid",
        f"mirror {mirror.address}",
        "architecture amd64",
        f"deb bazel-bootstrap 7.7.1+ds-8 all {hashlib.sha256(deb).hexdigest()}",
    ]
    lines = said.stdout.splitlines()
    assert [line for line in lines if not line.startswith("made ")] == expected
    kept = [path for path in root_of(env).parent.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"hunter2" in path.read_bytes()]
    assert "unpacking" not in bazelw(env | {"DEBIAN_MIRROR": mirror.address}).stderr


@pytest.mark.parametrize("path", ["/debian", "/missing/debian"])
def test_a_password_is_in_no_message(tmp_path: Path, mirror: Mirror, path: str) -> None:
    """Passwords are also removed from apt's messages, which bazelw repeats."""
    (mirror.root / "pool/bazel-bootstrap_7.7.1+ds-8_all.deb").unlink()
    address = mirror.address.replace("://", "://user:hunter2@").replace("/debian", path)
    done = bazelw(environ(tmp_path, address))
    assert last_line(done).startswith(("packages of http:", "no Bazel 7.7.1 in http:"))
    assert "hunter2" not in done.stderr + done.stdout


def test_nothing_in_the_root_gives_rights(tmp_path: Path, mirror: Mirror) -> None:
    """No file has setuid, setgid, capabilities or write permission for others."""
    env = environ(tmp_path, mirror.address)
    done = subprocess.run(
        ["bash", "-c", 'umask 000; exec bash "$0" version', checkout(tmp_path / "here")],
        env=env,
        text=True,
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    root = root_of(env)
    assert stat.S_IMODE((root / "usr/bin/given").stat().st_mode) == 0o755
    assert os.listxattr(root / "usr/bin/capable") == []
    entries = [root, *(path for path in root.rglob("*") if not path.is_symlink())]
    assert not [path for path in entries if path.stat().st_mode & 0o6022]
    assert stat.S_IMODE(root.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "setting",
    [
        'Acquire::http::Proxy "ADDRESS";',
        'acquire::HTTP::proxy "ADDRESS";',
        'Acquire::http::Proxy::far.invalid "ADDRESS";',
        'Acquire::http::Proxy-Auto-Detect "DETECT";',
        'Acquire { http { ProxyAutoDetect "DETECT"; }; };',
        "",
    ],
)
def test_the_proxy_of_apt_is_used(tmp_path: Path, mirror: Mirror, setting: str) -> None:
    """apt uses its proxy to make the root, and Bazel gets the same one for everything else."""
    detect = tmp_path / "detect"
    with proxy_to(mirror.root.parent) as proxy:
        detect.write_text(f'#!/bin/bash\n[[ "$1" == http://far.* ]] && echo {proxy.address}\n')
        detect.chmod(0o755)
        configured = setting.replace("ADDRESS", proxy.address).replace("DETECT", str(detect))
        (tmp_path / "apt.conf").write_text(configured)
        variables = {"APT_CONFIG": str(tmp_path / "apt.conf")}
        if not setting:
            variables["http_proxy"] = proxy.address
        done = bazelw(environ(tmp_path, "http://far.invalid/debian", **variables))
        assert done.returncode == 0, done.stderr
        assert any(path.endswith(".deb") for path in proxy.asked)
        assert f"http_proxy={proxy.address} no_proxy=" in done.stdout


def test_a_host_that_apt_asks_without_its_proxy_is_asked_so(tmp_path: Path, mirror: Mirror) -> None:
    """The proxy setting DIRECT of apt is honored for its host."""
    (tmp_path / "apt.conf").write_text(
        'Acquire::http::Proxy "http://127.0.0.1:9"; Acquire::http::Proxy::127.0.0.1 "DIRECT";'
    )
    env = environ(tmp_path, mirror.address, APT_CONFIG=str(tmp_path / "apt.conf"))
    done = bazelw(env)
    assert done.returncode == 0, done.stderr
    assert "http_proxy= no_proxy=\n" in done.stdout


def test_host_mode_gets_the_mirrors_and_the_proxy_of_apt(tmp_path: Path) -> None:
    """In host mode, Bazelisk gets the same mirror and proxy settings as in debian mode."""
    (tmp_path / "bin").mkdir()
    bazelisk = tmp_path / "bin/bazelisk"
    bazelisk.write_text(
        '#!/bin/bash\necho "$PWD $USE_BAZEL_VERSION $DEBIAN_MIRROR $http_proxy $*"\n'
    )
    bazelisk.chmod(0o755)
    (tmp_path / "apt.conf").write_text('Acquire::http::Proxy "http://127.0.0.1:9";')
    env = environ(tmp_path, "http://far.invalid/debian", BAZELW_MODE="host")
    env["APT_CONFIG"] = str(tmp_path / "apt.conf")
    env["PATH"] = f"{tmp_path}/bin:{env['PATH']}"
    program = checkout(tmp_path / "here")
    done = bazelw(env, "build", "image", program=program)
    said = f"{program.parent} 7.7.1 http://far.invalid/debian http://127.0.0.1:9 build image\n"
    assert done.stdout == said, done.stderr
    assert left(env) == []


def test_a_mirror_on_disk_needs_no_network(tmp_path: Path, mirror: Mirror) -> None:
    """A file: mirror is used although apt, by default, does not copy packages from one."""
    # apt names files after the whole address, for which the sandbox's own paths are too long.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder, "debian").symlink_to(mirror.root)
        done = bazelw(environ(tmp_path, f"file://{folder}/debian"))
    assert done.returncode == 0, done.stderr


def test_the_next_call_is_offline(tmp_path: Path, mirror: Mirror) -> None:
    """Once the root exists, bazelw does not contact the mirror."""
    env = environ(tmp_path, mirror.address)
    assert bazelw(env).returncode == 0
    (mirror.root / "dists").rename(mirror.root / "gone")
    done = bazelw(env)
    assert done.returncode == 0, done.stderr
    assert "fetching" not in done.stderr
