"""The keys by which HAProxy chooses one of several servers: "balance hash" in its manual."""

from collections.abc import Iterator

from deploy.options import Options
from deploy.routing import ORIGIN_PATTERN, ROOM_PATTERN, USER_PATTERN


def word(text: str) -> str:
    """Return ``text`` as one word, in which HAProxy replaces nothing."""
    return "'" + text.replace("'", "'\\''") + "'"


def _first_group(pattern: str) -> str:
    """Return a converter to the first group of ``pattern``; what does not match stays as it is."""
    quoted = pattern.replace("\\", "\\\\").replace('"', '\\"')
    return f'regsub("^.*?{quoted}.*$","\\\\1")'


def _set(expression: str, condition: str = "") -> str:
    return f"    http-request set-var(txn.key) {expression}{condition and f' if {condition}'}"


def key_lines(by: str, options: Options) -> Iterator[str]:
    """Yield the lines of a backend that choose a server by a key; without one, they take turns.

    Args:
        by: what the key is, as in `deploy.routing.Route.by`.
        options: the administrator's choices; with a script, it finds the users of access tokens.
    """
    if by == "origin":
        origin = word("req.fhdr(authorization)," + _first_group(ORIGIN_PATTERN))
        yield _set(origin, f"{{ req.fhdr(authorization) -m reg {word(ORIGIN_PATTERN)} }}")
    else:
        yield _set("http_auth_bearer")
        yield _set("url_param(access_token)", "!{ var(txn.key) -m found }")
    if by in ("room", "user"):
        if options.script:
            other = f" !{{ path -m reg {word(ROOM_PATTERN)} }}" if by == "room" else ""
            yield (
                "    http-request lua.synapse_user "
                f"if {{ var(txn.key) -m found }} !{{ var(txn.key) -m beg syt_ }}{other}"
            )
        localpart = word("var(txn.key)," + _first_group(USER_PATTERN))
        yield _set(localpart, "{ var(txn.key) -m found }")
    if by == "room":
        room = word("path," + _first_group(ROOM_PATTERN) + ",url_dec")
        yield _set(room, f"{{ path -m reg {word(ROOM_PATTERN)} }}")
    yield "    balance hash var(txn.key)"
    yield "    hash-type consistent sdbm avalanche"
