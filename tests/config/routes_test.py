"""config/routes.bzl has what docs/workers.md in the pinned source has, and a reason for the rest.

tests/upstream/servlets_test.py compares the table with Synapse's own handlers.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.upstream.workers_page import Documented, documented, workers_page
from worker.worker_types import load_table

_CLIENT = "^/_matrix/client/"
_ALL = _CLIENT + "(api/v1|r0|v3|unstable)/"
_DELAYED = _CLIENT + "unstable/org.matrix.msc4140/delayed_events"
_FEDERATION = "^/_matrix/federation/"
# Patterns of the page that the table has in other words, with these and the reason.
_IN_OTHER_WORDS = {
    _ALL + "createRoom$": (
        [_ALL + "createRoom(/|$)"],
        "PUT with a transaction ID as well; it sends events, so that event_creator gets it",
    ),
    _ALL + "rooms/.*/(join|invite|leave|ban|unban|kick)$": (
        [_ALL + "rooms/.*/(join|invite|leave|ban|unban|kick)(/|$)"],
        "PUT with a transaction ID as well",
    ),
    _DELAYED + "(/[^/]+(/restart)?)?$": (
        [_DELAYED + "$", _DELAYED + "/[^/]+$", _DELAYED + "/[^/]+/restart$"],
        "workers answer 404 to POST of a delayed event, which only main can send or cancel",
    ),
}
# Patterns for which the table limits the methods, but not the page, with the reason.
_FEWER_METHODS = dict.fromkeys(
    [
        _CLIENT + "(r0|v3)/sync$",
        _CLIENT + "(api/v1|r0|v3)/events$",
        _CLIENT + "(api/v1|r0|v3)/initialSync$",
        _CLIENT + "(api/v1|r0|v3)/rooms/[^/]+/initialSync$",
        _CLIENT + "v1/register/m.login.registration_token/validity$",
    ],
    "Synapse has nothing else there",
)
# Patterns that the page does not have, with the reason.
_NOT_ON_THE_PAGE = {
    _CLIENT + "unstable/io.element.msc4306/rooms/.*/thread/.*/subscription$": (
        "the page has the stream thread_subscriptions under no heading"
    ),
    _CLIENT + "unstable/io.element.msc4308/thread_subscriptions$": "reads of the same stream",
    _CLIENT
    + "unstable/org.matrix.msc3814.v1/dehydrated_device$": "changes the stream device_lists",
    _CLIENT + "unstable/org.matrix.simplified_msc3575/sync$": "the sync of newer clients",
    _CLIENT + "unstable/uk.tcpip.msc4133/profile/": "an older prefix of profile/",
    _CLIENT + "unstable/im.nheko.summary/rooms/.*/summary$": "on the page until 1.106",
    _CLIENT + "(r0|v3|unstable)/devices$": "on the page until 1.134",
    _ALL + "events/": "an event, which every worker can read",
    _FEDERATION + "v1/user/keys/(query|claim)$": "of the same kind as user/devices/",
    _FEDERATION + "v1/openid/userinfo$": "workers with the resource federation serve it",
    _FEDERATION + "unstable/rooms/.*/complexity$": "workers with the resource federation serve it",
    _FEDERATION
    + "unstable/org.matrix.msc4370/extremities/": "workers with the resource federation serve it",
}

_GENERIC = "generic_worker"
PAGE = documented(workers_page(Path(os.environ["SOURCE"])))


def rows() -> dict[str, list[tuple[Mapping[str, Any], tuple[str, ...]]]]:
    """Return the routes by pattern, each with the methods for which it has the pattern."""
    by_pattern: dict[str, list[tuple[Mapping[str, Any], tuple[str, ...]]]] = {}
    for route in load_table().routes:
        for row in route["paths"]:
            found = by_pattern.setdefault(row["pattern"], [])
            found.append((route, tuple(row["methods"])))
    return by_pattern


def writers(pattern: str) -> set[str]:
    """Return the types to which the page sends a pattern for efficiency, rather than to any."""
    return {line.worker_type for line in PAGE if line.pattern == pattern and not line.any_worker}


def agrees(line: Documented, route: Mapping[str, Any], methods: tuple[str, ...]) -> bool:
    """Return whether a route is what the page says."""
    if line.any_worker:
        types = {line.worker_type, *writers(line.pattern)}
        right = _GENERIC in route["types"] and not types.isdisjoint(route["types"])
    else:
        right = route["types"][0] == line.worker_type or line.worker_type in route["types"]
    return right and (methods == line.methods or line.pattern in _FEWER_METHODS)


def test_the_page_has_many_patterns() -> None:
    """The comparisons are not of two empty lists."""
    assert len(PAGE) >= 110
    assert len({line.worker_type for line in PAGE}) >= 15


def test_every_pattern_of_the_page_is_in_the_table() -> None:
    """Each has the page's methods and worker type, or is listed with a reason."""
    ours = rows()
    wrong = [
        line
        for line in PAGE
        if line.pattern not in _IN_OTHER_WORDS
        and not any(agrees(line, *row) for row in ours.get(line.pattern, []))
    ]
    assert wrong == []


def test_every_pattern_of_the_table_is_on_the_page() -> None:
    """What we add to the page is listed with a reason."""
    in_other_words = {word for words, _ in _IN_OTHER_WORDS.values() for word in words}
    assert rows().keys() - {line.pattern for line in PAGE} - in_other_words == set(_NOT_ON_THE_PAGE)


def test_every_exception_is_needed() -> None:
    """An exception that no pattern needs any more is removed."""
    ours = rows()
    page = {line.pattern: line for line in PAGE}
    for pattern, (words, _) in _IN_OTHER_WORDS.items():
        assert pattern in page
        assert pattern not in ours
        assert set(words) <= ours.keys()
    for pattern in _FEWER_METHODS:
        assert page[pattern].methods == ()
        assert all(methods for _, methods in ours[pattern])


def test_a_writer_of_a_stream_comes_first() -> None:
    """A route to any worker never hides the one to the worker that must get the request."""
    order = [route["name"] for route in load_table().routes]
    for line in PAGE:
        if line.any_worker or line.pattern not in rows():
            continue
        names = [route["name"] for route, _ in rows()[line.pattern]]
        (first, *_) = sorted(names, key=order.index)
        route = next(route for route in load_table().routes if route["name"] == first)
        assert not writers(line.pattern).isdisjoint(route["types"]), line
