"""The image has the digest that git names: on every machine, in both modes."""

import os
from pathlib import Path

GOLDEN = Path(__file__).with_name("digest.txt")


def test_the_image_has_the_digest_in_git() -> None:
    """The cheapest gate of reproducibility: any drift of any byte is seen."""
    built = Path(os.environ["DIGEST"]).read_text()
    assert built == GOLDEN.read_text(), "update it: ./bazelw run //tools:update_golden"
