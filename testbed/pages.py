"""The commands of a page of the documentation."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """Commands of a page.

    Attributes:
        script: the commands.
        output: what they print, if the page shows it.
    """

    script: str
    output: str | None


def blocks(text: str) -> list[Block]:
    """Return the commands of a page, in order."""
    fence = re.compile(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
    return [Block(match[1], match[2]) for match in fence.finditer(text)]


def section(text: str, heading: str) -> str:
    """Return the section of a page that has a heading, up to the next heading."""
    match = re.search(
        rf"^##+ {re.escape(heading)}\n(.*?)(?=^##+ |\Z)", text, re.DOTALL | re.MULTILINE
    )
    assert match, f"no section {heading}"
    return match[1]
