"""git is not influenced by environment variables, user settings, odd addresses or the source."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from repositories.addresses import SourceError
from repositories.git_client import (
    ALLOWED,
    CommitGoneError,
    branch_problem,
    fetch_commit,
    git_archive,
    listed,
)
from repositories.source_tree import checked_git

# Every variable in git's manual that names a path, a program or a setting, and some others.
VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_SYSTEM",
    "GIT_DIR",
    "GIT_EDITOR",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PAGER",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TEMPLATE_DIR",
    "GIT_TRACE",
    "GIT_TRACE2",
    "GIT_TRACE2_EVENT",
    "GIT_TRACE_CURL",
    "GIT_TRACE_PACKET",
    "GIT_TRACE_SETUP",
    "GIT_WORK_TREE",
)


def run(folder: Path, *arguments: str) -> str:
    """Run git as a user would, and return its output."""
    command = ["git", "-c", "user.name=us", "-c", "user.email=us@example.com", *arguments]
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository to fetch from."""
    folder = tmp_path / "source"
    folder.mkdir()
    run(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "file").write_text("content\n")
    (folder / ".gitattributes").write_text("file filter=x\n")
    run(folder, "add", "--all")
    run(folder, "commit", "--quiet", "--message=First")
    return folder


def state(folder: Path) -> dict[str, str]:
    """Return the hash of every file below ``folder``, by path."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def bring(source: Path, scratch: Path) -> str:
    """Fetch main as the tool does, and return the hash of the archive."""
    commit = listed(source.as_uri(), "refs/heads/main")["refs/heads/main"]
    fetch_commit(scratch, source.as_uri(), commit)
    return hashlib.sha256(git_archive(scratch, commit)[1]).hexdigest()


@pytest.mark.parametrize("inside", ["", ".git", ".git/config", ".git/objects", ".git/index"])
def test_no_variable_reaches_the_users_repository(
    inside: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable, alone or combined, changes the archive or any of the user's files."""
    users = tmp_path / "users"
    run(tmp_path, "clone", "--quiet", str(source), str(users))
    run(users, "config", "core.worktree", str(users))
    before, good = state(tmp_path), bring(source, tmp_path / "good")
    before |= state(tmp_path / "good")
    for number, name in enumerate([*VARIABLES, "all"]):
        with monkeypatch.context() as context:
            for one in VARIABLES if name == "all" else [name]:
                context.setenv(one, str(users / inside))
            context.setenv("GIT_CONFIG_COUNT", "1")
            context.setenv("GIT_CONFIG_KEY_0", "core.worktree")
            context.setenv("GIT_CONFIG_VALUE_0", str(users))
            assert bring(source, tmp_path / f"scratch{number}") == good, name
        subprocess.run(["rm", "-r", str(tmp_path / f"scratch{number}")], check=True)
        assert state(tmp_path) == before, name
    assert not set(VARIABLES) & set(ALLOWED)


def test_nothing_of_the_users_settings_decides_the_bytes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's filters, hooks and templates are not run, even if the source requests a filter."""
    good = bring(source, tmp_path / "good")
    told, home = tmp_path / "told", tmp_path / "home"
    hook = home / "hooks/reference-transaction"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {told}\n")
    hook.chmod(0o755)
    (home / "template/hooks").mkdir(parents=True)
    (home / "template/hooks/reference-transaction").symlink_to(hook)
    (home / ".gitconfig").write_text(
        f"[core]\n\tautocrlf = true\n\thooksPath = {hook.parent}\n\tfsmonitor = touch {told}\n"
        f'[filter "x"]\n\tsmudge = touch {told}; rev\n\trequired = true\n'
        f"[init]\n\ttemplateDir = {home}/template\n[tar]\n\tumask = 0777\n"
    )
    monkeypatch.setenv("HOME", str(home))
    assert bring(source, tmp_path / "again") == good
    assert not told.exists()


@pytest.mark.parametrize("address", ["--upload-pack=touch {};", "ext::touch {}", "ext::touch% {}"])
@pytest.mark.parametrize("commit", ["0" * 40, "--upload-pack=touch {};", "+refs/*:refs/*", "HEAD"])
def test_no_command_of_an_address_runs(address: str, commit: str, tmp_path: Path) -> None:
    """Neither listing nor fetching runs a command, even if pin.json was edited."""
    told = tmp_path / "told"
    with pytest.raises(SourceError):
        listed(address.format(told))
    with pytest.raises(SourceError):
        fetch_commit(tmp_path / "scratch", address.format(told), commit.format(told))
    with pytest.raises(SourceError, match=r"is not a full commit hash|it begins with a hyphen"):
        fetch_commit(tmp_path / "scratch", tmp_path.as_uri(), commit.format(told).replace("0", "g"))
    assert not told.exists()


def test_a_rewritten_address_runs_no_command(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's insteadOf is applied, but never runs a helper; its credentials are not shown."""
    told = tmp_path / "told"
    for target, said in (
        (f"ext::touch {told} ", "transport 'ext' not allowed"),
        ("http://us:s3cr3t@127.0.0.1:9/", "http://"),
    ):
        (tmp_path / ".gitconfig").write_text(
            f'[url "{target}"]\n\tinsteadOf = https://a.example/\n'
        )
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(SourceError) as refused:
            listed("https://a.example/us/synapse")
        assert said in str(refused.value)
        assert "s3cr3t" not in str(refused.value)
    assert not told.exists()
    (tmp_path / ".gitconfig").write_text(
        f'[url "{source.parent.as_uri()}/"]\n\tinsteadOf = https://a.example/\n'
    )
    assert "refs/heads/main" in listed("https://a.example/source")


@pytest.mark.parametrize(
    "branch",
    ["-x", "--upload-pack=x", "a..b", "a b", "a\n", "a~1", "a^", "a:b", "*", "a[b", "", "a.lock"],
)
def test_what_no_branch_is_called(branch: str) -> None:
    """Names that git does not allow, and names that look like an option, are rejected."""
    assert branch_problem(branch)


@pytest.mark.parametrize("branch", ["main", "release-v1.163", "v1.163.2", "us/fix#1", "é"])
def test_what_a_branch_is_called(branch: str) -> None:
    """Common names of branches and tags are accepted."""
    assert branch_problem(branch) == ""


def test_a_lost_commit_has_a_remedy_and_other_failures_do_not(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a commit that its server no longer has leads to the advice to move the pin."""
    pinned = {"commit": "1" * 40, "repository": source.as_uri(), "sha256": "", "tree": ""}
    with pytest.raises(CommitGoneError, match=r"the branch was rewritten$"):
        fetch_commit(tmp_path / "scratch", source.as_uri(), pinned["commit"])
    with pytest.raises(SourceError, match=r"; move the pin: .* --update us_main$"):
        checked_git("us_main", pinned, "")
    with pytest.raises(SourceError, match="is not a readable git repository") as refused:
        checked_git("us_main", pinned | {"repository": f"{source.as_uri()}-elsewhere"}, "")
    assert "move the pin" not in str(refused.value)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match=r"^git is not on PATH; install git$"):
        checked_git("us_main", pinned, "")


def test_without_git_no_name_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing git is reported as such: it says nothing about a branch or a server."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for ask in (branch_problem, listed):
        with pytest.raises(SourceError, match=r"^git is not on PATH; install git$"):
            ask("https://a.example/PATH")
