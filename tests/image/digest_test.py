"""The image has the digest recorded in git, on every machine and in both modes."""

import os
from pathlib import Path

from tools.digests import check_digest


def test_the_image_has_the_digest_in_git() -> None:
    """This is the cheapest check of reproducibility: it detects a change of any byte."""
    check_digest(Path(os.environ["PIN"]), Path(os.environ["DIGEST"]))
