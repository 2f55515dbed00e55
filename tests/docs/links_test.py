"""Every relative link in a Markdown file leads to a file, and to a heading if it names one."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

WORKSPACE = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(WORKSPACE).as_posix()
    for pattern in ("*.md", "docs/*.md", "examples/**/*.md")
    for path in WORKSPACE.glob(pattern)
)


def lines(text: str) -> Iterator[str]:
    """Yield the lines of a page outside of its code blocks."""
    in_code = False
    for line in text.splitlines():
        if line.startswith("```"):
            in_code = not in_code
        elif not in_code:
            yield line


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading that no other one on the page equals."""
    words = re.sub(r"[^\w\- ]", "", heading.lower())
    return words.replace(" ", "-")


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings of a page."""
    return {anchor(match[1]) for line in lines(text) if (match := re.match(r"#+ (.+)", line))}


def dead_links(page: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    dead = []
    for link in re.findall(r"\]\(([^)]+)\)", "\n".join(lines(page.read_text()))):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (fragment and fragment not in anchors(target.read_text())):
            dead.append(link)
    return dead


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    """A reader can follow every link, to the heading that it means."""
    assert dead_links(WORKSPACE / name) == []


def test_dead_links_are_found(tmp_path: Path) -> None:
    """A missing file, and a missing heading of a page or of another one, would be noticed."""
    (tmp_path / "other.md").write_text("## `A` heading's end\n\n```\n# no heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[1](other.md) [2](other.md#a-headings-end) [3](https://example.com/x#y)\n"
        "[4](missing.md) [5](#none) [6](other.md#no-heading)\n"
    )
    assert dead_links(page) == ["missing.md", "#none", "other.md#no-heading"]
