"""Tests of a pin's whole life: making, fetching, updating, tampering, patching, removing."""

import json
import shutil
from pathlib import Path

from tests.pins.servers import REPOSITORY, UPLOADED, GitServer, Index
from tests.pins.workspace import NAME, Workspace, fetch, needs_bazel, version, wish


@needs_bazel
def test_a_branch_that_moves(workspace: Workspace, server: GitServer) -> None:
    """The build stays at the pinned commit until an update, which reports what changed."""
    first = server.git("rev-parse", "HEAD")
    made = workspace.pin(*wish(server))
    assert made.returncode == 0, made.stderr
    address = f"{server.base}/{REPOSITORY}"
    assert f"branch main of {address} is commit {first}" in made.stdout
    assert "Synapse 1.66.0 for Python 3.11 on bookworm" in made.stdout
    chosen = f"--synapse_repo={REPOSITORY} --synapse_branch=main"
    base = f"--repo_env=SYNAPSE_GIT_BASE={server.base}"
    assert f"./bazelw build image {chosen} {base}\n" in made.stdout
    assert f'("{REPOSITORY}", "main"): {{' in workspace.table.read_text()
    document = workspace.document(NAME)
    assert document["git"]["tree"] == server.git("rev-parse", "HEAD^{tree}")
    # The image names this address as the location of its source.
    assert document["source"] == address
    text, said = fetch(workspace, server)
    assert version(text) == 'version = "1.66.0"', said

    second = server.commit(
        "Move on",
        {
            "pyproject.toml": ('version = "1.66.0"', 'version = "1.66.1"'),
            "CHANGES.md": (
                "Synapse 1.66.0",
                "# Synapse 1.66.1 (2022-09-01)\n\nFixes CVE-2022-31152.\n\n# Synapse 1.66.0",
            ),
            "synapse/config/workers.py": (
                '        self.worker_app = config.get("worker_app")\n',
                '        self.worker_app = config.get("worker_app")\n'
                '        self.worker_new = config.get("worker_new")\n',
            ),
        },
    )
    text, said = fetch(workspace, server)
    assert version(text) == 'version = "1.66.0"', said
    updated = workspace.pin("--update", NAME, "--base", server.base)
    assert updated.returncode == 0, updated.stderr
    assert f"{NAME}: 1.66.0 ({first}) -> 1.66.1 ({second})" in updated.stdout
    assert f"1 commit:\n    {second[:7]}" in updated.stdout
    assert "Move on" in updated.stdout
    assert "releases between:\n    1.66.1" in updated.stdout
    assert "advisories:\n    1.66.1: CVE-2022-31152" in updated.stdout
    assert "new settings of workers:\n    worker_new" in updated.stdout
    assert "dependencies: none" in updated.stdout
    text, said = fetch(workspace, server)
    assert version(text) == 'version = "1.66.1"', said

    # Someone else rewrites the branch, and the server discards the commit.
    server.commit("Rewritten", {"README.rst": ("Synapse", "Synapse ")}, "--amend")
    server.git("reflog", "expire", "--expire=now", "--all", folder=server.bare)
    server.git("gc", "--quiet", "--prune=now", folder=server.bare)
    text, said = fetch(workspace, server)
    assert not text
    assert (
        f"error: {NAME}: commit {second} is not at {address} any more; the branch was rewritten; "
        f"move the pin: ./bazelw run pin -- --update {NAME}" in said
    )
    moved = workspace.pin("--update", NAME, "--base", server.base)
    assert moved.returncode == 0, moved.stderr
    assert (
        f"{NAME}: the old source is no longer available: commit {second} is not at" in moved.stdout
    )
    assert f"commit {second} is not in the history of" in moved.stdout


@needs_bazel
def test_what_was_tampered_with_fails_by_name(workspace: Workspace, server: GitServer) -> None:
    """A wrong tree hash, a wrong archive hash and a hand-edited lock are each reported."""
    made = workspace.pin(*wish(server))
    assert made.returncode == 0, made.stderr
    folder = workspace.folder / "config/pins" / NAME
    good = workspace.document(NAME)
    commit, again = good["git"]["commit"], f"./bazelw run pin -- --update {NAME}"

    def edited(**changes: str) -> str:
        document = good | {"git": good["git"] | changes}
        (folder / "pin.json").write_text(json.dumps(document))
        return fetch(workspace, server)[1]

    tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    assert (
        f"error: {NAME}: pin.json: commit {commit} has the tree {good['git']['tree']}, and not "
        f"{tree}; make the pin again: {again}" in edited(tree=tree)
    )
    assert (
        f"error: {NAME}: the archive of commit {commit} has the sha256 {good['git']['sha256']}, "
        f"and not {'0' * 64} as pin.json says" in edited(sha256="0" * 64)
    )
    (folder / "pin.json").write_text(json.dumps(good))
    lock = folder / "requirements_lock.txt"
    lock.write_text(lock.read_text().replace("==", "== ", 1))
    said = fetch(workspace, server)[1]
    assert f"config/pins/{NAME}: requirements_lock.txt was edited by hand: its sha256 is" in said
    assert f"make the pin again: {again}" in said
    checked = workspace.pin("--check", NAME, "--base", server.base)
    assert checked.returncode == 1
    assert f"{NAME}: requirements_lock.txt was edited by hand" in checked.stdout


