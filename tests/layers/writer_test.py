"""Layers are tested by their listing, by writing twice, and by what must not get in."""

import gzip
import hashlib
import os
import subprocess
import tarfile
import time
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from debian import add_package, add_system, check
from tar_writer import Entry, Layer
from wheels import SITE, add_wheel


def make_deb(tmp_path: Path, files: dict[str, tuple[str, int]], name: str = "tiny") -> Path:
    """Build a real package with dpkg-deb."""
    root = tmp_path / name
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n"
    )
    for path, (text, mode) in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        (root / path).chmod(mode)
    deb = tmp_path / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--build", "-Zxz", root, deb], check=True, capture_output=True)
    return deb


def make_wheel(tmp_path: Path, name: str, files: dict[str, str], wrong: str = "") -> Path:
    """Build a wheel with a RECORD; the hash of ``wrong`` in it is another file's."""
    path = tmp_path / f"{name}-1-py3-none-any.whl"
    rows = []
    with zipfile.ZipFile(path, "w") as wheel:
        for place, text in files.items():
            wheel.writestr(place, text)
            recorded = "other" if place == wrong else text
            digest = urlsafe_b64encode(hashlib.sha256(recorded.encode()).digest()).rstrip(b"=")
            rows.append(f"{place},sha256={digest.decode()},{len(text)}\n")
        wheel.writestr(f"{name}-1.dist-info/RECORD", "".join(rows))
    return path


def listing(path: Path) -> list[tuple[str, int, int, int, int]]:
    """(name, mode, owner, time, size) of each entry."""
    with tarfile.open(path) as archive:
        return [(i.name, i.mode, i.uid, int(i.mtime), i.size) for i in archive]


def test_a_layer_has_one_clock_one_order_and_its_folders(tmp_path: Path) -> None:
    """Content alone decides the digest."""
    layer = Layer()
    layer.file("usr/b", b"bb", "test")
    layer.file("usr/a", b"a", "test", 0o755)
    layer.folder("data", owner=991)
    layer.write(tmp_path / "layer.tar.gz")
    assert listing(tmp_path / "layer.tar.gz") == [
        ("data", 0o755, 991, 0, 0),
        ("usr", 0o755, 0, 0, 0),
        ("usr/a", 0o755, 0, 0, 1),
        ("usr/b", 0o644, 0, 0, 2),
    ]
    assert (tmp_path / "layer.tar.gz").read_bytes()[4:8] == bytes(4)  # RFC 1952: no time.


def test_writing_again_elsewhere_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither umask nor time zone nor the order of adding may show."""
    wheel = make_wheel(tmp_path, "one", {"one/__init__.py": "a = 1\n", "one/b.py": "b = 2\n"})

    def write(target: Path, order: int) -> bytes:
        layer = Layer()
        add_wheel(layer, wheel, scripts=False)
        layer.entries = dict(sorted(layer.entries.items(), reverse=bool(order)))
        layer.write(target)
        return target.read_bytes()

    first = write(tmp_path / "1", 0)
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    old = os.umask(0o077)
    try:
        assert write(tmp_path / "2", 1) == first
    finally:
        os.umask(old)


def test_a_package_is_laid_as_dpkg_lists_it(tmp_path: Path) -> None:
    """dpkg-deb is the independent witness."""
    deb = make_deb(tmp_path, {"usr/lib/x.so": ("x", 0o644), "usr/bin/y": ("y", 0o755)})
    layer = Layer()
    assert add_package(layer, deb, set()) is None
    listed = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True
    ).stdout
    (tmp_path / "data.tar").write_bytes(listed)
    with tarfile.open(tmp_path / "data.tar") as archive:
        files = {i.name.lstrip("./"): i.mode for i in archive if i.isfile()}
    ours = {p: e.mode for p, e in layer.entries.items() if e.kind == "file"}
    status = ours.pop("var/lib/dpkg/status.d/tiny")
    assert ours == files
    assert status == 0o644


def test_merged_folders_go_below_usr(tmp_path: Path) -> None:
    """A package may still say /lib; the image has one /usr."""
    deb = make_deb(tmp_path, {"lib/x": ("x", 0o644)})
    layer = Layer()
    add_package(layer, deb, set())
    assert layer.entries["usr/lib/x"].data == b"x"


def test_a_package_that_is_left_out_leaves_nothing(tmp_path: Path) -> None:
    """Not even its status, or scanners would see a ghost."""
    layer = Layer()
    assert add_package(layer, make_deb(tmp_path, {"usr/x": ("x", 0o644)}), {"tiny"}) == "tiny"
    assert not layer.entries


def test_setuid_never_gets_in(tmp_path: Path) -> None:
    """A program of a package may be setuid; the image's is not."""
    layer = Layer()
    add_package(layer, make_deb(tmp_path, {"usr/bin/x": ("x", 0o4755)}), set())
    assert layer.entries["usr/bin/x"].mode == 0o755
    with pytest.raises(ValueError, match="test: usr/bin/x is setuid or setgid; no image of ours"):
        layer.add("usr/bin/x", Entry("file", 0o4755), "test")


