"""The pictures in the documentation are up to date with their sources."""

import os
from pathlib import Path

from tools.curves import curves
from tools.pictures import pictures

FOLDER = Path(__file__).resolve().parents[2] / "docs/pictures"
SERVICES = Path(os.environ["SERVICES"]).resolve().parent / "root"


def test_every_picture_is_drawn_from_its_source() -> None:
    """Every picture is what pikchr or our own program draws, and none lacks a source."""
    drawn = dict(pictures(FOLDER, SERVICES)) | dict(curves(FOLDER))
    assert drawn
    assert {path.name for path in FOLDER.glob("*.svg")} == drawn.keys()
    for name, text in drawn.items():
        assert (FOLDER / name).read_text() == text, "run ./bazelw run //tools:update_golden"
