"""Tests that wheels are installed into one folder, with each file checked against RECORD."""

import csv
import hashlib
import warnings
from base64 import urlsafe_b64encode
from pathlib import Path

import image_python
import pytest
from layer_error import LayerError
from tar_writer import Layer
from wheels import SITE, add_wheels

from tests.layers.inputs import make_wheel

POINTS = "one-1.dist-info/entry_points.txt"
RECORD = f"{SITE}/one-1.dist-info/RECORD"


def laid(folder: Path, *wheels: Path, scripts: bool = False) -> dict[str, tuple[int, str]]:
    """Return (mode, text) by path for the files in a layer of ``wheels``."""
    with Layer(folder) as layer:
        add_wheels(layer, wheels, scripts=scripts)
        return {
            path: (entry.mode, layer.read(path).decode())
            for path, entry in layer.entries().items()
            if entry.kind == "file"
        }


def rows(record: str) -> dict[str, tuple[str, str]]:
    """Return (hash, size) by path from the text of a RECORD."""
    return {path: (digest, size) for path, digest, size in csv.reader(record.splitlines())}


def row(text: str) -> tuple[str, str]:
    """Return (hash, size) of a file as RECORD has it."""
    digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}", str(len(text))


def test_a_wheel_is_laid_as_its_record_says(tmp_path: Path) -> None:
    """The layer has exactly the files that the wheel's RECORD lists."""
    wheel = make_wheel(
        tmp_path, "one", {"one/a.py": "a", "one/b.so": "b"}, modes={"one/b.so": 0o100775}
    )
    files = laid(tmp_path, wheel)

    assert set(files) == {f"{SITE}/{path}" for path in rows(files[RECORD][1])}
    assert files[f"{SITE}/one/a.py"] == (0o644, "a")
    assert files[f"{SITE}/one/b.so"] == (0o755, "b")


def test_data_folders_go_where_the_specification_says(tmp_path: Path) -> None:
    """purelib and platlib go to the same site-packages; scripts are installed only on request."""
    files = {
        f"one-1.data/{path}": path
        for path in ("purelib/a.py", "platlib/b.py", "data/share/c", "headers/d.h")
    }
    wheel = make_wheel(tmp_path, "one", {**files, "one-1.data/scripts/e": "#!python\npass\n"})

    without, with_scripts = laid(tmp_path, wheel), laid(tmp_path, wheel, scripts=True)

    assert {path for path in without if "dist-info" not in path} == {
        f"{SITE}/a.py",
        f"{SITE}/b.py",
        f"usr/local/include/{image_python.NAME}/one/d.h",
        "usr/local/share/c",
    }
    assert with_scripts["usr/local/bin/e"] == (0o755, "#!/usr/bin/python3 -I\npass\n")


def test_record_lists_what_is_in_the_image(tmp_path: Path) -> None:
    """RECORD has the paths, hashes and sizes after installation, relative to site-packages."""
    files = {
        "one-1.data/data/share/c": "c",
        "one-1.data/headers/d.h": "d",
        "one-1.data/platlib/b.py": "b",
        "one-1.data/scripts/e": "#!python\npass\n",
        "one/__pycache__/a.cpython-313.pyc": "x",
        POINTS: "[gui_scripts]\nwindow = a:b\n[console_scripts]\nrun = a:b\n",
    }
    wheel = make_wheel(tmp_path, "one", files)
    without, with_scripts = laid(tmp_path, wheel), laid(tmp_path, wheel, scripts=True)
    data = {
        "../../../share/c": row("c"),
        f"../../../include/{image_python.NAME}/one/d.h": row("d"),
        "b.py": row("b"),
        "one-1.dist-info/INSTALLER": row("synapse-worker-image\n"),
        "one-1.dist-info/RECORD": ("", ""),
        "one-1.dist-info/WHEEL": row("Wheel-Version: 1.0\n"),
        POINTS: row(files[POINTS]),
    }
    scripts = {
        f"../../../bin/{name}": row(with_scripts[f"usr/local/bin/{name}"][1])
        for name in ("e", "run")
    }

    assert rows(without[RECORD][1]) == data
    assert rows(with_scripts[RECORD][1]) == data | scripts
    assert "usr/local/bin/window" not in with_scripts


def test_installer_names_this_project(tmp_path: Path) -> None:
    """INSTALLER names what installed the wheel, even if the wheel has such a file."""
    wheel = make_wheel(tmp_path, "one", {"one-1.dist-info/INSTALLER": "pip\n"})

    files = laid(tmp_path, wheel)

    assert files[f"{SITE}/one-1.dist-info/INSTALLER"] == (0o644, "synapse-worker-image\n")


def test_entry_points_of_no_interest_may_be_invalid(tmp_path: Path) -> None:
    """Without scripts, entry_points.txt is not read: nobody would run what it declares."""
    wheel = make_wheel(tmp_path, "one", {POINTS: "[console_scripts]\na = b\n"})

    assert f"{SITE}/{POINTS}" in laid(tmp_path, wheel)


def test_foreign_bytecode_is_left_behind(tmp_path: Path) -> None:
    """Bytecode in a wheel is left out, as it must be made by the image's own Python."""
    wheel = make_wheel(tmp_path, "one", {"one/__pycache__/a.cpython-313.opt-1.pyc": "x"})

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # The library warns of a risk that this image does not have.
        files = laid(tmp_path, wheel)

    assert not [path for path in files if "__pycache__" in path]


def test_console_scripts_start_the_images_python(tmp_path: Path) -> None:
    """Scripts such as `register_new_matrix_user` work as in the official image."""
    wheel = make_wheel(tmp_path, "one", {POINTS: "[console_scripts]\nRun-it = a.b:C.main [x]\n"})

    assert laid(tmp_path, wheel, scripts=True)["usr/local/bin/Run-it"] == (
        0o755,
        "#!/usr/bin/python3 -I\nimport sys\n\nfrom a.b import C\n\nsys.exit(C.main())\n",
    )
    assert "usr/local/bin/Run-it" not in laid(tmp_path, wheel)


def test_two_wheels_that_disagree_about_a_file_are_both_named(tmp_path: Path) -> None:
    """Two wheels with different files at the same path are an error that names both."""
    wheels = [make_wheel(tmp_path, name, {"x.py": name}) for name in ("one", "two")]
    with pytest.raises(
        LayerError, match=r"^one-1-.*\.whl and two-1-.*\.whl both contain .*/x\.py, w"
    ):
        laid(tmp_path, *wheels)


def test_two_wheels_may_bring_the_same_file(tmp_path: Path) -> None:
    """Identical files are allowed, as namespace packages may share an __init__.py."""
    wheels = [make_wheel(tmp_path, name, {"x.py": "same"}) for name in ("one", "two")]

    assert laid(tmp_path, *wheels)[f"{SITE}/x.py"] == (0o644, "same")
