"""bazelw, Bazel without it, and apt itself find the same Debian archives on a machine."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.bazelw.archive import BAZELW
from tests.bazelw.sources import CASES, DEBIAN, Machine

SCRIPT = BAZELW.parent / "debian_mode/mirrors.sh"
MACHINE = Path(os.environ["MACHINE"]).absolute()
# Debian's Bazel does not include Java.
JAVA = Path("/usr/lib/jvm/default-java")


def expected(machine: Machine) -> tuple[str, str]:
    """Return both addresses, with the default security archive if the machine names none."""
    archive, security = machine.found
    return archive, security or (archive and f"{archive}-security")


def write(machine: Machine, folder: Path) -> Path:
    """Write the machine's files below ``folder`` and return it."""
    for name, text in machine.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_the_archives_that_apt_uses_are_found(tmp_path: Path, name: str) -> None:
    """In each case of sources.py, Debian's archives are found; others and disabled ones are not."""
    machine = CASES[name]
    environ = {"PATH": os.environ["PATH"], "BAZELW_MACHINE": str(write(machine, tmp_path / "m"))}
    done = subprocess.run(
        ["bash", SCRIPT],
        env=environ | machine.variables,
        text=True,
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (0, "")
    archive, security = expected(machine)
    assert done.stdout == f"debian {archive}\ndebian-security {security}\n"


@pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not on PATH")
@pytest.mark.parametrize("name", [name for name in CASES if not CASES[name].variables])
def test_apt_itself_would_fetch_from_what_is_found(tmp_path: Path, name: str) -> None:
    """apt itself, given the same files, would fetch from the expected addresses."""
    machine = CASES[name]
    root = write(machine, tmp_path / "machine")
    for folder in ("etc/apt/sources.list.d", "etc/apt/apt.conf.d", "state/lists/partial"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "status").touch()
    config = tmp_path / "apt.conf"
    config.write_text(
        f'Dir::Etc "{root}/etc/apt";\nDir::State "{root}/state";\nDir::State::status '
        f'"{root}/status";\nDir::Cache "{root}";\nAPT::Architecture "amd64";\n'
        'APT::Sandbox::User "";\n'
    )
    command = ["apt-get", "-o", "Debug::NoLocking=1", "update", "--print-uris"]
    done = subprocess.run(
        command,
        env={"APT_CONFIG": str(config), "PATH": os.environ["PATH"]},
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    printed = re.findall(r"'([^']*)/dists/[^']*/main/binary-amd64/Packages[^']*'", done.stdout)
    bases = {re.sub("^file:/+", "file:///", address.rstrip("/")) for address in printed}
    archive, security = machine.found
    if not archive:
        assert DEBIAN not in bases
    elif "mirror+" not in str(machine.files):  # For such a list apt prints its own name.
        assert archive in bases, done.stdout + done.stderr
        derived = "/archive/debian-security/" in security
        assert derived or not security or security in bases, done.stdout + done.stderr


_WORKSPACE = """\
load("//:probe.bzl", "probe")

probe(name = "probe", machines = {machines})
"""
# Looks up the mirrors as a repository of Debian packages does, for each machine of the table.
_PROBE = """\
load("//repositories:machine.bzl", "debian_mirrors", "without_password")

def _probe_impl(rctx):
    found = {}
    for name, spec in json.decode(rctx.attr.machines).items():
        variables = spec["variables"]

        # Bazel's own context with the variables of that machine.
        machine = struct(
            execute = lambda command: rctx.execute(command, environment = variables),
            os = struct(environ = variables),
            path = rctx.path,
            which = rctx.which,
        )
        found[name] = debian_mirrors(machine)
    for address in ["http://me:p%40%7E%25w@h.test:80/a@b", "http://h.test/a@b"]:
        found[address] = without_password(address)
    rctx.file("found.json", json.encode(found))
    rctx.file("BUILD.bazel", "exports_files(['found.json'])")

probe = repository_rule(implementation = _probe_impl, attrs = {"machines": attr.string()})
"""


def query(workspace: Path, home: Path, target: str) -> subprocess.CompletedProcess[str]:
    """Query ``target`` with the Bazel on PATH, without bazelw."""
    environ = {"HOME": str(home), "PATH": os.environ["PATH"]}
    if JAVA.exists():
        environ["JAVA_HOME"] = str(JAVA)
    command = ["bazel", f"--output_user_root={home}/bazel", "--nohome_rc", "--batch"]
    command += ["--host_jvm_args=-XX:TieredStopAtLevel=1", "query"]
    command += ["--noenable_bzlmod", "--enable_workspace", "--lockfile_mode=off", "--color=no"]
    return subprocess.run(
        [*command, target],
        cwd=workspace,
        env=environ,
        text=True,
        capture_output=True,
        check=False,
        timeout=200,
    )


@pytest.mark.skipif(not shutil.which("bazel"), reason="bazel is not on PATH inside the sandbox")
def test_bazel_without_bazelw_finds_the_same(tmp_path: Path) -> None:
    """If Bazel is called directly, machine.bzl finds the same archives as bazelw."""
    workspace = tmp_path / "workspace"
    (workspace / "repositories").mkdir(parents=True)
    (workspace / "debian_mode").mkdir(parents=True)
    shutil.copy(MACHINE, workspace / "repositories/machine.bzl")
    shutil.copy(SCRIPT, workspace / "debian_mode/mirrors.sh")
    for folder in (".", "repositories", "debian_mode"):
        (workspace / folder / "BUILD.bazel").touch()
    (workspace / "probe.bzl").write_text(_PROBE)
    cases = {name: machine for name, machine in CASES.items() if machine.found[0]}
    specs = {}
    for number, (name, machine) in enumerate(cases.items()):
        root = write(machine, tmp_path / f"machine{number}")
        specs[name] = {"variables": {"BAZELW_MACHINE": str(root), **machine.variables}}
    (workspace / "WORKSPACE").write_text(_WORKSPACE.format(machines=json.dumps(json.dumps(specs))))
    done = query(workspace, tmp_path, "@probe//:all")
    assert done.returncode == 0, done.stderr
    (written,) = (tmp_path / "bazel").glob("*/external/probe/found.json")
    found = json.loads(written.read_text())
    assert found.pop("http://h.test/a@b") == ["http://h.test/a@b", None]
    plain, auth = found.pop("http://me:p%40%7E%25w@h.test:80/a@b")
    assert plain == "http://h.test:80/a@b"
    assert auth == {"login": "me", "password": "p@~%w", "type": "basic"}
    wanted = {
        name: dict(zip(("debian", "debian-security"), expected(machine), strict=True))
        for name, machine in cases.items()
    }
    assert found == wanted
