"""The requests that the control socket accepts, and what it says about others."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.control import VERBS, Order, RequestError, parse_order

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
_FIELDS = st.fixed_dictionaries(
    {},
    optional={"verb": st.sampled_from(VERBS) | _JSON, "name": _JSON, "seconds": _JSON, "x": _JSON},
)


@pytest.mark.parametrize(
    ("line", "order"),
    [
        ('{"verb": "health"}', Order("health")),
        ('{"verb": "restart", "name": "sync1"}', Order("restart", "sync1")),
        ('{"verb": "drain", "name": "", "seconds": 7}', Order("drain", seconds=7.0)),
    ],
)
def test_missing_fields_have_defaults(line: str, order: Order) -> None:
    """Only the verb is needed."""
    assert parse_order(line.encode()) == order


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "request '': is not a JSON object on one line; send one, such as {example}"),
        ("x", "request 'x': is not a JSON object on one line; send one, such as {example}"),
        ("[]", "request '[]': is not a JSON object on one line; send one, such as {example}"),
        (
            "[" * 4000,
            f"request '{'[' * 99}...: is not a JSON object on one line; send one, such as "
            "{example}",
        ),
        ("{}", "request: the field verb is missing; add it, as in {example}"),
        (
            '{"verb": "drain", "second": 5}',
            "request: the field 'second' is unknown; use verb, name, seconds",
        ),
        ('{"verb": 1}', "verb=1: is unknown; use one of drain, health, ready, restart"),
        ('{"verb": "ready", "name": 1}', "name=1: is not text; use the name of a process"),
        (
            '{"verb": "drain", "seconds": "5"}',
            "seconds='5': is not a number from 0 to 86400; use one",
        ),
        (
            '{"verb": "drain", "seconds": NaN}',
            "seconds=nan: is not a number from 0 to 86400; use one",
        ),
        (
            '{"verb": "drain", "seconds": true}',
            "seconds=True: is not a number from 0 to 86400; use one",
        ),
        (
            f'{{"verb": "drain", "seconds": 1{"0" * 400}}}',
            f"seconds=1{'0' * 99}...: is not a number from 0 to 86400; use one",
        ),
    ],
)
def test_the_message_names_what_is_wrong(line: str, problem: str) -> None:
    """The value is shortened, and what would be right follows."""
    with pytest.raises(RequestError) as caught:
        parse_order(line.encode())

    assert str(caught.value) == problem.replace("{example}", '{"verb": "health"}')


@given(st.binary(max_size=4096) | st.builds(json.dumps, _FIELDS | _JSON).map(str.encode))
def test_every_line_is_an_order_or_has_one_line_that_says_why_not(line: bytes) -> None:
    """Nothing that a client sends is dropped in silence, or raises another error."""
    try:
        order = parse_order(line)
    except RequestError as error:
        message = str(error)
        assert len(message) < 300
        assert message.isprintable()
        assert message.startswith(("request", "verb=", "name=", "seconds="))
    else:
        assert order.verb in VERBS
        assert 0 <= order.seconds <= 86_400
