"""Stream names and patterns."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastevent.core.errors import InvalidName
from lastevent.core.topic import matches, matches_any, stream_name, stream_pattern

LETTERS = string.ascii_letters + string.digits
OTHERS = ":._~-"

names = st.builds(
    str.__add__, st.sampled_from(LETTERS), st.text(st.sampled_from(LETTERS + OTHERS), max_size=20)
)


@pytest.mark.parametrize(
    "name", ["a", "7", "merchant:42", "deploy:dpl_x", "a" + OTHERS, LETTERS, "x" * 255]
)
def test_names(name: str) -> None:
    assert stream_name(name) == name
    assert stream_pattern(name) == name


NOT_NAMES = [
    "", *OTHERS, ":a", "x" * 256, "a b", " a", "a ", "a\n", "a\0", "a/b", "a?b", "a#b", "a,b",
    "a%20", "a&b", "a=b", "a+b", "é", "aé", "a١",
]  # fmt: skip


@pytest.mark.parametrize("text", [*NOT_NAMES, "*", "a*", "a:*", "*a"])
def test_what_is_not_a_name(text: str) -> None:
    with pytest.raises(InvalidName, match="is not a stream name"):
        stream_name(text)


@pytest.mark.parametrize("pattern", ["*", "a*", "build:*", "b-*", "x" * 254 + "*"])
def test_patterns(pattern: str) -> None:
    assert stream_pattern(pattern) == pattern


@pytest.mark.parametrize(
    "text", [*NOT_NAMES, "**", "*a", "a*b", "a**", ":*", "-*", "é*", "*\n", "a*\n", "x" * 255 + "*"]
)
def test_what_is_not_a_pattern(text: str) -> None:
    with pytest.raises(InvalidName, match="is not a stream pattern"):
        stream_pattern(text)


def test_a_long_wrong_name_is_not_repeated_in_full() -> None:
    with pytest.raises(InvalidName) as caught:
        stream_name("x" * 100_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("build:7", "build:7", True),
        ("build:7", "build:70", False),
        ("build:7", "build:", False),
        ("build:*", "build:7", True),
        ("build:*", "build:", True),
        ("build:*", "build", False),
        ("build:*", "Build:7", False),
        ("build:*", "rebuild:7", False),
        ("a.c", "abc", False),
        ("a.*", "abc", False),
        ("*", "anything", True),
    ],
)
def test_what_a_pattern_covers(pattern: str, name: str, covered: bool) -> None:
    assert matches(pattern, name) is covered


def test_any_of_several_patterns_is_enough() -> None:
    assert matches_any(["a", "b*"], "bc")
    assert not matches_any(["a", "b*"], "c")
    assert not matches_any([], "a")


@given(names, names)
def test_a_name_covers_itself_alone_and_its_beginnings_cover_it(name: str, other: str) -> None:
    assert matches(stream_pattern(name), other) == (name == other)
    for length in range(len(name) + 1):
        pattern = stream_pattern(name[:length] + "*")
        assert matches(pattern, name)
        assert matches(pattern, other) == other.startswith(name[:length])
