"""Bytes to lines: every cut gives the same lines, and no piece is too long."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastevent.sources.lines import LineSplitter, Piece


def joined(pieces: list[Piece]) -> list[str]:
    """Return the lines that pieces make; the last must be whole."""
    lines, rest = [], ""
    for text, is_open in pieces:
        rest += text
        if not is_open:
            lines.append(rest)
            rest = ""
    assert not pieces or not pieces[-1].open
    return lines


def expected(data: bytes) -> list[str]:
    lines = data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"a\n", ["a"]),
        (b"a", ["a"]),
        (b"\n", [""]),
        (b"\n\n", ["", ""]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"1%\r2%\r\n", ["1%\r2%"]),
        (b"a\r\r\n", ["a\r"]),
        (b"a\r", ["a\r"]),
        (b"\r", ["\r"]),
        (b"\0\x07\x1b[31mred\n", ["\0\x07\x1b[31mred"]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
        (b"caf\xc3", ["caf\ufffd"]),
        ("\u2028\x85\x0b\x0c\n".encode(), ["\u2028\x85\x0b\x0c"]),  # only \n ends a line
    ],
)
def test_lines(data: bytes, lines: list[str]) -> None:
    splitter = LineSplitter(100)
    assert joined(splitter.feed(data) + splitter.end()) == lines
    splitter = LineSplitter(100)
    pieces = [piece for byte in data for piece in splitter.feed(bytes([byte]))]
    assert joined(pieces + splitter.end()) == lines


def test_a_character_may_be_cut_anywhere() -> None:
    data = "naïve 🎈\n".encode()
    for cut in range(len(data)):
        splitter = LineSplitter(100)
        assert splitter.feed(data[:cut]) + splitter.feed(data[cut:]) == [Piece("naïve 🎈", False)]


def test_a_line_over_the_limit_comes_in_open_pieces() -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"x" * 25) == [Piece("x" * 10, True), Piece("x" * 10, True)]
    assert splitter.feed(b"\ny\n") == [Piece("x" * 5, False), Piece("y", False)]


def test_a_line_as_long_as_the_limit_is_whole() -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"x" * 10) == []
    assert splitter.feed(b"\n") == [Piece("x" * 10, False)]


def test_pieces_are_cut_between_characters() -> None:
    splitter = LineSplitter(10)
    pieces = splitter.feed(("é" * 4 + "🎈" * 4 + "\n").encode())
    assert [len(piece.text.encode()) for piece in pieces] == [8, 8, 8]
    assert joined(pieces) == ["é" * 4 + "🎈" * 4]


def test_what_waits_can_be_had_and_goes_on() -> None:
    splitter = LineSplitter(100)
    assert splitter.feed(b"Name? ") == []
    assert splitter.has_rest
    assert splitter.flush() == [Piece("Name? ", True)]
    assert not splitter.has_rest
    assert splitter.flush() == []
    assert splitter.feed(b"Ada\n") == [Piece("Ada", False)]


def test_a_line_that_was_handed_out_is_ended_even_by_nothing() -> None:
    splitter = LineSplitter(100)
    splitter.feed(b"done")
    assert splitter.flush() == [Piece("done", True)]
    assert splitter.feed(b"\n") == [Piece("", False)]
    splitter.feed(b"done")
    splitter.flush()
    assert splitter.end() == [Piece("", False)]
    assert splitter.end() == []


def test_a_return_waits_for_what_follows_it() -> None:
    """It may be the first half of a line's end."""
    splitter = LineSplitter(100)
    splitter.feed(b"50 %\r")
    assert splitter.flush() == [Piece("50 %", True)]
    assert splitter.feed(b"\n") == [Piece("", False)]
    splitter.feed(b"50 %\r")
    splitter.flush()
    assert not splitter.has_rest
    splitter.feed(b"60 %")
    assert splitter.flush() == [Piece("\r60 %", True)]


def test_a_limit_that_no_character_fits_in_is_refused() -> None:
    with pytest.raises(ValueError, match="4 bytes"):
        LineSplitter(3)


ALPHABET = [b"\n", b"\r", b"\r\n", b"a", b"bc" * 9, "é🎈".encode(), b"\xc3", b"\xf0\x9f", b"\0"]


@given(
    parts=st.lists(st.sampled_from(ALPHABET), max_size=40),
    cuts=st.lists(st.integers(0, 400), max_size=12),
    flushes=st.sets(st.integers(0, 12)),
    limit=st.integers(4, 24),
)
def test_any_cutting_and_flushing_gives_the_same_lines(
    parts: list[bytes], cuts: list[int], flushes: set[int], limit: int
) -> None:
    data = b"".join(parts)
    splitter = LineSplitter(limit)
    pieces: list[Piece] = []
    for number, (begin, end) in enumerate(pairwise([0, *sorted(cuts), len(data) + 400])):
        pieces += splitter.feed(data[begin:end])
        if number in flushes:
            waits = splitter.has_rest
            flushed = splitter.flush()
            assert bool(flushed) == waits
            pieces += flushed
    pieces += splitter.end()
    assert joined(pieces) == expected(data)
    assert all(len(piece.text.encode()) <= limit for piece in pieces)
    assert all(piece.text for piece in pieces if piece.open), "an open piece says something"
    assert not any(re.search("\n", piece.text) for piece in pieces)
