"""Files that the operator names are read safely; files are written completely or not at all."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.doctor import read_plan
from worker.errors import ConfigError
from worker.files import _refuse_irregular, read_bounded, write_new, write_text


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (stat.S_IFBLK, "is a block device; give a regular file"),
        (stat.S_IFCHR, "is a character device; give a regular file"),
        (stat.S_IFIFO, "is a FIFO; give a regular file"),
        (stat.S_IFSOCK, "is a socket; give a regular file"),
        (stat.S_IFDIR, "is a folder; mount a file there"),
        (0, "is not a regular file; give a regular file"),
    ],
)
def test_each_kind_of_file_is_called_by_its_name(kind: int, said: str) -> None:
    """The message names the kind of file that was mounted."""
    with pytest.raises(ConfigError) as caught:
        _refuse_irregular("/k", "the key", kind | 0o600)
    assert caught.value.problems == (f"/k: the key {said}",)


@pytest.fixture
def regular_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a FIFO that stat(2) reported as a regular file."""
    plain, path = tmp_path / "plain", tmp_path / "fifo"
    plain.touch()
    before = plain.stat()
    os.mkfifo(path)
    monkeypatch.setattr("worker.files.os.stat", lambda _: before)
    return path


def test_a_file_that_is_exchanged_meanwhile_is_refused(regular_at_first: Path) -> None:
    """Opening the FIFO does not wait for a writer, and the FIFO is not read."""
    with pytest.raises(ConfigError) as caught:
        read_bounded(regular_at_first, "the key", 10)
    assert caught.value.problems == (f"{regular_at_first}: the key is a FIFO; give a regular file",)


def test_a_file_without_content_yet_is_not_waited_for(
    regular_at_first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One example is /proc/kmsg, which stat(2) reports as a regular file."""
    regular = os.stat(regular_at_first)
    monkeypatch.setattr("worker.files.os.fstat", lambda _: regular)
    writer = os.open(regular_at_first, os.O_RDWR)
    try:
        with pytest.raises(ConfigError) as caught:
            read_bounded(regular_at_first, "the key", 10)
    finally:
        os.close(writer)
    assert caught.value.problems == (
        f"{regular_at_first}: the key cannot be read: it has no content yet; give another file",
    )


@pytest.mark.parametrize(
    ("write", "call", "prefix"),
    [(write_text, "replace", ".kept."), (write_new, "link", ".new.")],
)
def test_a_file_is_made_beside_its_place_and_moved_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path, str], object],
    call: str,
    prefix: str,
) -> None:
    """Only a move within one file system is atomic, and a power cut leaves just a hidden file."""
    moved: list[Path] = []
    real = getattr(os, call)

    def spy(source: str, target: Path) -> None:
        moved.append(Path(source))
        real(source, target)

    monkeypatch.setattr(f"worker.files.os.{call}", spy)
    write(tmp_path / "kept", "text")
    (source,) = moved
    assert source.parent == tmp_path
    assert source.name.startswith(prefix)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (
            write_text,
            "{folder} cannot be written: No such file or directory; mount a tmpfs that uid {uid} "
            "may write",
        ),
        (
            write_new,
            "{folder}/a cannot be written: No such file or directory; make room, or mount another",
        ),
    ],
)
def test_a_folder_that_takes_no_file_is_named(
    tmp_path: Path, write: Callable[[Path, str], object], said: str
) -> None:
    """The message includes the system's reason and a remedy."""
    folder = tmp_path / "none"
    with pytest.raises(ConfigError) as caught:
        write(folder / "a", "text")
    assert caught.value.problems == (said.format(folder=folder, uid=os.geteuid()),)


def test_a_plan_or_key_may_have_a_mebibyte(tmp_path: Path) -> None:
    """A file with one more byte is refused before it is parsed."""
    plan = tmp_path / "plan"
    plan.write_bytes(b"#" * 2**20)
    assert len(read_plan(str(plan))) == 2**20
    plan.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(ConfigError) as caught:
        read_plan(str(plan))
    assert caught.value.problems == (
        f"{plan}: the plan has more than 1048576 bytes; give a smaller file",
    )