@pytest.mark.parametrize("name", ["sh", "bash", "dash", "perl", "apt", "dpkg"])
def test_a_shell_or_package_manager_is_refused(name: str) -> None:
    """It would come in with the next package that depends on it."""
    layer = Layer()
    layer.file(f"usr/bin/{name}", b"", "test")
    with pytest.raises(ValueError, match=f"usr/bin/{name} must not be in the image; leave its"):
        check(layer)


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x"])
def test_a_path_that_leaves_the_image_is_refused(path: str) -> None:
    """An archive is not trusted, even a pinned one."""
    with pytest.raises(ValueError, match="leaves the image"):
        Layer().file(path, b"", "test")


def test_a_file_that_is_no_package_is_named(tmp_path: Path) -> None:
    """A mirror's error page, saved as .deb, has another hash; a broken lock has not."""
    (tmp_path / "x.deb").write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"x\.deb is not a Debian package"):
        add_package(Layer(), tmp_path / "x.deb", set())


def test_a_wheel_is_laid_as_its_record_says(tmp_path: Path) -> None:
    """RECORD is the independent witness."""
    wheel = make_wheel(tmp_path, "one", {"one/__init__.py": "a", "one-1.dist-info/METADATA": "m"})
    layer = Layer()
    add_wheel(layer, wheel, scripts=False)
    assert sorted(layer.entries) == [
        f"{SITE}/one-1.dist-info/METADATA",
        f"{SITE}/one-1.dist-info/RECORD",
        f"{SITE}/one/__init__.py",
    ]


def test_a_wheel_whose_file_is_not_what_record_says_is_refused(tmp_path: Path) -> None:
    """Someone has changed it after it was made."""
    wheel = make_wheel(tmp_path, "one", {"one/a.py": "a"}, wrong="one/a.py")
    with pytest.raises(ValueError, match=r"one/a\.py has not the hash that RECORD names"):
        add_wheel(Layer(), wheel, scripts=False)


def test_two_wheels_that_disagree_about_a_file_are_refused(tmp_path: Path) -> None:
    """The later one would silently win otherwise."""
    layer = Layer()
    add_wheel(layer, make_wheel(tmp_path, "one", {"x.py": "1"}), scripts=False)
    with pytest.raises(ValueError, match=r"two-1-.*: .*x\.py is there already with other content"):
        add_wheel(layer, make_wheel(tmp_path, "two", {"x.py": "2"}), scripts=False)


def test_console_scripts_start_the_images_python(tmp_path: Path) -> None:
    """`register_new_matrix_user` works in the container as in the official image."""
    points = "[console_scripts]\nregister = pkg.mod:Class.main\n"
    wheel = make_wheel(tmp_path, "one", {"one-1.dist-info/entry_points.txt": points})
    layer = Layer()
    add_wheel(layer, wheel, scripts=True)
    script = layer.entries["usr/local/bin/register"]
    assert script.mode == 0o755
    assert script.data.decode() == (
        "#!/usr/bin/python3 -I\nimport sys\n\nfrom pkg.mod import Class\n\nsys.exit(Class.main())\n"
    )


def test_the_system_files_are_exact() -> None:
    """Users, writable folders and the one link that the entrypoint needs."""
    layer = Layer()
    add_system(layer)
    assert layer.entries["etc/passwd"].data.decode().splitlines()[1] == (
        "synapse:x:991:991:synapse:/data:/usr/sbin/nologin"
    )
    assert layer.entries["tmp"].mode == 0o1777
    owners = {path: layer.entries[path].owner for path in ("data", "synapse_media", "root")}
    assert owners == {"data": 991, "synapse_media": 991, "root": 0}
    assert layer.entries["usr/bin/python3"].target == "python3.13"


def test_no_file_of_the_built_layers_is_writable_by_others_or_setuid() -> None:
    """The real layers, entry by entry."""
    seen = 0
    for name in os.environ["LAYERS"].split():
        with gzip.open(name) as raw, tarfile.open(fileobj=raw) as archive:
            for info in archive:
                seen += 1
                assert not info.mode & 0o6000, info.name
                assert info.issym() or info.mode & 0o1002 in (0, 0o1002), info.name
                assert info.mtime == 0, info.name
                owned = info.name in ("data", "synapse_media", "synapse_runtime")
                assert (info.uid, info.gid) == ((991, 991) if owned else (0, 0)), info.name
    assert seen > 5000
