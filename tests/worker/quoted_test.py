"""Tests for which parts of a third party's message are masked as a value, and which are kept."""

import base64
import datetime
import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from worker.quoted import without_values

# Each way of quoting writes the characters at its ends differently.
EDGED = "'\"\\\u00e9 /b correct horse c/ \u00e9\\\"'"


def left(text: str, *values: Any) -> str:
    """Return ``text`` with each of ``values`` masked as ``*``."""
    return without_values(text, values, "*")


@pytest.mark.parametrize(
    ("how", "quoted"),
    [
        ("as it is", EDGED),
        ("repr", repr(EDGED)[1:-1]),
        ("JSON", json.dumps(EDGED)[1:-1]),
        ("JSON with its own characters", json.dumps(EDGED, ensure_ascii=False)[1:-1]),
        ("JSON in a repr", repr(json.dumps(EDGED))[2:-2]),
        ("SQL", EDGED.replace("'", "''")),
        ("a connection string", EDGED.replace("\\", "\\\\")),
        ("a URL's part", quote(EDGED, safe="")),
        ("a URL's path", quote(EDGED)),
        ("a form", quote_plus(EDGED)),
        ("a URL's part in lower case", quote(EDGED.upper(), safe="").lower()),
        ("lower-case escapes", quote(EDGED, safe="").replace("%C3%A9", "%c3%a9").lower()),
    ],
    ids=lambda text: text if len(text) < 30 else "",
)
def test_a_value_is_masked_up_to_its_edges(how: str, quoted: str) -> None:
    """However the value is quoted, all of it is masked, and the rest of the message is kept."""
    value = EDGED.upper() if "lower case" in how else EDGED
    assert left(f"bad value <{quoted}> here", value) == "bad value <*> here"


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("\tx\t", r"\tx\t"),
        ("\x7fx\x7f", r"\x7fx\x7f"),
        ("\u00e9x\u00e9", r"\u00e9x\u00e9"),
        ('"\u00e9\u00e9"', r"\"éé\""),
        ('"\u00e9\u00e9"', r'\\"\\u00e9\\u00e9\\"'),
        ("'x'", r"\'x\'"),
        ("'xx'", "''xx''"),
        ("\\x\\", r"\\x\\"),
        ("'\\\tx'", "'\\\tx'"),
        ("a\n b", "a b"),
        ("a \t\tlong\nline", "a long line"),
        ("/x/", "%2fx%2f"),
        ("/X/", "%2fX%2f"),
        ("/\u00e9 /", "/%C3%A9%20/"),
        ("/X /", "%2FX+%2F"),
        ("/\u00e9 /", "/%c3%a9%20/"),
        ("#X#", "%23x%23"),
    ],
)
def test_a_short_value_is_masked_up_to_its_edges(value: str, quoted: str) -> None:
    """These values are so short that a part of one cannot be told from other words."""
    assert left(f"<{quoted}>", value) == "<*>"


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        (b"\xe9\xff", "\u00e9\u00ff"),
        (b"'\\\t\"", "'\\\t\""),
        (b"\x00\xff\x00", r"\x00\xff\x00"),
        (b"\x01\x02\x03\x04", "01020304"),
        (b"correct horse", base64.b64encode(b"correct horse").decode()[:-3]),
    ],
)
def test_a_value_of_bytes_is_masked_as_bytes_are_quoted(value: bytes, quoted: str) -> None:
    """YAML's !!binary yields bytes; Python quotes them as escapes, and hashes and keys as hex."""
    assert left(f"<{quoted}>", value) == "<*>"


@pytest.mark.parametrize(
    ("value", "text", "rest"),
    [
        (datetime.date(2026, 1, 2), "2026-01-02 datetime.date(2026, 1, 2)", "* *"),
        ("2026", "'2026'", "'*'"),
        (12345, "12345 and 123456", "* and *6"),
        (False, "False", "False"),
        ("half \ud800 pair", "half \ud800 pair", "*"),
        ("\ud800\ud800", "%ED%A0%80%ED%A0%80", "*"),
    ],
)
def test_a_value_of_any_type_is_masked_as_python_writes_it(
    value: object, text: str, rest: str
) -> None:
    """YAML can load a password as a date or number; True and False are too common to be masked."""
    assert left(text, value) == rest


@pytest.mark.parametrize(
    ("value", "text", "rest"),
    [
        # Up to three characters: only as a whole word.
        ("abc", "abc xabc abcx <abc>", "* xabc abcx <*>"),
        # Four or more: inside other words too.
        ("abcd", "abcd xabcdx", "* x*x"),
        # Words of the value, if they are long enough.
        ("host=db abcd:abc", "abc abcd xabcd host", "abc * xabcd *"),
        # Its beginning or end, from six characters on, if the value has at least two more.
        ("abcdefgh", "abcdef.. abcde.. xabcdefgx ..cdefgh ..defgh", "*.. abcde.. x*x ..* ..defgh"),
        ("abcdefg", "abcdef.. ..bcdefg", "abcdef.. ..bcdefg"),
        ("abcdefghij", "cdefghij", "*"),
        ("abcdefghij", "abcdefghixj xbcdefghij", "*xj x*"),
        # A part of the value that is repeated after it is masked too.
        ("abcdefabcdef", "abcdefabcdefabcdef", "*"),
        (" ", "a - - b", "a - - b"),
        ("", "a - b", "a - b"),
    ],
)
def test_parts_of_a_value_are_masked_when_they_are_long_enough(
    value: str, text: str, rest: str
) -> None:
    """Messages must stay readable, but a part of a password reveals something about it."""
    assert left(text, value) == rest


@pytest.mark.parametrize(
    ("lead", "encoded", "rest"),
    [
        ("", "Pz8/Pj4+Pz8/Pg==", "*g=="),
        ("u", "dT8/Pz4+Pj8/Pz4=", "dT*4="),
        ("u:", "dTo/Pz8+Pj4/Pz8+", "dTo*"),
        ("", "Pz8_Pj4-Pz8_Pg==", "*g=="),
        ("u", "dT8_Pz4-Pj8_Pz4=", "dT*4="),
        ("u:", "dTo_Pz8-Pj4_Pz8-", "dTo*"),
    ],
)
def test_base64_of_a_value_is_masked_but_for_what_its_neighbours_make(
    lead: str, encoded: str, rest: str
) -> None:
    """In the base64 of `user:password`, the characters depend on where the password begins."""
    value = "???>>>???>"
    decoded = base64.b64decode(encoded, altchars=b"-_" if {"-", "_"} & set(encoded) else None)
    assert decoded.decode() == lead + value
    assert left(encoded, value) == rest


def test_base64_of_a_short_value_is_like_any_word() -> None:
    """Base64 is masked only if at least eight characters do not depend on their neighbors."""
    assert base64.b64encode(b"abcdef") == b"YWJjZGVm"
    assert left("YWJjZGVm", "abcdef") == "*"
    assert base64.b64encode(b"abcde") == b"YWJjZGU="
    assert left("YWJjZGU=", "abcde") == "YWJjZGU="
    assert base64.b64encode(b"uabcde") == b"dWFiY2Rl"
    assert left("dWFiY2Rl", "abcde") == "dWFiY2Rl"


def test_several_values_are_masked_together() -> None:
    """Adjacent values share one mask."""
    assert left("abcdefgh is not 12345", "abcd", "efgh", 12345) == "* is not *"
