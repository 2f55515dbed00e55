"""The lock of Debian packages is made from what apt says of each package."""

import os
from pathlib import Path

import pytest

from pinning.debian import entries
from pinning.errors import PinError

_HASHES = "Size: 7\nSHA256: {0}\n"
_ONE = "Package: one\nVersion: 1:1-1\nFilename: pool/main/o/one_1.deb\n" + _HASHES.format("1" * 64)
_TWO = (
    "Filename: pool/updates/t/two_2.deb\n" + _HASHES.format("2" * 64) + "Package: two\nVersion: 2\n"
    "Description: d: e\n Package: other\n .\n Filename: elsewhere\nTag: é::\x85Size: 9,\n b\n"
)
_VIRTUAL = "Package: three\nVersion: 3\nStatus: install ok installed\n"


def described(folder: Path, *paragraphs: str, count: int | None = None) -> list[dict[str, object]]:
    """Return the entries from an apt-cache that prints ``paragraphs``, asked for ``count``."""
    (folder / "listing").write_text("\n".join(paragraphs), encoding="utf-8")
    apt = folder / "apt-cache"
    apt.write_text(f"#!/bin/sh\ncat {folder}/listing\n")
    apt.chmod(0o755)
    environ = {"PATH": f"{folder}:{os.environ['PATH']}"}
    return entries(environ, ["p"] * (len(paragraphs) if count is None else count))


def test_each_paragraph_is_an_entry(tmp_path: Path) -> None:
    """The order of fields does not matter, and lines that are indented belong to the field above.

    A paragraph without a file describes a package that is installed, or that others provide.
    """
    assert described(tmp_path, _TWO, _VIRTUAL, _ONE, count=2) == [
        {
            "archive": "debian",
            "name": "one",
            "path": "pool/main/o/one_1.deb",
            "sha256": "1" * 64,
            "size": 7,
            "version": "1:1-1",
        },
        {
            "archive": "debian-security",
            "name": "two",
            "path": "pool/updates/t/two_2.deb",
            "sha256": "2" * 64,
            "size": 7,
            "version": "2",
        },
    ]


@pytest.mark.parametrize("missing", ["Package", "SHA256", "Size", "Version"])
def test_an_entry_is_complete(tmp_path: Path, missing: str) -> None:
    """No lock is written without a hash, and the error names what apt left out."""
    text = "".join(line for line in _ONE.splitlines(keepends=True) if missing not in line)
    with pytest.raises(
        PinError, match=rf"^apt describes pool/main/o/one_1\.deb without {missing}$"
    ):
        described(tmp_path, text)


def test_every_package_has_an_entry(tmp_path: Path) -> None:
    """A package that apt resolved but does not describe is not left out of the lock."""
    with pytest.raises(PinError, match=r"^2 packages resolved, but apt describes 1$"):
        described(tmp_path, _ONE, count=2)
