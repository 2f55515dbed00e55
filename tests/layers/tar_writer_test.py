"""Tests that a layer's bytes depend only on its content, and that invalid entries are refused."""

import os
import tarfile
import time
from pathlib import Path

import pytest
from layer_error import LayerError
from tar_writer import Layer


def listing(path: Path) -> list[tuple[str, int, int, int, int]]:
    """Return (name, mode, owner, time, size) for each entry."""
    with tarfile.open(path) as archive:
        return [(i.name, i.mode, i.uid, int(i.mtime), i.size) for i in archive]


def test_a_layer_has_one_clock_one_order_and_its_folders(tmp_path: Path) -> None:
    """Entries are sorted, have time 0, and include their parent folders."""
    with Layer(tmp_path) as layer:
        layer.file("usr/b", b"bb", "test")
        layer.link("usr/c", "b", "test")
        layer.file("usr/a", b"a", "test", 0o755)
        layer.folder("data", "test", owner="synapse")
        layer.write(tmp_path / "layer.tar.gz")

    assert listing(tmp_path / "layer.tar.gz") == [
        ("data", 0o755, 991, 0, 0),
        ("usr", 0o755, 0, 0, 0),
        ("usr/a", 0o755, 0, 0, 1),
        ("usr/b", 0o644, 0, 0, 2),
        ("usr/c", 0o777, 0, 0, 0),
    ]


def test_the_gzip_header_carries_no_time_and_no_name(tmp_path: Path) -> None:
    """Flags (byte 3) and time (bytes 4 to 7) of the gzip header are zero (RFC 1952)."""
    with Layer(tmp_path) as layer:
        layer.write(tmp_path / "layer.tar.gz")

    assert (tmp_path / "layer.tar.gz").read_bytes()[3:8] == bytes(5)


def test_neither_umask_nor_time_zone_nor_order_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """umask, time zone, locale and order of additions do not change the bytes."""
    names = ["a/x", "b", "\N{LATIN SMALL LETTER E WITH ACUTE}", "a/y" * 60]

    def written(umask: int, zone: str, order: int) -> bytes:
        monkeypatch.setenv("TZ", zone)
        monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
        time.tzset()
        old = os.umask(umask)
        try:
            with Layer(tmp_path) as layer:
                for name in names[::order]:
                    layer.file(name, name.encode(), "test")
                layer.write(tmp_path / "layer.tar.gz")
        finally:
            os.umask(old)
        return (tmp_path / "layer.tar.gz").read_bytes()

    first = written(0o022, "UTC", 1)

    assert written(0o077, "Pacific/Auckland", -1) == first
    assert written(0o002, "America/Caracas", 1) == first


@pytest.mark.parametrize(
    ("path", "error"),
    [
        pytest.param("/etc/x", "test: '/etc/x' is absolute; paths must be relative", id="absolute"),
        pytest.param("../x", r"test: '\.\./x' leads out of the image", id="above"),
        pytest.param("a/../../x", r"test: 'a/\.\./\.\./x' leads out", id="above, later"),
        pytest.param("a//b", "test: 'a//b' is not a plain path", id="two slashes"),
        pytest.param("a\nb", "test: .* is not a plain path", id="a line break"),
        pytest.param("", "test: '' is not a plain path", id="empty"),
    ],
)
def test_a_path_that_leaves_the_image_is_refused(tmp_path: Path, path: str, error: str) -> None:
    """Paths in archives are not trusted, even if the archive is pinned."""
    with Layer(tmp_path) as layer, pytest.raises(LayerError, match=error):
        layer.file(path, b"", "test")


def test_two_sources_that_disagree_are_both_named(tmp_path: Path) -> None:
    """Two different files with the same path are an error; the same content twice is allowed."""
    with Layer(tmp_path) as layer:
        layer.file("a", b"1", "one.whl")
        layer.file("a", b"1", "same.whl")
        with pytest.raises(
            LayerError, match=r"one\.whl and two\.whl both contain a, with different"
        ):
            layer.file("a", b"2", "two.whl")


def test_a_file_below_a_file_or_a_link_is_refused(tmp_path: Path) -> None:
    """Unpacking a file below a file or a link would fail or write elsewhere."""
    with Layer(tmp_path) as layer:
        layer.link("a", "/etc", "one.deb")
        layer.file("a/b", b"", "two.deb")
        with pytest.raises(LayerError, match=r"two\.deb: a/b lies below a, a link in one\.deb"):
            layer.write(tmp_path / "layer.tar.gz")


def test_setuid_is_refused(tmp_path: Path) -> None:
    """A setuid file is refused, so nothing in a layer can raise privileges."""
    with Layer(tmp_path) as layer, pytest.raises(LayerError, match=r"x: bin/su is setuid or set"):
        layer.file("bin/su", b"", "x", 0o4755)
