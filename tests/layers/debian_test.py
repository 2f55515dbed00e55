"""Tests of the layer that is made from Debian packages."""

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from deb_file import read_deb
from debian import add_packages, add_status
from layer_error import LayerError
from left_out import is_wanted
from system_files import add_linker_cache, add_system
from tar_writer import Layer

from tests.layers.inputs import CONTROL, make_deb, member

CERTIFICATES = "./usr/share/ca-certificates/mozilla/"


def laid(folder: Path, *debs: Path, leave_out: tuple[str, ...] = ()) -> dict[str, tuple[str, int]]:
    """Return (kind, mode) by path for a layer of ``debs``."""
    with Layer(folder) as layer:
        add_packages(layer, debs, leave_out)
        return {path: (entry.kind, entry.mode) for path, entry in layer.entries().items()}


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not on PATH")
def test_a_package_is_laid_as_dpkg_lists_it(tmp_path: Path) -> None:
    """The layer has the paths and modes that dpkg-deb lists for a package that it built."""
    root = tmp_path / "root"
    for path, mode in {"usr/lib/x.so": 0o644, "usr/bin/y": 0o755, "etc/z": 0o600}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
        (root / path).chmod(mode)
    (root / "usr/bin/link").symlink_to("y")
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(CONTROL.format(name="tiny"))
    deb = tmp_path / "tiny.deb"
    subprocess.run(["dpkg-deb", "-Zxz", "--build", root, deb], check=True, capture_output=True)
    listed = subprocess.run(
        ["dpkg-deb", "--contents", deb], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    theirs = {line.split()[5].removeprefix("./"): line[:10] for line in listed if line[0] != "d"}

    ours = {
        path: ("l" if kind == "link" else "-") + tarfile.stat.filemode(mode)[1:]  # type: ignore[attr-defined]
        for path, (kind, mode) in laid(tmp_path, deb).items()
        if kind != "folder"
    }

    assert ours == theirs


def test_the_status_of_each_package_is_there_for_scanners(tmp_path: Path) -> None:
    """Scanners find each package's control data and the checksums of the files in the image."""
    deb = make_deb(tmp_path, [member("./lib/x", b"x"), member("./usr/share/man/x.1", b"man")])
    with Layer(tmp_path) as layer:
        add_status(layer, add_packages(layer, [deb], ()))

        assert layer.read("var/lib/dpkg/status.d/tiny").decode() == CONTROL.format(name="tiny")
        assert layer.read("var/lib/dpkg/status.d/tiny.md5sums").decode() == (
            "9dd4e461268c8034f5c8564e155c67a6  usr/lib/x\n"
        )


def test_merged_folders_go_below_usr(tmp_path: Path) -> None:
    """A package may still contain /lib; its files are put below /usr."""
    deb = make_deb(tmp_path, [member("./lib/", type=tarfile.DIRTYPE), member("./lib/x", b"x")])

    paths = laid(tmp_path, deb)

    assert paths["usr/lib/x"] == ("file", 0o644)
    assert "lib" not in paths


def test_documentation_goes_and_licences_stay(tmp_path: Path) -> None:
    """Documentation is left out, but copyright files and links to their folders are kept."""
    deb = make_deb(
        tmp_path,
        [
            member("./usr/share/doc/tiny/", type=tarfile.DIRTYPE),
            member("./usr/share/doc/tiny/changelog.gz"),
            member("./usr/share/doc/tiny/copyright"),
            member("./usr/share/doc/other", type=tarfile.SYMTYPE, linkname="tiny"),
            member("./usr/share/man/man1/tiny.1.gz"),
            member("./usr/lib/p/__pycache__/x.pyc"),
        ],
    )

    files = [path for path, (kind, _) in laid(tmp_path, deb).items() if kind != "folder"]

    assert files == ["usr/share/doc/other", "usr/share/doc/tiny/copyright"]


def test_a_package_that_is_left_out_leaves_nothing(tmp_path: Path) -> None:
    """A package that is left out has no status either, so scanners do not report it."""
    deb = make_deb(tmp_path, [member("./usr/x")])

    assert laid(tmp_path, deb, leave_out=("tiny",)) == {}


def test_leaving_out_what_is_not_there_is_refused(tmp_path: Path) -> None:
    """An entry of leave_out is refused if there is no such package, because it would mislead."""
    deb = make_deb(tmp_path, [])
    with pytest.raises(
        LayerError, match="leave_out names dash, which is not among the packages; remove"
    ):
        laid(tmp_path, deb, leave_out=("dash", "tiny"))


@pytest.mark.parametrize(
    ("info", "error"),
    [
        pytest.param(member("../x"), r"tiny_1_all\.deb: '\.\./x' leads out", id="above"),
        pytest.param(member("/etc/x"), r"tiny_1_all\.deb: '/etc/x' is absolute", id="absolute"),
        pytest.param(
            member("./dev/x", type=tarfile.CHRTYPE),
            r"tiny_1_all\.deb: dev/x is a device or a pipe, which a layer must not contain",
            id="device",
        ),
        pytest.param(
            member("./run/x", type=tarfile.FIFOTYPE),
            r"tiny_1_all\.deb: run/x is a device or a pipe",
            id="pipe",
        ),
        pytest.param(
            member("./usr/bin/su", mode=0o4755),
            r"tiny_1_all\.deb: usr/bin/su is setuid or setgid \(4755\); leave it out",
            id="setuid",
        ),
        pytest.param(
            member("./usr/x", type=tarfile.LNKTYPE, linkname="usr/gone"),
            r"tiny_1_all\.deb: data\.tar: the target of a hard link is missing",
            id="hard link to nothing",
        ),
    ],
)
def test_a_wrong_member_is_named(tmp_path: Path, info: tarfile.TarInfo, error: str) -> None:
    """The error is one line with the package, the path and the reason."""
    with pytest.raises(LayerError, match=error):
        laid(tmp_path, make_deb(tmp_path, [info]))


def test_a_setgid_folder_is_just_a_folder(tmp_path: Path) -> None:
    """A folder's setgid bit is dropped, as for Debian's /var/local."""
    deb = make_deb(
        tmp_path, [member("./var/local/", mode=0o2775, type=tarfile.DIRTYPE)], "base-files"
    )

    assert laid(tmp_path, deb)["var/local"] == ("folder", 0o775)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param(
            lambda data: b"<html>", r"x\.deb: it is not a Debian package", id="a web page"
        ),
        pytest.param(lambda data: data[:-50], r"x\.deb: truncated at byte \d+; fetch", id="cut"),
        pytest.param(lambda data: data[:80], r"x\.deb: broken at byte 72; fetch", id="cut early"),
        pytest.param(lambda data: data[:8], r"x\.deb: there is no control\.tar; it", id="empty"),
        pytest.param(
            lambda data: data[:-120] + bytes(120), r"x\.deb: data\.tar cannot be read", id="spoilt"
        ),
    ],
)
def test_a_broken_package_is_named(tmp_path: Path, change: object, error: str) -> None:
    """A damaged package, as from a broken mirror, causes a one-line error, not a traceback."""
    assert callable(change)
    whole = make_deb(tmp_path, [member("./usr/x", b"x" * 999)])
    broken = tmp_path / "x.deb"
    broken.write_bytes(change(whole.read_bytes()))
    with pytest.raises(LayerError, match=error):
        list(read_deb(broken).members())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Version: 1\nPackage: {name}\n", id="in another order"),
        pytest.param("Package: {name}\r\nVersion: 1\r\n", id="with carriage returns"),
        pytest.param("Package: {name}\nDescription: d\n Package: other\n", id="in a long text"),
        pytest.param("Package: {name}\nDescription: d\n .\n é: \x85Package: o\n", id="not ASCII"),
        pytest.param("Package: {name}\nTag:\n a::b,\n c::d", id="with an empty first line"),
    ],
)
def test_odd_control_files_are_read(tmp_path: Path, text: str) -> None:
    """A field begins at the start of a line, and lines after it that are indented belong to it."""
    deb = read_deb(make_deb(tmp_path, [], text=text))
    assert (deb.package, deb.control) == ("tiny", text.format(name="tiny"))


