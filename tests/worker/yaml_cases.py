"""Hypothesis strategies for odd YAML: scalars, wrong tags, aliases, merge keys and raw bytes."""

from hypothesis import strategies as st

_DIGITS = st.text("0123456789", min_size=1, max_size=6)
_ODD = st.sampled_from(
    [
        "",
        "'<<'",
        "'a\n\n b'",
        "'it''s'",
        "+.inf",
        "-0x1F",
        "-",
        ".",
        ".inf",
        ".nan",
        "0b",
        "0b102",
        "0o17",
        "0x",
        "0x_",
        "017",
        "09",
        "1_000",
        "1e3",
        "1.5e+3",
        "190:20:30",
        "190:20:30.15",
        "1:99:99",
        "2001-12-14t21:59:43.10-05:00",
        "2001-12-14 21:59:43.10 +99:99",
        "2001-12-15 2:59:43.10",
        "2026-02-30",
        "2026-13-01T00:00:00Z",
        "0000-00-00",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "9" * 4301,
        "0x" + "f" * 4000,
        "0b" + "1" * 15000,
        "1" * 400 + ":30",
        "1" * 400 + ":30.5",
        '"\\u00e9\\t\\x41\\\n b"',
        '"\\ud800"',
        '"a\\N\\L\\P\\_b"',
        "=",
        "<<",
        "? a",
        "@at",
        "`tick",
        "%percent",
        "~",
        "a b",
        "a#b",
        "a: b",
        "a:b",
        "yes",
        "Off",
        "null",
        "true",
        "|\n  text\n",
        ">-\n  text\n",
        "\U0001f600",
        "\u0660",
        "\u0085",
        "\u2028",
        "\ufeff",
        "\x07",
        "\x7f",
        "\ud7ff",
    ]
)
_DATES = st.builds("20{:02}-{}-{}".format, st.integers(0, 99), _DIGITS, _DIGITS)
_TIMES = st.builds("{} {}:{}:{}".format, _DATES, _DIGITS, _DIGITS, _DIGITS)
_NUMBERS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "-", "+", "0x", "0b", "0", "."]),
    _DIGITS,
    st.sampled_from(["", "_", ".", ":5", ":5.5", "e", "e5"]),
)
_PLAIN = st.text("abx019_:.-+ ~!&*#,?|>%@'\"\\\t\n", max_size=8)
_TAME = st.sampled_from(["x", "y z", "1", "12", "0.5", "true", "~", "'q'", '"d"', "2001-01-01"])
_SCALARS = st.one_of(*[_TAME] * 4, _ODD, _DATES, _TIMES, _NUMBERS, st.one_of(_TAME, _PLAIN))
_NAMES = "binary bool float int map merge null omap pairs seq set str timestamp value yaml"
_TAGS = st.sampled_from(
    [""] * 60
    + [f"!!{name} " for name in _NAMES.split()]
    + ["!secret ", "!!python/tuple ", "!<tag:yaml.org,2002:int> ", "!e!x "]
)
# Most documents begin with this, so that most aliases are defined.
_START = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, y: 3}\nc: &c [*a, *b]\n"
_ALIASES = st.sampled_from(["*a", "*b", "*c"] * 8 + ["*d"])
_KEYS = st.one_of(
    *[st.sampled_from(["f", "g", "h", "i", "j", "k", "1", "01", "1.0", "true", "<<", "'<<'"])] * 9,
    st.sampled_from(["<<", "=", ""]),
    _SCALARS,
)
_PAIRS = st.builds("{}: {}".format, _KEYS, st.sampled_from(["1", "2", "x"]))


def _containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.builds("{}: {}".format, _KEYS, inner)
    merged = st.lists(st.one_of(_ALIASES, _PAIRS.map(lambda pair: f"{{{pair}}}")), max_size=3)
    return st.one_of(
        st.lists(inner, max_size=4).map(lambda parts: f"[{', '.join(parts)}]"),
        st.lists(pair, max_size=4).map(lambda parts: f"{{{', '.join(parts)}}}"),
        st.builds("{{f: 0, <<: {}, {}}}".format, _ALIASES, _PAIRS),
        merged.map(lambda parts: f"{{<<: [{', '.join(parts)}]}}"),
        st.builds("{{? {} : {}}}".format, inner, inner),
    )


def _marked(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    anchors = st.sampled_from([""] * 20 + ["&d ", "&e "])
    return st.one_of(*[st.builds("{}{}{}".format, anchors, _TAGS, inner)] * 5, _ALIASES)


_VALUES = st.recursive(
    _marked(_SCALARS), lambda inner: _marked(st.one_of(inner, _containers(inner))), max_leaves=8
)


def yaml_texts() -> st.SearchStrategy[str]:
    """Return a strategy for documents with block mappings at the top, and flow style below."""
    numbered = st.lists(_VALUES, min_size=1, max_size=4).map(
        lambda values: "".join(f"k{n}: {value}\n" for n, value in enumerate(values))
    )
    line = st.builds("{}: {}\n".format, _KEYS, _VALUES)
    indented = st.lists(line.map(lambda text: f" {text}"), min_size=1, max_size=4).map("".join)
    nested = st.builds("n: {}\n{}".format, _TAGS, indented)
    starts = st.sampled_from([""] * 6 + ["---\n", "%YAML 1.1\n---\n", "%YAML 1.2\n---\n", "\ufeff"])
    ends = st.sampled_from([""] * 8 + ["...\n", "--- x\n", "# comment"])
    body = st.one_of(numbered, numbered, line, nested)
    return st.one_of(
        *[st.builds(lambda start, text, end: start + _START + text + end, starts, body, ends)] * 9,
        _VALUES,
    )


def yaml_bytes() -> st.SearchStrategy[bytes]:
    """Return a strategy for such documents in various encodings, and for arbitrary bytes."""
    encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp037"])
    ends = st.sampled_from(["\n", "\r", "\r\n", "\u0085"])

    def encoded(text: str, encoding: str, end: str) -> bytes:
        return text.replace("\n", end).encode(encoding, "replace")

    return st.one_of(
        *[yaml_texts().map(str.encode)] * 5,
        st.binary(max_size=60),
        st.builds(encoded, yaml_texts(), encodings, ends),
        st.builds(lambda text, byte: text.encode() + byte, yaml_texts(), st.binary(max_size=3)),
    )
