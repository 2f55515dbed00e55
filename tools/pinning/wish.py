"""What is to be pinned."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Wish:
    """What is to be pinned.

    Attributes:
        repository: a slug or an address.
        branch: a branch, tag or commit.
        release: a release of the package index, or ``newest``, taken in place of git; or "".
        suite: the Debian suite of the image, or "" for the newest whose Python has wheels.
        extras: of Synapse.
        base: where slugs lie, or "" for their default.
        hand: hand-written files of the folder: constraints.in, modules.in, patches/*.patch.
        newer: until when files of a package count that may be newer than the source, by name.
        asked: the names among them that this very call gave.
    """

    repository: str
    branch: str
    release: str
    suite: str
    extras: tuple[str, ...]
    base: str
    hand: Mapping[str, bytes]
    newer: Mapping[str, str]
    asked: frozenset[str]