@pytest.mark.parametrize(
    "text", ["", "Version: 1\n", " Package: {name}\n", "Package: \n", "{name}\n"]
)
def test_a_control_file_without_a_name_is_refused(tmp_path: Path, text: str) -> None:
    """The package's name is the name of its status file, so there is no package without one."""
    with pytest.raises(LayerError, match=r"^tiny_1_all\.deb: its control file names no package$"):
        read_deb(make_deb(tmp_path, [], text=text))


def test_every_certificate_is_in_the_bundle_in_order(tmp_path: Path) -> None:
    """The bundle of CAs is made without update-ca-certificates, which is a shell script."""
    deb = make_deb(
        tmp_path, [member(CERTIFICATES + "é.crt", b"2"), member(CERTIFICATES + "a.crt", b"1\n")]
    )
    with Layer(tmp_path) as layer:
        add_packages(layer, [deb], ())
        add_system(layer)

        assert layer.read("etc/ssl/certs/ca-certificates.crt") == b"1\n2\n"
        assert not [path for path in layer.entries() if "share/ca-certificates" in path]


def test_an_image_without_authorities_is_refused(tmp_path: Path) -> None:
    """An image without CAs is refused, because federation would fail with every server."""
    with Layer(tmp_path) as layer, pytest.raises(LayerError, match="add ca-certificates to the lo"):
        add_system(layer)


