"""Two builds of the Synapse wheel from scratch produce the same bytes."""

import hashlib
import os
import zipfile
from pathlib import Path

FIRST, AGAIN = Path(os.environ["FIRST"]), Path(os.environ["AGAIN"])


def contents(wheel: Path) -> dict[str, str]:
    """Return the sha256 of each file in ``wheel``."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def test_both_builds_have_one_sha256() -> None:
    """Both wheels are identical; on failure, the files in them that differ are listed."""
    assert FIRST.absolute() != AGAIN.absolute()
    first, again = contents(FIRST), contents(AGAIN)
    differing = [name for name in sorted(first | again) if first.get(name) != again.get(name)]
    assert not differing
    digests = {hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in (FIRST, AGAIN)}
    assert len(digests) == 1
    print("sha256 of both:", *digests)


def test_the_rust_part_is_in_it() -> None:
    """The wheel contains the compiled Rust part; without it, the comparison would prove little."""
    with zipfile.ZipFile(FIRST) as archive:
        rust = archive.read("synapse/synapse_rust.abi3.so")
    assert rust.startswith(b"\x7fELF")
