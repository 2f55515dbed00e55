"""Packages are chosen as of the time of the source, unless they are allowed to be newer."""

import json
from pathlib import Path

from tests.pins.servers import GitServer, Index
from tests.pins.workspace import (
    COMMITTED,
    LATER,
    NAME,
    OLD,
    Workspace,
    pinned,
    refused,
    require,
    wish,
)


def test_the_time_is_that_of_the_commit(
    workspace: Workspace, server: GitServer, index: Index, tmp_path: Path
) -> None:
    """A release after the commit, or a later wheel of an older release, is not used."""
    index.add(tmp_path, "timely", "1", OLD)
    index.add(tmp_path, "timely", "2", LATER)
    index.add(tmp_path, "timely", "1", LATER, "cp311-cp311-manylinux_2_17_x86_64")
    require(server, "timely")
    said = pinned(workspace, *wish(server))
    assert f"packages as of {COMMITTED}\n" in said
    assert workspace.lock(NAME)["timely"] == "1"
    document = workspace.document(NAME)
    assert (document["as_of"], document["newer"], document["first_wheels"]) == (COMMITTED, {}, {})
    files = json.loads((workspace.folder / "config/pins" / NAME / "files.lock.json").read_text())
    (file,) = [file for file in files["files"] if file["name"] == "timely"]
    assert file["filename"] == "timely-1-py3-none-any.whl"
    assert f"extras redis, packages as of {COMMITTED}\n" in workspace.pin("--list").stdout


def test_an_update_moves_the_time_with_the_source(
    workspace: Workspace, server: GitServer, index: Index, tmp_path: Path
) -> None:
    """An update takes packages as of the new commit, so they can be newer, too."""
    index.add(tmp_path, "moving", "1", OLD)
    index.add(tmp_path, "moving", "2", LATER)
    require(server, "moving")
    pinned(workspace, *wish(server))
    server.commit("Later", {"README.rst": ("Synapse", "Synapse ")}, time="2024-01-01T00:00:00Z")
    said = pinned(workspace, "--update", NAME, "--base", server.base)
    assert "moving up, 1 -> 2" in said
    assert workspace.document(NAME)["as_of"] == "2024-01-01T00:00:00Z"


def test_constraints_lie_on_top(
    workspace: Workspace, server: GitServer, index: Index, tmp_path: Path
) -> None:
    """A constraint that only a newer release meets is refused, and the message says what to do."""
    index.add(tmp_path, "capped", "1", OLD)
    index.add(tmp_path, "capped", "2", LATER)
    require(server, "capped")
    (tmp_path / "c.in").write_text("capped>=2\n")
    said = refused(workspace, *wish(server, "--constraints", str(tmp_path / "c.in")))
    assert "capped" in said
    assert f"as of {COMMITTED}, the time of the source; --newer PACKAGE takes a newer one" in said


def test_the_first_wheel_for_a_newer_python(
    workspace: Workspace, server: GitServer, index: Index, tmp_path: Path
) -> None:
    """The suite is chosen by the available wheels.

    A package that has none for the suite's Python yet gets its first release that does.
    """
    index.add(tmp_path, "native", "1", OLD, "sdist")
    latest = "2024-05-01T12:00:00Z"
    for python, version, time in (("310", "1", OLD), ("311", "2", LATER), ("311", "3", latest)):
        for machine in ("x86_64", "aarch64"):
            tag = f"cp{python}-cp{python}-manylinux_2_17_{machine}"
            index.add(tmp_path, "native", version, time, tag)
    require(server, "native")
    automatic = [word for word in wish(server) if word not in ("--suite", "bookworm")]
    said = pinned(workspace, *automatic)
    assert "Synapse 1.66.0 for Python 3.11 on bookworm" in said
    # Nor does the index have wheels of Synapse's own requirements for trixie's Python.
    assert "newer than the source, as the first with a wheel for Python 3.11: native 2\n" in said
    assert workspace.document(NAME)["first_wheels"] == {"native": "2023-05-01T12:00:01Z"}
    assert workspace.lock(NAME)["native"] == "2"


def test_an_index_that_does_not_say_when(
    workspace: Workspace, server: GitServer, silent_index: Index
) -> None:
    """The error is one line that suggests --newer, and --newer works."""
    address = silent_index.address
    said = refused(workspace, *wish(server), PIP_INDEX_URL=address)
    assert said.startswith("error: the package index does not say when the files of ")
    assert "take its newest version with --newer " in said
    assert said.count("\n") == 1
    made = workspace.pin(*wish(server, "--newer", ":all:"), PIP_INDEX_URL=address)
    assert made.returncode == 0, made.stderr
    assert "newer than the source, by --newer: :all:" in made.stdout
