"""Tests of locking Debian packages, with an apt that has only the packages of the test."""

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from pinning.debian import ARCHITECTURES, LISTS, lock_debian
from pinning.errors import PinError

MIRRORS = {
    "DEBIAN_MIRROR": "http://mirror.example/debian",
    "DEBIAN_SECURITY_MIRROR": "http://mirror.example/debian-security",
}
# Prints what apt would, for the packages in a JSON file: {name: [version, pool]}. A wished package
# that is not in it cannot be found, as with apt.
_APT = """\
import json, os, sys
from pathlib import Path
folder = Path(__file__).parent
packages = json.loads((folder / "packages.json").read_text())
sources = Path(os.environ["APT_CONFIG"]).with_name("etc") / "sources.list"
with (folder / "calls").open("a") as calls:
    calls.write(sources.read_text().splitlines()[0] + " " + " ".join(sys.argv[1:]) + "\\n")
words = [word for word in sys.argv[2:] if not word.startswith("-")]
for word in words:
    name = word.partition("=")[0]
    if name not in packages:
        sys.exit("E: Unable to locate package " + name)
    version, pool = packages[name]
    if sys.argv[1] == "install":
        print("Inst " + name + " (" + version + " Debian:13/stable [amd64])")
        print("Conf " + name + " (" + version + " Debian:13/stable [amd64])")
    else:
        print("Package: " + name + "\\nVersion: " + version + "\\nSize: 7")
        print("Filename: " + pool + "/" + name + ".deb\\nSHA256: " + version * 2)
        print("Description: one: two\\n more: text\\n")
"""