def test_users_and_writable_folders_are_exact(tmp_path: Path) -> None:
    """The image has exactly these users, these folders of Synapse's user and these sticky ones."""
    deb = make_deb(tmp_path, [member(CERTIFICATES + "a.crt", b"1")])
    with Layer(tmp_path) as layer:
        add_packages(layer, [deb], ())
        add_system(layer)
        entries = layer.entries()
        passwd = layer.read("etc/passwd").decode().splitlines()

    assert [line.split(":")[0:3:2] for line in passwd] == [
        ["root", "0"], ["synapse", "991"], ["nobody", "65534"],
    ]  # fmt: skip
    assert [path for path, entry in entries.items() if entry.owner == "synapse"] == [
        "data", "synapse_media", "synapse_runtime",
    ]  # fmt: skip
    assert [path for path, entry in entries.items() if entry.mode & 0o1000] == [
        "run/lock", "synapse_runtime", "tmp", "var/tmp",
    ]  # fmt: skip


def test_a_failing_ldconfig_is_one_line(tmp_path: Path) -> None:
    """A failing ldconfig is an error: without its cache, jemalloc would not be found by name."""
    with Layer(tmp_path) as layer, pytest.raises(LayerError, match=r"^/bin/false -r failed: $"):
        add_linker_cache(layer, ldconfig="/bin/false")


@pytest.mark.parametrize("python", ["3.11", "3.13"])
@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("etc/ssl/openssl.cnf", True),
        ("etc/init.d/x11-common", False),
        ("usr/bin/openssl", False),
        ("usr/bin/python{python}", True),
        ("usr/lib/python{python}/ensurepip/__init__.py", False),
        ("usr/lib/python{python}/lib-dynload/_ctypes.so", True),
        ("usr/lib/python{python}/lib-dynload/_ctypes_test.so", False),
        ("usr/lib/python{python}/lib-dynload/_testcapi.so", False),
        ("usr/lib/python{python}/test/support/__init__.py", False),
        ("usr/lib/python{python}/unittest/mock.py", True),
        ("usr/lib/ssl/cert.pem", True),
        ("usr/lib/ssl/private", False),
        ("usr/lib/x86_64-linux-gnu/gconv/EUC-KR.so", False),
        ("usr/lib/x86_64-linux-gnu/libcrypto.so.3", True),
        ("usr/sbin/update-ca-certificates", False),
        ("usr/share/ca-certificates/mozilla/a.crt", True),
        ("usr/share/locale/de/LC_MESSAGES/libc.mo", False),
        ("usr/share/zoneinfo/Europe/Berlin", True),
        ("var/cache/debconf/templates.dat", False),
    ],
)
def test_only_what_the_image_needs_is_wanted(path: str, wanted: bool, python: str) -> None:
    """Tests, shell scripts and settings of other programs go; what Synapse may import stays."""
    assert is_wanted("tiny", path.format(python=python)) == wanted


def test_of_some_packages_only_named_files_are_taken() -> None:
    """libc-bin is needed only for its locale, not for its programs."""
    assert is_wanted("libc-bin", "usr/lib/locale/C.utf8/LC_CTYPE")
    assert is_wanted("libc-bin", "usr/share/doc/libc-bin/copyright")
    assert not is_wanted("libc-bin", "usr/bin/ldd")
