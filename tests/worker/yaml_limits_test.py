"""Tests for the exact limits on the size and depth of a document, and for its error messages."""

import pytest

from worker import strict_yaml
from worker.strict_yaml import DocumentError, load

DEEP = "nested more than 10 levels deep; flatten it"
LARGE = "more than 100 values after expanding aliases and merge keys; use fewer"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limits so that a one-line text reaches them."""
    monkeypatch.setattr(strict_yaml, "MAX_DEPTH", 10)
    monkeypatch.setattr(strict_yaml, "MAX_VALUES", 100)


def refused(text: str) -> str:
    """Return the reason why ``text`` is rejected, or "" if it is accepted."""
    try:
        load(text)
    except DocumentError as error:
        return str(error)
    return ""


def chain(first: str, wrap: str, count: int) -> str:
    """Return a mapping of ``first`` and ``count`` more values that each wrap the previous one."""
    lines = [f"a0: &a0 {first}\n"]
    lines += [f"a{n}: &a{n} {wrap.format(f'*a{n - 1}')}\n" for n in range(1, count + 1)]
    return "".join(lines)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "text",
    [
        "[" * 10 + "]" * 10,
        "x: " + "[" * 9 + "]" * 9,
        chain("x", "[{}]", 9),
        chain("[]", "[{}]", 8),
        chain("{}", "{{k: {}}}", 8),
        chain("[x, [], y]", "[{}]", 7),
        chain("[]", "[{}, x]", 8),
        chain("{k: {k: {}}}", "{{<<: {}}}", 3) + "k: " + "{k: " * 6 + "*a3" + "}" * 6,
        chain("{k: {k: {}}}", "{{<<: [{}]}}", 3) + "k: " + "{k: " * 6 + "*a3" + "}" * 6,
    ],
)
def test_the_deepest_document_is_read_and_one_level_more_is_refused(text: str) -> None:
    """Levels come from the text, aliases and merge keys; merge keys add no level of their own."""
    assert refused(text) == ""
    deeper = text if text[0] == "[" else "\n".join(f" {line}" for line in text.splitlines())
    assert refused(f"[{text}]" if text[0] == "[" else f"k:\n{deeper}\n") == DEEP


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "text",
    [
        # The document, the list and its elements: 1 + 1 + 97, plus the value on the next line.
        f"a: [{'x, ' * 97}]\n",
        # The document: 1; the first list: 1 + 13; the second, with five aliases: 1 + 5 * 14 + 13.
        f"a: &a [{'x, ' * 13}]\nb: [{'*a, ' * 5}{'x, ' * 13}]\n",
        # A merged mapping counts as a value of its own: 1 + 3 + 1 + 30 * 3 + 4.
        f"a: &a {{x: 1, y: 2}}\nb: {{<<: [{'*a, ' * 30}], z: [1, 2, 3]}}\n",
        f"a: &a {{{', '.join(f'k{n}: 1' for n in range(47))}}}\nb: {{<<: *a, x: 1}}\n",
    ],
)
def test_the_largest_document_is_read_and_one_value_more_is_refused(text: str) -> None:
    """Values come from the text, aliases and merge keys."""
    assert refused(text) == ""
    assert refused(f"{text}c: 1\n") == ""
    assert refused(f"{text}c: 1\nd: 2\n") == LARGE


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"[{'x, ' * 201}}}", LARGE),
        (f"[{'x, ' * 200}}}", ""),
        ("- " * 11 + "}", DEEP),
        ("- " * 10 + "}", ""),
        ("- []\n" * 20 + "- " * 11 + "}", DEEP),
        ("- []\n" * 20 + "- " * 10 + "}", ""),
        ("- x\n" * 20 + "- " * 11 + "}", DEEP),
    ],
)
def test_a_text_that_is_too_large_is_refused_before_its_end_is_read(
    text: str, problem: str
) -> None:
    """The end of the text is not YAML, which is reported only if the text is within the limits."""
    found = refused(text)
    assert found == problem if problem else found.startswith("not YAML: ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 5000, "nested more than 100 levels deep; flatten it"),
        ("&a [*a]", "line 1: the document contains itself through an alias; write the value out"),
        ("a: \x00", "not YAML: unacceptable character #x0000: special characters are not allowed"),
        (
            "x: !h!foo y",
            "not YAML: line 1: found undefined tag handle; quote text that begins with !",
        ),
        (
            "x: =",
            "line 1: x looks like a default key, but is not a valid one; correct or quote it",
        ),
        (
            "x: {0x_: 1}",
            "line 1: a key in x looks like an integer, but is not a valid one; correct or quote it",
        ),
        (
            "x: !!int {=: 5}",
            "line 1: x has the tag of a single value, but is a mapping; remove the tag",
        ),
        (
            "x: !!null {a: b}",
            "line 1: x has the tag of a single value, but is a mapping; remove the tag",
        ),
        (
            f"x: !\ny: {'z' * 70_000}",
            "not YAML: line 1: found ! without a value; write null",
        ),
        (
            "x: !!seq foo",
            "line 1: x has a tag that does not fit its value; remove the tag, or quote text that "
            "begins with !",
        ),
        ("{'': 1, '': 2}", "line 1: '' is listed twice; remove one"),
        (
            "x" * 201 + ": 1\n" + "x" * 201 + ": 2",
            f"line 2: {'x' * 200}... (201 characters) is listed twice; remove one",
        ),
        (
            "x" * 200 + ": =",
            f"line 1: {'x' * 200} looks like a default key, but is not a valid one; correct or "
            "quote it",
        ),
        (
            'x: !!binary "\\ud800"',
            "line 1: x looks like base64, but is not a valid one; correct or quote it",
        ),
    ],
)
def test_what_is_said_of_a_document(text: str, problem: str) -> None:
    """Operators look for the line number and the option's name in the message."""
    assert refused(text) == problem


def test_what_libyaml_refuses_for_its_depth_is_said_alike() -> None:
    """libyaml 0.2.6 checks the depth earlier than 0.2.5."""
    assert refused("[" * 70_000).endswith("nested more than 100 levels deep; flatten it")


def test_what_libyaml_alone_refuses_is_read_up_to_64_kib() -> None:
    """Synapse's parser accepts an unknown directive, but takes ten times as long."""
    text = "%UNKNOWN\n---\na: "
    assert load(text + "x" * (64 * 1024 - len(text))) == {"a": "x" * (64 * 1024 - len(text))}
    assert refused(text + "x" * (64 * 1024 - len(text) + 1)).startswith("not YAML: line 1: ")
