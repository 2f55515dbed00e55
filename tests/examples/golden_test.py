"""The examples have what the verbs print today."""

from pathlib import Path

import pytest

from tools.examples import EXAMPLES, WRITTEN, example_files

FOLDER = Path("examples")
FILES = dict(example_files(FOLDER))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_what_the_verbs_print(name: str) -> None:
    """A reader compares an example with the own output."""
    expected = {path for path in FILES if path.startswith(f"{name}/")}
    expected |= {f"{name}/{written}" for written in WRITTEN}
    found = {str(path.relative_to(FOLDER)) for path in (FOLDER / name).rglob("*") if path.is_file()}
    assert found == expected, "update them: ./bazelw run //tools:update_golden"
    changed = [
        path
        for path in sorted(expected - {f"{name}/{written}" for written in WRITTEN})
        if (FOLDER / path).read_text() != FILES[path]
    ]
    assert not changed, "update them: ./bazelw run //tools:update_golden"
