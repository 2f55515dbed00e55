"""The alert rules and the dashboard of a few plans, word for word."""

from pathlib import Path

import pytest

from tools.golden import monitoring_files

GOLDEN = Path(__file__).parent / "golden"
FILES = dict(monitoring_files())


@pytest.mark.parametrize("name", FILES)
def test_a_change_is_seen(name: str) -> None:
    """The golden files show every change to what administrators get."""
    golden = (GOLDEN / name).read_text()
    assert golden == FILES[name], "update it: ./bazelw run //tools:update_golden"


def test_there_is_no_other_golden_file() -> None:
    """A file that nothing is compared with would not change."""
    assert {path.name for path in GOLDEN.iterdir()} == set(FILES)
