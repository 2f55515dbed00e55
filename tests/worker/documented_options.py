"""The homeserver.yaml options that a Synapse release documents, and those it treats as secrets."""

import ast
import io
import re
import tarfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Option = tuple[str, ...]

_MANUAL = "docs/usage/configuration/config_documentation.md"
_SAMPLE = "docs/sample_config.yaml"
_REFUSED = "Config options that expect an in-line secret as value are disabled"


def _files(source: Path) -> Iterator[tuple[str, str]]:
    """Yield the path, without its first folder, and the text of each relevant file."""
    with tarfile.open(source) as archive:
        for member in archive:
            path = member.name.removeprefix("./").partition("/")[2]
            if path in (_MANUAL, _SAMPLE) or re.fullmatch(r"synapse/config/\w+\.py", path):
                file = archive.extractfile(member)
                assert isinstance(file, io.BufferedReader | tarfile.ExFileObject), path
                yield path, file.read().decode()


def _leaves(value: Any, option: Option) -> Iterator[Option]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, (*option, str(key)))
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part, option)
    elif option:
        yield option


def _of_yaml(text: str) -> Iterator[Option]:
    try:
        document = yaml.safe_load(textwrap.dedent(text))
    except yaml.YAMLError:
        return  # Examples with placeholders or tabs.
    if isinstance(document, dict):
        yield from _leaves(document, ())


def _of_manual(text: str) -> Iterator[Option]:
    """Yield the options in headings, in the lists below them, and in the examples."""
    for example in re.findall(r"(?ms)^ *```[^\n]*\n(.*?)^ *```", text):
        yield from _of_yaml(example)
    heading, above = "", list[tuple[int, str]]()
    for line in re.sub(r"(?ms)^ *```.*?^ *```", "", text).splitlines():
        if match := re.match(r"### `(\w+)`", line):
            heading, above = match[1], []
            yield (heading,)
        elif (match := re.match(r"( *)[*-] `([\w.]+)`", line)) and heading:
            above = [item for item in above if item[0] < len(match[1])]
            above.append((len(match[1]), match[2]))
            yield (heading, *(name for _, name in above))


def documented_options(source: Path) -> set[Option]:
    """Return the options that hold a value, not nested options, as paths of names from the top.

    Args:
        source: the source.tar of a pin.
    """
    found: set[Option] = set()
    for path, text in _files(source):
        if path == _MANUAL:
            found |= set(_of_manual(text))
        elif path == _SAMPLE:
            found |= set(_of_yaml(text))
    containers = {option[:depth] for option in found for depth in range(1, len(option))}
    return found - containers


def refused_secrets(source: Path) -> set[Option]:
    """Return the options that Synapse's classes reject under ``--no-secrets-in-config``."""
    found = set()
    for path, text in _files(source):
        if not path.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and len(node.args) > 1:
                message, option = node.args[:2]
                if isinstance(message, ast.Constant) and message.value == _REFUSED:
                    found.add(tuple(ast.literal_eval(option)))
    return found
