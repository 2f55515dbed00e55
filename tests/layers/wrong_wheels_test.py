"""Tests that a wheel is refused if it is broken, or holds what no image should have."""

import zipfile
from pathlib import Path

import pytest
from layer_error import LayerError
from tar_writer import Layer
from wheels import add_wheels

from tests.layers.inputs import make_wheel

POINTS = "one-1.dist-info/entry_points.txt"


def install(folder: Path, wheel: Path) -> None:
    """Install ``wheel``, with its scripts, in a layer in ``folder``."""
    with Layer(folder) as layer:
        add_wheels(layer, [wheel], scripts=True)


@pytest.mark.parametrize(
    ("files", "how", "error"),
    [
        pytest.param(
            {"a.py": "a"},
            {"record": {"a.py": "sha256=AAAA"}},
            r"one-1-.*: a\.py does not have the hash in RECORD; fetch it again",
            id="another file than RECORD says",
        ),
        pytest.param(
            {"a.py": "a"},
            {"record": {"a.py": "-"}},
            r"one-1-.*: a\.py is not in RECORD",
            id="a file that RECORD does not know",
        ),
        pytest.param(
            {},
            {"record": {"gone.py": "sha256=AAAA"}},
            r"one-1-.*: RECORD names gone\.py, which the wheel lacks",
            id="a file that is not there",
        ),
        pytest.param(
            {"a.py": "a"},
            {"record": {"a.py": "md5=AAAA"}},
            r"one-1-.*: RECORD has 'md5=AAAA' for a\.py; it must be a hash by one of sha256, ",
            id="a hash that anyone can forge",
        ),
        pytest.param({"../a.py": "a"}, {}, r"one-1-.*: '\.\./a\.py' leads out", id="above"),
        pytest.param({"/etc/a": "a"}, {}, r"one-1-.*: '/etc/a' is absolute", id="absolute"),
        pytest.param(
            {"one-1.data/purelib/../../../a": "a"}, {}, r"one-1-.*leads out", id="above, by data"
        ),
        pytest.param(
            {"a": "/etc/passwd"},
            {"modes": {"a": 0o120777}},
            r"one-1-.*: a is not a regular file; a wheel has only such files",
            id="link",
        ),
        pytest.param(
            {"a": "x"},
            {"modes": {"a": 0o104755}},
            r"one-1-.*: a is setuid or setgid \(4755\); leave it out",
            id="setuid",
        ),
        pytest.param(
            {"one-1.data/odd/a": "a"}, {}, r"one-1-.*: 'odd' is not a wheel scheme", id="scheme"
        ),
        pytest.param(
            {"one-1.data": "a"}, {}, r"one-1-.*: '' is not a wheel scheme", id="data, no folder"
        ),
        pytest.param(
            {"one-1.data/scripts": "a"},
            {},
            r"one-1-.*: 'scripts' is not a wheel scheme",
            id="scheme, no folder",
        ),
        pytest.param(
            {"one/RECORD": "a"},
            {"record": {"one/RECORD": "sha256=AAAA"}},
            r"one-1-.*: one/RECORD does not have the hash in RECORD",
            id="another RECORD",
        ),
        pytest.param(
            {},
            {"fields": "Wheel-Version: 2.0\n"},
            r"one-1-.*: Incompatible Wheel-Version 2\.0, only support version 1\.x wheels",
            id="2.0",
        ),
        pytest.param(
            {POINTS: "[gui_scripts]\na = b\n"},
            {},
            r"one-1-.*: entry_points\.txt: a = b is not a GUI script",
            id="no function of a window",
        ),
        pytest.param(
            {POINTS: "[console_scripts]\na = b; import os\n"},
            {},
            r"one-1-.*: entry_points\.txt: a = b; import os is not a console script",
            id="code for a script",
        ),
        pytest.param(
            {POINTS: "[console_scripts]\n../a = b:c\n"},
            {},
            r"one-1-.*: entry_points\.txt: \.\./a = b:c is not a console script",
            id="a script elsewhere",
        ),
        pytest.param(
            {POINTS: "a = b:c\n"},
            {},
            r"one-1-.*: entry_points\.txt cannot be read \(File contains no section",
            id="no section",
        ),
    ],
)
def test_a_wrong_wheel_is_named(
    tmp_path: Path, files: dict[str, str], how: dict[str, dict[str, str]], error: str
) -> None:
    """The error is one line with the wheel, the path and the reason."""
    wheel = make_wheel(tmp_path, "one", files, **how)  # type: ignore[arg-type]
    with pytest.raises(LayerError, match=error):
        install(tmp_path, wheel)


@pytest.mark.parametrize(
    ("files", "error"),
    [
        pytest.param(
            [("one-1.dist-info/RECORD", b"one-1.dist-info/RECORD,,\n")],
            r"^one-1\.whl: one-1\.dist-info/WHEEL is missing$",
            id="no WHEEL",
        ),
        pytest.param(
            [("one-1.dist-info/RECORD", b"\xff")],
            r"^one-1\.whl: one-1\.dist-info/RECORD is not UTF-8$",
            id="another encoding",
        ),
        pytest.param(
            [("one-1.dist-info/RECORD", b"a.py\n")],
            r"^one-1\.whl: RECORD has a line without a hash column$",
            id="a line without a hash",
        ),
        pytest.param(
            [("one.dist-info/RECORD", b"")],
            r"^one-1\.whl: one\.dist-info must be named NAME-VERSION\.dist-info$",
            id="no version",
        ),
        pytest.param(
            [("one-1.dist-info/RECORD", b""), ("two-1.dist-info/RECORD", b"")],
            r"^one-1\.whl: a wheel has one \*\.dist-info/RECORD, this has 2$",
            id="two distributions",
        ),
    ],
)
def test_a_wheel_with_wrong_metadata_is_named(
    tmp_path: Path, files: list[tuple[str, bytes]], error: str
) -> None:
    """A wheel whose metadata is not as the specification says causes a one-line error."""
    with zipfile.ZipFile(tmp_path / "one-1.whl", "w") as wheel:
        for path, data in files:
            wheel.writestr(path, data)
    with pytest.raises(LayerError, match=error):
        install(tmp_path, tmp_path / "one-1.whl")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_named(tmp_path: Path) -> None:
    """Both have the hash in RECORD, but it is not clear which mode is meant."""
    wheel = make_wheel(tmp_path, "one", {"a.py": "a"})
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("a.py", "a")
    with pytest.raises(LayerError, match=r"^one-1-.*: a\.py is in the wheel twice$"):
        install(tmp_path, wheel)


def test_what_is_no_wheel_is_named(tmp_path: Path) -> None:
    """A file that is not a wheel, as from a broken mirror, causes a one-line error."""
    (tmp_path / "x.whl").write_text("<html>")
    with pytest.raises(
        LayerError, match=r"^x\.whl: it is not a complete wheel \(File is not a zip"
    ):
        install(tmp_path, tmp_path / "x.whl")