class Apt:
    """The programs apt-get and apt-cache, on PATH."""

    def __init__(self, folder: Path) -> None:
        """Write them into ``folder``."""
        self.folder = folder
        folder.mkdir()
        (folder / "apt.py").write_text(_APT)
        for name in ("apt-get", "apt-cache"):
            # The path of the interpreter may be too long for a #! line.
            line = shlex.join([sys.executable, "-I", str(folder / "apt.py")])
            (folder / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
            (folder / name).chmod(0o755)
        self.has(one=("1", "pool/main"), two=("2", "pool/main"))

    def has(self, **packages: tuple[str, str]) -> None:
        """Make ``packages`` the only ones: (version, folder in the pool) by name."""
        (self.folder / "packages.json").write_text(json.dumps(packages))

    @property
    def calls(self) -> list[str]:
        """Return the calls so far: the first line of sources.list, then the arguments."""
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    """Put an apt on PATH and set the mirrors."""
    apt = Apt(tmp_path / "apt")
    monkeypatch.setenv("PATH", f"{apt.folder}:{os.environ['PATH']}")
    for name, address in MIRRORS.items():
        monkeypatch.setenv(name, address)
    return apt


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Return the folder of the suite trixie in a workspace, with lists of one package each."""
    folder = tmp_path / "workspace/config/debian/trixie"
    folder.mkdir(parents=True)
    for name in LISTS:
        (folder / f"{name}.in").write_text("# Why.\none  # a comment\n\n")
    return folder


def lock(suite: Path, *, update: bool = False) -> None:
    """Lock the suite."""
    lock_debian(suite.parents[2], [suite.name], update=update)


def read(suite: Path, name: str) -> dict[str, Any]:
    """Return the parsed lock ``name`` of amd64."""
    document: dict[str, Any] = json.loads((suite / f"{name}.amd64.lock.json").read_text())
    return document


def state(suite: Path) -> dict[str, str]:
    """Return the text of each lock by its file name."""
    return {path.name: path.read_text() for path in suite.glob("*.lock.json")}


def test_a_lock_has_every_list_on_every_architecture(suite: Path, apt: Apt) -> None:
    """The lock names what a build fetches, and the wishes that it was made from."""
    lock(suite)

    assert state(suite).keys() == {
        f"{name}.{architecture}.lock.json" for name in LISTS for architecture in ARCHITECTURES
    }
    for architecture in ARCHITECTURES:
        assert any(
            call.startswith(f"deb [arch={architecture} ")
            and call.endswith(" http://mirror.example/debian trixie main update")
            for call in apt.calls
        )
    assert read(suite, "runtime") == {
        "//": "Made by: ./bazelw run pin -- debian",
        "architecture": "amd64",
        "packages": [
            {
                "archive": "debian",
                "name": "one",
                "path": "pool/main/one.deb",
                "sha256": "11",
                "size": 7,
                "version": "1",
            }
        ],
        "suite": "trixie",
        "wishes": ["one"],
    }


def test_only_trixie_has_the_list_with_go(suite: Path, apt: Apt) -> None:
    """Go in bookworm is too old for the modules."""
    older = suite.with_name("bookworm")
    shutil.copytree(suite, older)
    (older / "go.in").unlink()
    lock_debian(suite.parents[2], [older.name, suite.name], update=False)

    lists = {path.name.partition(".")[0] for path in older.glob("*.lock.json")}
    assert lists == set(LISTS) - {"go"}
    assert (suite / "go.amd64.lock.json").exists()


def test_only_a_changed_list_is_locked_again(
    suite: Path, apt: Apt, capsys: pytest.CaptureFixture[str]
) -> None:
    """A comment is no change. The packages of other lists stay as they are."""
    lock(suite)
    before = state(suite)
    apt.has(one=("9", "pool/main"), two=("2", "pool/main"))
    (suite / "build.in").write_text("# Another comment.\none\n")
    (suite / "runtime.in").write_text("two\none\n")
    capsys.readouterr()
    lock(suite)

    assert {name for name, text in state(suite).items() if text != before[name]} == {
        "runtime.amd64.lock.json",
        "runtime.arm64.lock.json",
    }
    assert [package["name"] for package in read(suite, "runtime")["packages"]] == ["one", "two"]
    assert capsys.readouterr().out.splitlines() == [
        line
        for architecture in ARCHITECTURES
        for line in (
            f"trixie {architecture} runtime: 2 packages", "  one 1 -> 9", "  two new -> 2",
        )
    ]  # fmt: skip


def test_nothing_is_resolved_while_the_lists_are_the_same(
    suite: Path, apt: Apt, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says how to move the locks anyway."""
    lock(suite)
    calls = apt.calls
    capsys.readouterr()
    lock(suite)

    assert apt.calls == calls
    assert capsys.readouterr().out.splitlines() == [
        f"trixie {architecture}: the package lists have not changed; --update updates the locks"
        for architecture in ARCHITECTURES
    ]


def test_an_update_moves_every_lock_and_names_security_updates_first(
    suite: Path, apt: Apt, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package of the security archive is fetched from its own mirror."""
    for name in LISTS:
        (suite / f"{name}.in").write_text("one\ntwo\n")
    lock(suite)
    apt.has(one=("8", "pool/main"), two=("9", "pool/updates/main"))
    capsys.readouterr()
    lock(suite, update=True)

    for name in LISTS:
        packages = read(suite, name)["packages"]
        assert [(row["version"], row["archive"]) for row in packages] == [
            ("8", "debian"), ("9", "debian-security"),
        ]  # fmt: skip
    assert capsys.readouterr().out.splitlines()[:3] == [
        "trixie amd64 build: 2 packages", "  two 2 -> 9 (security)", "  one 1 -> 8",
    ]  # fmt: skip


def test_no_lock_is_written_if_one_list_cannot_be_resolved(suite: Path, apt: Apt) -> None:
    """The last list of the last suite has a package that does not exist."""
    first = suite.with_name("bookworm")
    shutil.copytree(suite, first)
    (suite / f"{LISTS[-1]}.in").write_text("one\nthree\n")

    with pytest.raises(PinError, match=r"^apt-get install: E: Unable to locate package three$"):
        lock_debian(suite.parents[2], [first.name, suite.name], update=False)
    assert any("bookworm main install" in call for call in apt.calls)
    assert (state(first), state(suite)) == ({}, {})


@pytest.mark.parametrize(
    ("variable", "archive"),
    [("DEBIAN_MIRROR", "debian"), ("DEBIAN_SECURITY_MIRROR", "debian-security")],
)
def test_a_mirror_that_is_not_set_is_named(
    suite: Path, apt: Apt, monkeypatch: pytest.MonkeyPatch, variable: str, archive: str
) -> None:
    """`bazelw` sets both from the machine's sources."""
    monkeypatch.delenv(variable)

    with pytest.raises(
        PinError, match=rf"^{variable} is not set; set it to the address of a mirror of {archive}$"
    ):
        lock(suite)
    assert apt.calls == []


def test_a_machine_without_apt_is_told_what_has_it(
    suite: Path, apt: Apt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In host mode, the machine may be of any distribution."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        PinError, match=r"^apt-get is not on PATH; debian mode has it: BAZELW_MODE=debian "
    ):
        lock(suite)
