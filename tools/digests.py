"""The image digests that are committed to git, one for each pin whose image has been checked."""

import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent.parent / "image/digests.json"


def pin_name(pin: Path) -> str:
    """Return ``REPOSITORY BRANCH`` of a pin.json, which is the pin's key in digests.json."""
    document = json.loads(pin.read_text())
    return f"{document['repository']} {document['branch']}"


def check_digest(pin: Path, digest: Path) -> None:
    """Compare an image's digest with that in git; skip the test if git has none for the pin."""
    name, golden = pin_name(pin), json.loads(GOLDEN.read_text())
    if name not in golden:
        pytest.skip(f"no digest of {name} in {GOLDEN.name}: ./bazelw run //tools:update_golden")
    assert digest.read_text().strip() == golden[name], (
        f"{name}: update it: ./bazelw run //tools:update_golden"
    )
