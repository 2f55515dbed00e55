"""Checks the entry points of a wheel, and generates its scripts for the image's own Python."""

import configparser
import re

from layer_error import LayerError

# Isolated mode: neither PYTHON* variables nor the working directory affect what is imported.
SHEBANG = "#!/usr/bin/python3 -I\n"
_SCRIPT = """\
import sys

from {module} import {top}

sys.exit({call}())
"""
_NAME = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
# Entry points specification: module:object, with optional, deprecated extras.
_REFERENCE = re.compile(rf"{_NAME}\s*:\s*{_NAME}\s*(?:\[.*\])?")
_SECTIONS = {"console_scripts": "console", "gui_scripts": "GUI"}


def check_entry_points(text: str, source: str) -> None:
    """Check the scripts in entry_points.txt, since `installer` has only assertions for them.

    Args:
        text: the file's content.
        source: the name of the wheel, for error messages.

    Raises:
        LayerError: if it cannot be parsed, or a name or an object reference is not valid.
    """
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
    except configparser.Error as error:
        line = str(error).partition("\n")[0]
        raise LayerError(f"{source}: entry_points.txt cannot be read ({line})") from error
    for section, kind in _SECTIONS.items():
        for name, reference in parser.items(section) if section in parser else ():
            if not _REFERENCE.fullmatch(reference.strip()) or not re.fullmatch(r"[\w.-]+", name):
                raise LayerError(
                    f"{source}: entry_points.txt: {name} = {reference} is not a {kind} script"
                )


def console_script(module: str, call: str) -> bytes:
    """Return the script that imports ``module`` and calls ``call``, a function or method of it."""
    body = _SCRIPT.format(module=module, top=call.partition(".")[0], call=call)
    return (SHEBANG + body).encode()


def python_script(data: bytes) -> bytes:
    """Return a script of ``*.data/scripts`` with ``#!python`` replaced by the real interpreter."""
    first, newline, rest = data.partition(b"\n")
    return SHEBANG.encode() + rest if newline and first.startswith(b"#!python") else data
