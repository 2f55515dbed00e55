"""Tests that a file is read whole or rejected with one line, and that reading never hangs."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.errors import ConfigError
from worker.files import read_bounded


def problem_of(path: Path, limit: int = 100) -> str:
    """Return the one-line error with which ``path`` is rejected."""
    with pytest.raises(ConfigError) as caught:
        read_bounded(path, "the secret", limit)
    (line,) = caught.value.problems
    assert line.isprintable()
    return line


def test_a_regular_file_is_read_whole_up_to_the_limit(tmp_path: Path) -> None:
    """A file that is one byte over the limit is rejected."""
    path = tmp_path / "secret"
    for size in (0, 1, 99, 100):
        path.write_bytes(b"x" * size)
        assert read_bounded(path, "the secret", 100) == b"x" * size
    path.write_bytes(b"x" * 101)
    assert problem_of(path) == (f"{path}: the secret has more than 100 bytes; use a smaller file")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    # Bind through the folder's descriptor, since the path of a test's folder is too long for a
    # Unix socket.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: None, "is missing; mount it"),
        (lambda path: path.symlink_to("absent"), "is missing; mount it"),
        (Path.mkdir, "is a folder; mount a file there"),
        (_fifo, "is a FIFO; use a regular file"),
        (_socket, "is a socket; use a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a character device; use a regular file"),
        (lambda path: path.symlink_to("/dev/tty"), "is a character device; use a regular file"),
        (_loop, "cannot be read: Too many levels of symbolic links; use another file"),
    ],
    ids=["missing", "dangling", "folder", "fifo", "socket", "zero", "tty", "loop"],
)
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], None], problem: str
) -> None:
    """Reading a FIFO would wait forever, and /dev/zero never ends."""
    path = tmp_path / "secret"
    make(path)
    assert problem_of(path) == f"{path}: the secret {problem}"


def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    """Such a path can come from the environment or from an escape in YAML."""
    under = tmp_path / "file"
    under.touch()
    assert problem_of(under / "secret") == f"{under}/secret: the secret is missing; mount it"
    assert problem_of(Path("/a\0b")) == (
        "/a\\x00b: the secret is missing: no file can have that name"
    )
    assert problem_of(Path("/a\ud800b")) == (
        "/a\\ud800b: the secret is missing: no file can have that name"
    )
    assert problem_of(Path(os.fsdecode(b"/a\xffb\n"))) == (
        "/a\\udcffb\\n: the secret is missing; mount it"
    )
    long = problem_of(Path("/" + "a" * 500))
    assert long.endswith(
        "... (501 characters): the secret cannot be read: File name too long; use another file"
    )
    assert len(long) < 500
    assert "... (9000 characters): " in problem_of(Path("/a" * 4500))
