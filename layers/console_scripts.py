"""Generates the scripts of a wheel as an installer would, for the image's own Python."""

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
_REFERENCE = re.compile(rf"(?P<module>{_NAME})\s*:\s*(?P<call>{_NAME})\s*(?:\[.*\])?")


def scripts_of(entry_points: str, source: str) -> dict[str, bytes]:
    """Return the console scripts that ``entry_points`` (entry_points.txt) declares, by name.

    Raises:
        LayerError: if it cannot be parsed, or a name or an object reference is not valid.
    """
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(entry_points)
    except configparser.Error as error:
        line = str(error).partition("\n")[0]
        raise LayerError(f"{source}: entry_points.txt cannot be read ({line})") from error
    result = {}
    for name, text in parser.items("console_scripts") if "console_scripts" in parser else ():
        reference = _REFERENCE.fullmatch(text.strip())
        if reference is None or not re.fullmatch(r"[\w.-]+", name):
            raise LayerError(f"{source}: entry_points.txt: {name} = {text} is no console script")
        call = reference["call"]
        body = _SCRIPT.format(module=reference["module"], top=call.partition(".")[0], call=call)
        result[name] = (SHEBANG + body).encode()
    return result


def python_script(data: bytes) -> bytes:
    """Return a script of ``*.data/scripts`` with ``#!python`` replaced by the real interpreter."""
    first, newline, rest = data.partition(b"\n")
    return SHEBANG.encode() + rest if newline and first.startswith(b"#!python") else data
