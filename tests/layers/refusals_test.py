"""Tests that shells, package managers and dangling links are refused in a layer."""

from collections.abc import Callable
from pathlib import Path

import pytest
from layer_error import LayerError
from refusals import refuse_dangling_links, refuse_unwanted
from tar_writer import Layer


def refusal(check: Callable[[Layer], None], layer: Layer) -> str:
    """Return the message with which ``check`` refuses ``layer``."""
    with pytest.raises(LayerError) as caught:
        check(layer)
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("usr/bin/sh", "shell"),
        ("usr/bin/bash", "shell"),
        ("usr/bin/dash", "shell"),
        ("usr/local/bin/busybox", "shell"),
        ("usr/bin/apt-get", "package manager"),
        ("usr/bin/dpkg", "package manager"),
        ("usr/local/bin/pip3.13", "package manager"),
        ("usr/bin/perl", "interpreter"),
        ("usr/bin/su", "way to other rights"),
    ],
)
def test_a_program_that_no_image_holds_is_refused(tmp_path: Path, path: str, kind: str) -> None:
    """Such a program could otherwise be added as a dependency of some package."""
    with Layer(tmp_path) as layer:
        layer.file(path, b"\x7fELF", "x.deb", 0o755)
        assert refusal(refuse_unwanted, layer) == (
            f"x.deb: {path} is a {kind}; leave its package out"
        )


def test_a_link_that_would_be_a_shell_is_refused(tmp_path: Path) -> None:
    """A link named like a shell is refused, as Debian's /bin/sh is a link."""
    with Layer(tmp_path) as layer:
        layer.link("usr/bin/sh", "python3.13", "x.deb")
        assert refusal(refuse_unwanted, layer) == (
            "x.deb: usr/bin/sh is a shell; leave its package out"
        )


def test_a_script_without_its_interpreter_is_refused(tmp_path: Path) -> None:
    """A script whose interpreter is not in the image is refused, as it could never run."""
    with Layer(tmp_path) as layer:
        layer.file("usr/bin/x", b"#!/bin/sh -e\nexit\n", "x.deb", 0o755)
        assert refusal(refuse_unwanted, layer) == (
            "x.deb: usr/bin/x is a script for /bin/sh -e, which the image lacks; leave it out"
        )


def test_programs_and_python_scripts_are_welcome(tmp_path: Path) -> None:
    """Only programs are checked: a shell script in a library's folder cannot be run anyway."""
    with Layer(tmp_path) as layer:
        layer.file("usr/bin/xmlsec1", b"\x7fELF", "x.deb", 0o755)
        layer.file("usr/local/bin/synctl", b"#!/usr/bin/python3 -I\n", "x.whl", 0o755)
        layer.file("usr/local/lib/x/tools/update.sh", b"#!/bin/sh\n", "x.whl", 0o755)
        refuse_unwanted(layer)


@pytest.mark.parametrize("target", ["/gone", "gone", "../gone", "a"])
def test_a_link_to_nowhere_is_refused(tmp_path: Path, target: str) -> None:
    """A dangling link is refused, because the file that was left out is needed."""
    with Layer(tmp_path) as layer:
        layer.link("usr/a", target, "x.deb")
        assert refusal(refuse_dangling_links, layer) == (
            f"x.deb: usr/a leads to {target}, which is left out"
        )


def test_links_through_links_are_followed(tmp_path: Path) -> None:
    """Links are resolved through other links, such as /lib."""
    with Layer(tmp_path) as layer:
        layer.link("lib", "usr/lib", "test")
        layer.file("usr/lib/x.so.1", b"", "test")
        layer.link("usr/lib/x.so", "../../lib/x.so.1", "test")
        layer.link("etc/y", "/lib/x.so", "test")
        refuse_dangling_links(layer)
