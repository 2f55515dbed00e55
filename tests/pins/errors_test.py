"""The messages about a run that failed or was interrupted."""

import pytest

from pinning.errors import changed


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "nothing was changed"),
        (["config/pins/a"], "only config/pins/a was changed"),
        (["config/pins/a", "config/pins/b"], "only config/pins/a and config/pins/b were changed"),
        (["a", "b", "c"], "only a, b and c were changed"),
    ],
    ids=["none", "one", "two", "three"],
)
def test_an_interrupted_run_names_what_it_keeps(names: list[str], message: str) -> None:
    """After an update of several pins, the administrator knows which files to look at."""
    assert changed(names) == message
