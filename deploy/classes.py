"""Divides keys into equally large classes by two of their characters, for a proxy that cannot hash.

Caddy and Traefik choose by regular expressions. Where two characters of a key vary most:

- a room's ID or alias: the first two after its sigil; what follows may be the server's name;
- a user's localpart in base64, and an access token: the last two;
- an origin: the two before the last dot, since many begin with ``matrix.``.
"""

from functools import cache

_SYMBOLS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_PRIME = 67  # The first one that is larger than the number of symbols.

ROOM_BEFORE = "/(?:rooms|join|knock)/(?:!|%21|#|%23)?"  # In the path, before the two characters.
ORIGIN_BEFORE = r'X-Matrix .*?origin="?[^",]*'  # In the Authorization header.
ORIGIN_AFTER = r'\.[^.",]*(?:[",]|$)'
USER_BEFORE, USER_AFTER = "^syt_[^_]*", "_"  # In the access token.
TOKEN_BEFORE, TOKEN_AFTER = "^.*", "$"


def _symbols(multiplier: int, step: int, count: int) -> dict[int, str]:
    """Return the symbols by the number that each adds to a class.

    The multiplication modulo a prime separates symbols that are apart by a multiple of 4 or 16,
    since the last one of base64 is often one of a few such symbols.
    """
    by_number: dict[int, str] = {}
    for index, symbol in enumerate(_SYMBOLS):
        number = index * multiplier % _PRIME * step % count
        by_number[number] = by_number.get(number, "") + symbol
    return by_number


def _set(symbols: str) -> str:
    return symbols if len(symbols) == 1 else f"[{symbols}]"


@cache
def pairs(count: int) -> tuple[str, ...]:
    """Return ``count`` regular expressions, of which each pair of base64url characters has one.

    A pair with another character has none; those keys belong to the last class.
    """
    firsts = _symbols(37, 1, count)
    # Beyond 64 classes, the second character chooses among more distant ones.
    seconds = _symbols(23, -(-count // len(_SYMBOLS)), count)
    patterns = []
    for number in range(count):
        alternatives = [
            _set(firsts[(number - added) % count]) + _set(symbols)
            for added, symbols in sorted(seconds.items())
            if (number - added) % count in firsts
        ]
        patterns.append(f"(?:{'|'.join(alternatives)})")
    return tuple(patterns)
