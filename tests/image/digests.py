"""The digests that git names: one for each pin whose image was ever built and looked at."""

import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).with_name("digests.json")


def pin_name(pin: Path) -> str:
    """Return ``REPOSITORY BRANCH`` of a pin.json: how a pin is called in digests.json."""
    document = json.loads(pin.read_text())
    return f"{document['repository']} {document['branch']}"


def check_digest(pin: Path, digest: Path) -> None:
    """Compare the digest of an image with that in git; skip a pin that git has none of."""
    name, golden = pin_name(pin), json.loads(GOLDEN.read_text())
    if name not in golden:
        pytest.skip(f"no digest of {name} in {GOLDEN.name}: ./bazelw run //tools:update_golden")
    assert digest.read_text().strip() == golden[name], (
        f"{name}: update it: ./bazelw run //tools:update_golden"
    )
