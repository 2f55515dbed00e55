"""Tests of how Poetry's version ranges become specifiers of PEP 440."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from poetry.core.constraints.version import Version, parse_constraint

from pinning.project import _caret

_VERSIONS = st.lists(st.integers(0, 15), min_size=1, max_size=3)


def dotted(parts: list[int]) -> str:
    """Return the version of these parts."""
    return ".".join(map(str, parts))


@pytest.mark.parametrize(
    ("text", "specifier"),
    [
        ("^3.7.1", ">=3.7.1,<4"),
        ("^3.8", ">=3.8,<4"),
        (" ^3 ", ">=3,<4"),
        ("^10.2.0.1", ">=10.2.0.1,<11"),
        (">=3.8,<4.0", ">=3.8,<4.0"),
        ("^3.8 || ^4", "^3.8 || ^4"),
        ("~3.8", "~3.8"),
        ("", ""),
    ],
)
def test_a_caret_becomes_a_range(text: str, specifier: str) -> None:
    """Other forms stay as they are."""
    assert _caret(text) == specifier


@settings(deadline=None)
@given(major=st.integers(1, 15), rest=_VERSIONS, other=_VERSIONS)
def test_the_range_has_the_versions_that_poetry_allows(
    major: int, rest: list[int], other: list[int]
) -> None:
    """The judge is Poetry's own library; a major version of 0, which means less, is no Python."""
    text = f"^{dotted([major, *rest[1:]])}"
    allowed = parse_constraint(text)
    for version in ([major, *other[1:]], other, [major + 1]):
        assert SpecifierSet(_caret(text)).contains(dotted(version)) == allowed.allows(
            Version.parse(dotted(version))
        )
