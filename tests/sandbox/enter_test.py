"""Tests of which folders the sandbox of a build step must show."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.enter import link_targets, outermost


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return an empty folder, beside which a test makes the targets of its links."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_a_folder_without_links_needs_nothing(work: Path) -> None:
    """Files and folders are visible anyway."""
    (work / "a/b").mkdir(parents=True)
    (work / "a/b/c").touch()

    assert link_targets(work) == set()


def test_a_link_needs_the_folder_of_its_file_or_its_folder(work: Path, tmp_path: Path) -> None:
    """Links are found at any depth."""
    for name in ("files", "folders/inner"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "files/x").touch()
    (work / "deep").mkdir()
    (work / "deep/file").symlink_to(tmp_path / "files/x")
    (work / "folder").symlink_to(tmp_path / "folders/inner")

    assert link_targets(work) == {
        tmp_path / "files",
        tmp_path / "folders",  # It holds the target of the second link, which might be a link.
        tmp_path / "folders/inner",
    }


def test_each_step_of_a_chain_is_needed(work: Path, tmp_path: Path) -> None:
    """The kernel resolves the link in the middle too."""
    for name in ("middle", "end"):
        (tmp_path / name).mkdir()
    (tmp_path / "end/x").touch()
    (tmp_path / "middle/x").symlink_to("../end/x")
    (work / "x").symlink_to(tmp_path / "middle/x")

    assert link_targets(work) == {tmp_path / "middle", tmp_path / "end"}


def test_a_relative_link_needs_only_its_target(work: Path, tmp_path: Path) -> None:
    """The folder in which it starts is the one that is mounted."""
    (work / "a").mkdir()
    (work / "a/x").touch()
    (work / "y").symlink_to("a/x")

    assert link_targets(work) == {work / "a"}


def test_a_dangling_link_needs_the_folder_that_would_have_its_file(work: Path) -> None:
    """It is no error: the step may not read it."""
    (work / "x").symlink_to("/nowhere/file")

    assert link_targets(work) == {Path("/nowhere")}


_FOLDERS = st.sets(
    st.lists(st.sampled_from(["a", "ab", "b"]), max_size=4).map(lambda parts: Path("/", *parts))
)


@settings(deadline=None)
@given(_FOLDERS)
def test_outermost_folders_cover_all_and_contain_no_other(folders: set[Path]) -> None:
    """Each folder is mounted once: a mount inside another would need a mount point."""
    result = outermost(folders)

    assert set(result) <= folders
    assert all(any(folder.is_relative_to(outer) for outer in result) for folder in folders)
    assert not [
        (one, other)
        for one in result
        for other in result
        if one != other and one.is_relative_to(other)
    ]
    assert result == sorted(result)
