"""``--newer`` takes the latest version of a package, and is remembered until ``--no-newer``."""

from pathlib import Path

from tests.pins.servers import GitServer, Index
from tests.pins.workspace import LATER, NAME, OLD, Workspace, pinned, refused, require, wish


def test_a_newer_package_is_named(
    workspace: Workspace, server: GitServer, index: Index, tmp_path: Path
) -> None:
    """Only that package is newer; remaking and updating keep it so until --no-newer."""
    for name in ("named", "unnamed"):
        index.add(tmp_path, name, "1", OLD)
        index.add(tmp_path, name, "2", LATER)
    require(server, "named", "unnamed")
    said = pinned(workspace, *wish(server, "--newer", "Named"))
    assert "newer than the source, by --newer: named 2\n" in said
    assert (workspace.lock(NAME)["named"], workspace.lock(NAME)["unnamed"]) == ("2", "1")
    newer = workspace.document(NAME)["newer"]
    assert list(newer) == ["named"]
    assert f"newer than that: named ({newer['named']})" in workspace.pin("--list").stdout

    pinned(workspace, *wish(server))
    assert workspace.lock(NAME)["named"] == "2"
    assert workspace.document(NAME)["newer"] == newer
    said = pinned(workspace, "--update", NAME, "--base", server.base)
    assert f"{NAME}: 1.66.0 (" in said
    assert workspace.lock(NAME)["named"] == "2"
    assert workspace.document(NAME)["newer"]["named"] >= newer["named"]

    said = pinned(workspace, "--update", NAME, "--base", server.base, "--no-newer")
    assert "named down, 2 -> 1" in said
    assert workspace.lock(NAME)["named"] == "1"
    pinned(workspace, "--update", NAME, "--base", server.base, "--newer", ":all:")
    assert (workspace.lock(NAME)["named"], workspace.lock(NAME)["unnamed"]) == ("2", "2")


def test_what_synapse_does_not_need_cannot_be_newer(
    workspace: Workspace, server: GitServer, index: Index, tmp_path: Path
) -> None:
    """A misspelled package name is refused; otherwise it would look like an update."""
    index.add(tmp_path, "unneeded", "1", OLD)
    said = refused(workspace, *wish(server, "--newer", "unneeded"))
    assert said.startswith(
        "error: --newer=unneeded: Synapse 1.66.0 does not need it; its packages "
    )
