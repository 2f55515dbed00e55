"""bazelw refuses a cache folder or a root that another user owns or can change."""

import os
from pathlib import Path

import pytest

from tests.bazelw.archive import (
    LACKING,
    Mirror,
    bazelw,
    cache_of,
    environ,
    last_line,
    root_of,
)

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"not on PATH: {', '.join(LACKING)}")
# The ID of another user; only root can change a file's owner.
OTHER = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def give_away(path: Path) -> None:
    """Change the owner of ``path`` to another user; skip if the sandbox has no other user."""
    try:
        os.chown(path, OTHER, OTHER, follow_symlinks=False)
    except OSError as error:
        pytest.skip(f"no other user here: {error}")


@as_root
@pytest.mark.parametrize("name", ["cache", "root", "actions", "bwrap"])
@pytest.mark.parametrize("verb", ["version", "root-info", "clean-root"])
def test_what_another_user_owns_is_refused(
    tmp_path: Path, mirror: Mirror, name: str, verb: str
) -> None:
    """Files of another user are refused, because they would be run as this user."""
    env = environ(tmp_path, mirror.address)
    assert bazelw(env).returncode == 0
    cache = cache_of(env)
    (cache / "bwrap").mkdir()
    path = {"cache": cache, "root": root_of(env)}.get(name, cache / name)
    give_away(path)
    done = bazelw(env, verb)
    if verb == "version" or name == "cache" or (verb, name) == ("root-info", "root"):
        assert last_line(done) == (
            f"{path} belongs to user {OTHER}, not to you (0); "
            "remove it, or set XDG_CACHE_HOME to a folder of yours"
        )
    else:
        assert done.returncode == 0, done.stderr


@as_root
def test_nothing_is_made_in_the_home_of_someone_else(tmp_path: Path, mirror: Mirror) -> None:
    """sudo may keep another user's HOME, and that user could not remove a cache made by root."""
    env = environ(tmp_path, mirror.address)
    give_away(Path(env["HOME"]))
    assert last_line(bazelw(env)) == (
        f"{env['HOME']} belongs to user {OTHER}, not to you (0); "
        "set XDG_CACHE_HOME to a folder of yours"
    )
    assert list(Path(env["HOME"]).iterdir()) == []


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
@pytest.mark.parametrize("name", ["cache", "root"])
def test_what_others_can_write_is_refused(
    tmp_path: Path, mirror: Mirror, name: str, mode: int
) -> None:
    """The user's own folders are refused if others can write to them."""
    env = environ(tmp_path, mirror.address)
    assert bazelw(env).returncode == 0
    path = {"cache": cache_of(env), "root": root_of(env)}[name]
    path.chmod(mode)
    assert last_line(bazelw(env)) == (
        f"{path} can be changed by others (mode {mode:o}); remove it, or run: chmod go-w '{path}'"
    )
    path.chmod(mode & 0o755)
    assert bazelw(env).returncode == 0


def test_a_link_to_a_folder_of_ones_own_is_fine(tmp_path: Path, mirror: Mirror) -> None:
    """The cache may be a symlink to a folder on another disk."""
    env = environ(tmp_path, mirror.address)
    (tmp_path / "disk").mkdir(mode=0o755)
    cache_of(env).parent.mkdir()
    cache_of(env).symlink_to(tmp_path / "disk")
    done = bazelw(env)
    assert done.returncode == 0, done.stderr


@as_root
@pytest.mark.parametrize("what", ["link", "target"])
def test_a_link_of_or_to_someone_else_is_refused(tmp_path: Path, mirror: Mirror, what: str) -> None:
    """The owner of the symlink or of its target could decide what is run."""
    env = environ(tmp_path, mirror.address)
    (tmp_path / "disk").mkdir(mode=0o755)
    cache = cache_of(env)
    cache.parent.mkdir()
    cache.symlink_to(tmp_path / "disk")
    give_away(cache if what == "link" else tmp_path / "disk")
    for verb in ("version", "clean-root", "root-info"):
        assert last_line(bazelw(env, verb)).startswith(f"{cache} belongs to user {OTHER}, ")
    assert list((tmp_path / "disk").iterdir()) == []


def test_a_link_to_nothing_is_refused(tmp_path: Path, mirror: Mirror) -> None:
    """A dangling symlink is refused, and its target is not created."""
    env = environ(tmp_path, mirror.address)
    cache_of(env).parent.mkdir()
    cache_of(env).symlink_to(tmp_path / "nothing")
    assert last_line(bazelw(env)) == f"{cache_of(env)} is a dangling symlink; remove it"
    assert not (tmp_path / "nothing").exists()