@needs_bazel
def test_patches_lie_on_top(workspace: Workspace, server: GitServer, tmp_path: Path) -> None:
    """Patches are applied in name order; one that fails is named, and nothing is written."""
    patches = tmp_path / "patches"
    patches.mkdir()
    manifest = server.checkout / "pyproject.toml"
    text = manifest.read_text()
    manifest.write_text(text.replace('version = "1.66.0"', 'version = "1.66.0+ours"'))
    change = server.git("diff") + "\n"
    manifest.write_text(text)
    (patches / "1.patch").write_text(change)
    made = workspace.pin(*wish(server, "--patches", str(patches)))
    assert made.returncode == 0, made.stderr
    assert "Synapse 1.66.0+ours for Python" in made.stdout
    text, said = fetch(workspace, server)
    assert version(text) == 'version = "1.66.0+ours"', said
    (patches / "2.patch").write_text(change)
    before = workspace.state()
    refused = workspace.pin(*wish(server, "--patches", str(patches)))
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: 2.patch does not apply: ")
    assert workspace.state() == before


def test_a_tag_a_commit_and_a_checkout_can_be_pinned(
    workspace: Workspace, server: GitServer
) -> None:
    """A tag, a commit hash and a local checkout all resolve to the same commit."""
    commit = server.git("rev-parse", "HEAD")
    server.git("tag", "--annotate", "--message=t", "v1.66.0")
    server.git("push", "--quiet", "origin", "v1.66.0")
    common = ["--base", server.base, "--suite", "bookworm", "--extras", "postgres"]
    for repository, branch in (
        (REPOSITORY, "v1.66.0"),
        (REPOSITORY, commit),
        (str(server.checkout), "main"),
    ):
        made = workspace.pin("--repo", repository, "--branch", branch, *common)
        assert made.returncode == 0, made.stderr
    listed = workspace.pin("--list").stdout
    assert listed.count(f"Synapse 1.66.0, {commit} from git") == 3
    assert f"--synapse_repo=file://{server.checkout} --synapse_branch=main" in listed
    names = [line.partition(":")[0] for line in listed.splitlines() if not line.startswith(" ")]
    removed = workspace.pin("--remove", names[0])
    assert removed.stdout == f"removed {names[0]}\n"
    assert names[0] not in workspace.pin("--list").stdout
    assert not (workspace.folder / "config/pins" / names[0]).exists()


def test_a_pin_that_cannot_move_does_not_hold_up_the_others(
    workspace: Workspace, server: GitServer, tmp_path: Path
) -> None:
    """If one pin's source is gone, the others are updated and the exit code is 2."""
    lost = tmp_path / "lost"
    server.git("clone", "--quiet", str(server.bare), str(lost), folder=tmp_path)
    for more in ([], ["--repo", str(lost)]):
        made = workspace.pin(*wish(server, *more))
        assert made.returncode == 0, made.stderr
    shutil.rmtree(lost)
    commit = server.commit("Move on", {"README.rst": ("Synapse", "Synapse ")})
    done = workspace.pin("--update", "--base", server.base)
    assert done.returncode == 2
    assert f"{NAME}: 1.66.0 (" in done.stdout
    assert workspace.document(NAME)["git"]["commit"] == commit
    (name,) = {path.name for path in (workspace.folder / "config/pins").iterdir()} - {NAME}
    assert (
        f"error: {name} is unchanged: file://{lost} is not a readable git repository" in done.stderr
    )


def test_the_lock_of_the_source_is_followed(
    workspace: Workspace, server: GitServer, index: Index, tmp_path: Path
) -> None:
    """The versions in the source's poetry.lock are used unless --newer overrides them."""
    index.add(tmp_path, "followed", "1", UPLOADED)
    index.add(tmp_path, "followed", "2", UPLOADED)
    (server.checkout / "poetry.lock").write_text('[[package]]\nname = "followed"\nversion = "1"\n')
    server.commit(
        "Lock",
        {"pyproject.toml": ('python = "^3.7.1"\n', 'python = "^3.7.1"\nfollowed = ">=1"\n')},
    )
    made = workspace.pin(*wish(server))
    assert made.returncode == 0, made.stderr
    assert workspace.lock(NAME)["followed"] == "1"
    assert "packages as in its poetry.lock" in made.stdout
    made = workspace.pin(*wish(server, "--newer", "followed"))
    assert made.returncode == 0, made.stderr
    assert workspace.lock(NAME)["followed"] == "2"


def test_modules_get_files_of_their_own(
    workspace: Workspace, server: GitServer, index: Index, tmp_path: Path
) -> None:
    """A package that Synapse itself needs stays in the folder of its wheels."""
    index.add(tmp_path, "apart", "1", UPLOADED)
    (tmp_path / "modules.in").write_text("apart\nattrs\n")
    made = workspace.pin(*wish(server, "--modules", str(tmp_path / "modules.in")))
    assert made.returncode == 0, made.stderr
    assert "of its modules: apart\n" in made.stdout
    lock = (workspace.folder / "config/pins" / NAME / "files.lock.json").read_text()
    folders = {file["name"]: file["folder"] for file in json.loads(lock)["files"]}
    assert (folders["apart"], folders["attrs"]) == ("modules", "wheels")
    assert '"modules": True' in workspace.table.read_text()
