"""The checker has the same bytes when it is compiled twice."""

import os
from pathlib import Path


def test_two_compilations_give_the_same_bytes() -> None:
    """Neither clock nor path nor the order of the compilations is in them."""
    first, again = (Path(os.environ[name]) for name in ("FIRST", "AGAIN"))
    assert first.resolve() != again.resolve()
    assert first.read_bytes() == again.read_bytes()
