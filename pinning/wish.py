"""The request that a pin is made from."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Wish:
    """A request to make a pin.

    Attributes:
        repository: OWNER/NAME or an address.
        branch: a branch, tag, or commit.
        release: a release on the package index, or ``newest``, to use instead of git; or "".
        suite: the Debian suite of the image, or "" for the newest whose Python has wheels.
        extras: the extras of Synapse to include.
        base: the address that OWNER/NAME is relative to, or "" for the default.
        hand: the hand-written files of the folder (constraints.in, modules.in, patches/*.patch).
        newer: the cutoff time of each package that may be newer than the source, by name.
        asked: the names in ``newer`` that this command line passed.
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
