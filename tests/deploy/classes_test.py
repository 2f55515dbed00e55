"""Tests for the classes of keys that Caddy and Traefik use in place of a hash."""

import itertools
import re

import pytest

from deploy.classes import pairs

SYMBOLS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


@pytest.mark.parametrize("count", [2, 3, 8, 50, 64, 65, 500])
def test_each_pair_belongs_to_one_class(count: int) -> None:
    """A pair in two classes would depend on their order; in none, it has no worker."""
    patterns = [re.compile(pattern) for pattern in pairs(count)]

    for pair in map("".join, itertools.product(SYMBOLS, repeat=2)):
        assert sum(bool(pattern.fullmatch(pair)) for pattern in patterns) == 1


@pytest.mark.parametrize(("count", "largest"), [(2, 1.02), (3, 1.02), (8, 1.1), (50, 1.5)])
def test_classes_are_of_similar_size(count: int, largest: float) -> None:
    """A class that is much larger than the others would overload its worker."""
    pair_list = ["".join(pair) for pair in itertools.product(SYMBOLS, repeat=2)]
    sizes = [
        sum(bool(re.fullmatch(pattern, pair)) for pair in pair_list) for pattern in pairs(count)
    ]

    assert max(sizes) <= largest * len(pair_list) / count


def test_last_symbols_of_base64_do_not_share_a_class() -> None:
    """After one byte more than a multiple of three, base64 ends in one of A, Q, g and w."""
    patterns = pairs(4)

    assert (
        len({next(i for i in range(4) if re.fullmatch(patterns[i], f"X{last}")) for last in "AQgw"})
        > 1
    )
