"""Tests of which wheel tags an interpreter supports, and which file of a release it gets."""

import platform
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.tags import Tag, sys_tags
from packaging.utils import parse_wheel_filename

from pinning.choosing import MACHINES, Target, choose
from pinning.index import File

AMD64 = Target((3, 13), "amd64")
ARM64 = Target((3, 13), "arm64")
SDIST = "a-1.tar.gz"


def files(*names: str) -> list[File]:
    """Return the index's entries of files."""
    return [{"filename": name} for name in names]


def chosen(names: list[str], target: Target) -> str | None:
    """Return the name of the file that is chosen, or None."""
    file = choose(files(*names), target)
    return None if file is None else file["filename"]


@pytest.mark.skipif(
    platform.machine() not in MACHINES.values() or platform.libc_ver()[0] != "glibc",
    reason="the image runs on x86-64 and ARM with glibc",
)
def test_the_tags_are_those_of_this_python() -> None:
    """`packaging` finds the same tags by looking at the interpreter that runs it."""
    architecture = {machine: name for name, machine in MACHINES.items()}[platform.machine()]
    glibc = int(platform.libc_ver()[1].split(".")[1])
    ours = set(Target(sys.version_info[:2], architecture, glibc).tags())
    theirs = set(sys_tags())

    assert theirs <= ours
    # No wheel for ARM has one of the older ones (PEP 599: manylinux2014 was the first with ARM).
    assert architecture == "arm64" or ours == theirs


@pytest.mark.parametrize(
    ("tag", "supported"),
    [
        ("cp313-cp313-manylinux_2_36_x86_64", True),
        ("cp313-cp313-manylinux_2_37_x86_64", False),
        ("cp313-cp313-manylinux_2_17_aarch64", False),
        ("cp313-cp313-manylinux2014_x86_64", True),
        ("cp313-cp313-musllinux_1_2_x86_64", False),
        ("cp313-cp313t-manylinux_2_17_x86_64", False),
        ("cp314-cp314-manylinux_2_17_x86_64", False),
        ("cp39-abi3-manylinux_2_17_x86_64", True),
        ("cp314-abi3-manylinux_2_17_x86_64", False),
        ("cp39-cp39-manylinux_2_17_x86_64", False),
        ("py3-none-manylinux_2_17_x86_64", True),
        ("py3-none-any", True),
        ("py2-none-any", False),
    ],
)
def test_a_tag_is_supported_only_by_its_interpreter(tag: str, supported: bool) -> None:
    """The C library, the architecture, the version and the ABI must all fit."""
    assert (Tag(*tag.split("-")) in AMD64.tags()) == supported


@pytest.mark.parametrize(
    ("names", "best"),
    [
        pytest.param(
            ["a-1-py3-none-any.whl", "a-1-cp313-cp313-manylinux_2_17_x86_64.whl"],
            "a-1-cp313-cp313-manylinux_2_17_x86_64.whl",
            id="compiled before pure",
        ),
        pytest.param(
            [
                "a-1-cp39-abi3-manylinux_2_34_x86_64.whl",
                "a-1-cp313-cp313-manylinux_2_17_x86_64.whl",
            ],
            "a-1-cp313-cp313-manylinux_2_17_x86_64.whl",
            id="own ABI before the stable one",
        ),
        pytest.param(
            [
                "a-1-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
                "a-1-cp313-cp313-manylinux_2_28_x86_64.whl",
            ],
            "a-1-cp313-cp313-manylinux_2_28_x86_64.whl",
            id="newer C library",
        ),
        pytest.param(
            ["a-1-cp313-cp313-manylinux_2_38_x86_64.whl", "a-1-cp39-abi3-manylinux1_x86_64.whl"],
            "a-1-cp39-abi3-manylinux1_x86_64.whl",
            id="too new a C library",
        ),
        pytest.param([SDIST, "a-1-py2.py3-none-any.whl"], "a-1-py2.py3-none-any.whl", id="pure"),
        pytest.param(["a-1-cp312-cp312-win_amd64.whl", SDIST], SDIST, id="sdist"),
        pytest.param(["a-1-cp312-cp312-win_amd64.whl", "a-1.zip"], None, id="nothing"),
        pytest.param([], None, id="no file"),
    ],
)
def test_the_best_file_is_chosen(names: list[str], best: str | None) -> None:
    """The order is that of PEP 425; an sdist is used only if no wheel fits."""
    assert chosen(names, AMD64) == best
    assert chosen(names[::-1], AMD64) == best


_WHEELS = st.builds(
    "a-1-{}-{}.whl".format,
    st.sampled_from(["cp313-cp313", "cp312-cp312", "cp314-cp314", "cp39-abi3", "py3-none"]),
    st.one_of(
        st.sampled_from(["any", "win_amd64", "macosx_11_0_arm64", "manylinux2014_x86_64"]),
        st.builds(
            "manylinux_2_{}_{}".format, st.integers(5, 40), st.sampled_from(["x86_64", "aarch64"])
        ),
    ),
)


@settings(deadline=None)
@given(names=st.lists(_WHEELS, unique=True), target=st.sampled_from([AMD64, ARM64]))
def test_no_other_wheel_has_a_better_tag(names: list[str], target: Target) -> None:
    """Only a wheel that fits is chosen, in whatever order the index lists them."""
    order = target.tags()
    fitting = {
        name: order.index(tag)
        for name in names
        for tag in parse_wheel_filename(name)[3]
        if tag in order
    }
    expected = min(fitting, key=lambda name: fitting[name]) if fitting else SDIST

    assert chosen([SDIST, *names], target) == expected
    assert chosen([*reversed(names), SDIST], target) == expected
