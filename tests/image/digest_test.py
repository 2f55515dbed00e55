"""The image has the digest that git names: on every machine, in both modes."""

import os
from pathlib import Path

from tests.image.digests import check_digest


def test_the_image_has_the_digest_in_git() -> None:
    """The cheapest gate of reproducibility: any drift of any byte is seen."""
    check_digest(Path(os.environ["PIN"]), Path(os.environ["DIGEST"]))
