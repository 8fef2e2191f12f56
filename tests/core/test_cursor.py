"""Cursors and vectors: round trips, order, and what is not one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastevent.core.cursor import (
    CURSOR_LENGTH,
    LAST_SEQUENCE,
    MAX_PROOF,
    MAX_STREAMS,
    Cursor,
    check_streams,
    name_hash,
    parse_vector,
    render_vector,
)
from lastevent.core.errors import InvalidCursor, InvalidRequest
from lastevent.core.topic import stream_name

LAST_GENERATION = (1 << 48) - 1
cursors = st.builds(
    Cursor,
    st.integers(0, LAST_GENERATION),
    st.integers(0, LAST_SEQUENCE),
    st.integers(0, MAX_PROOF),
)
near = st.builds(Cursor, st.integers(6, 8), st.integers(0, 300), st.integers(0, 3))

# The wire's form.


def test_the_form_that_the_module_shows() -> None:
    cursor = Cursor(0x019AA7C3B1F4, 42, 0x7F3C)
    assert str(cursor) == "019aa7c3b1f4000000002a7f3c"
    assert Cursor.parse("019aa7c3b1f4000000002a7f3c") == cursor


@given(cursors)
def test_round_trip(cursor: Cursor) -> None:
    text = str(cursor)
    assert len(text) == CURSOR_LENGTH
    assert Cursor.parse(text) == cursor


@given(st.lists(st.one_of(near, cursors)))
def test_cursors_sort_as_strings(some: list[Cursor]) -> None:
    assert [str(cursor) for cursor in sorted(some)] == sorted(map(str, some))
    ordered = sorted(some, key=lambda cursor: (cursor.generation, cursor.sequence, cursor.proof))
    assert sorted(some) == ordered


def test_a_cursor_needs_no_escaping_and_no_quoting() -> None:
    """In a header, a query, and where other protocols forbid ``, & = ? /`` in an offset."""
    assert stream_name(str(Cursor(LAST_GENERATION, 7, MAX_PROOF)))
    vector = render_vector({"a": str(Cursor(1, 2, 3)), "b": str(Cursor(4, 5, 6))}, "b")
    assert not set(vector) & set(", &=?/\"'%+#;\\")


GOOD = "019aa7c3b1f4000000002a7f3c"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        GOOD[:-1],
        GOOD + "0",
        GOOD.upper(),
        GOOD + "\n",
        " " + GOOD,
        GOOD[:-1] + "g",
        GOOD[:-1] + "١",
        "-" + GOOD[1:],
        "0x" + GOOD[2:],
        GOOD[:12] + "_" + GOOD[13:],
        GOOD + "." + GOOD,
        "~" + name_hash("a") + GOOD,
    ],
)
def test_what_is_not_a_cursor(text: str) -> None:
    with pytest.raises(InvalidCursor, match="is not a cursor"):
        Cursor.parse(text)


def test_a_long_wrong_cursor_is_not_repeated_in_full() -> None:
    for parse in (Cursor.parse, lambda text: parse_vector(text, ["a"])):
        with pytest.raises(InvalidCursor) as caught:
            parse("x" * 100_000)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "numbers",
    [
        (-1, 0, 0),
        (0, -1, 0),
        (0, 0, -1),
        (LAST_GENERATION + 1, 0, 0),
        (0, LAST_SEQUENCE + 1, 0),
        (0, 0, MAX_PROOF + 1),
    ],
)
def test_numbers_that_the_form_cannot_hold_are_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidCursor, match="out of range"):
        Cursor(*numbers)


def test_a_cursor_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Cursor(1, 2).sequence = 3  # type: ignore[misc]


@given(
    st.integers(0, LAST_GENERATION), st.integers(0, LAST_SEQUENCE - 1), st.integers(0, MAX_PROOF)
)
def test_after_a_generation_is_after_all_of_it_and_before_the_next(
    generation: int, sequence: int, proof: int
) -> None:
    """RULES 3: a stream that does not exist has a position, which is not empty."""
    after = Cursor.after(generation)
    assert after.is_after_generation
    assert Cursor.parse(str(after)) == after
    event = Cursor(generation, sequence, proof)
    assert not event.is_after_generation
    assert str(event) < str(after)
    if generation < LAST_GENERATION:
        assert str(after) < str(Cursor(generation + 1, 0))


# Vectors (RULES 4).

names = st.lists(
    st.text(st.sampled_from("abc123:"), min_size=1, max_size=6).map(lambda rest: "s" + rest),
    min_size=1,
    max_size=MAX_STREAMS,
    unique_by=name_hash,
)
positions = names.flatmap(lambda some: st.fixed_dictionaries(dict.fromkeys(some, cursors)))


def _text(cursors: dict[str, Cursor]) -> dict[str, str]:
    return {name: str(cursor) for name, cursor in cursors.items()}


@given(positions, st.data())
def test_a_vector_holds_every_position_whichever_moved(
    positions: dict[str, Cursor], data: st.DataObject
) -> None:
    moved = data.draw(st.none() | st.sampled_from(sorted(positions)))
    vector = render_vector(_text(positions), moved)
    assert parse_vector(vector, positions) == positions
    assert parse_vector(vector, reversed(positions)) == positions


@given(positions, st.data())
def test_the_part_that_moved_is_marked_and_comes_first(
    positions: dict[str, Cursor], data: st.DataObject
) -> None:
    moved = data.draw(st.sampled_from(sorted(positions)))
    first, *rest = render_vector(_text(positions), moved).split(".")
    assert first == f"~{name_hash(moved)}{positions[moved]}"
    assert len(rest) == len(positions) - 1
    assert not any(part.startswith("~") for part in rest)
    assert "~" not in render_vector(_text(positions))


def test_sixteen_streams_stay_under_a_kibibyte() -> None:
    assert MAX_STREAMS == 16
    most = {f"stream:{number}": str(Cursor(LAST_GENERATION, 7)) for number in range(MAX_STREAMS)}
    assert len(render_vector(most, "stream:3").encode()) < 1024


def test_parts_of_other_streams_are_ignored_and_missing_ones_left_out() -> None:
    here = {"a": Cursor(1, 2, 3), "b": Cursor(1, 5, 6)}
    vector = render_vector(_text(here), "a")
    assert parse_vector(vector, ["b", "c"]) == {"b": Cursor(1, 5, 6)}
    assert parse_vector(vector, ["c"]) == {}
    assert parse_vector(vector, []) == {}


PART = name_hash("a") + GOOD
OTHER = name_hash("b") + GOOD


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD,
        PART + ".",
        "." + PART,
        f"{PART}..{OTHER}",
        f"{PART},{OTHER}",
        "~~" + PART,
        PART + "~",
        PART.upper(),
        PART + "\n",
        f"{PART}.x",
        ".".join([PART] * (MAX_STREAMS + 1)),
        f"{PART}.{PART}",
        f"~{PART}.~{OTHER}",
    ],
)
def test_what_is_not_a_vector(text: str) -> None:
    with pytest.raises(InvalidCursor):
        parse_vector(text, ["a", "b"])


# The streams of one request.


def test_streams_are_named_once_in_the_order_of_their_first_mention() -> None:
    assert check_streams(["b", "a", "b"]) == ("b", "a")
    assert check_streams(iter(["a"])) == ("a",)


@pytest.mark.parametrize("count", [0, MAX_STREAMS + 1])
def test_there_are_one_to_sixteen(count: int) -> None:
    with pytest.raises(InvalidRequest, match="1 to 16 streams"):
        check_streams(f"s{number}" for number in range(count))
    assert len(check_streams([f"s{number % MAX_STREAMS}" for number in range(100)])) == MAX_STREAMS


def test_two_names_with_one_hash_do_not_go_into_one_vector() -> None:
    first, second = "s65257", "s96800"
    assert name_hash(first) == name_hash(second)
    with pytest.raises(InvalidRequest, match="share a hash"):
        check_streams([first, second])
    assert check_streams([first]) == (first,)


def test_adjacent_hashes_are_spread() -> None:
    hashes = [name_hash(f"merchant:{number}") for number in range(100)]
    assert len(set(hashes)) == len(hashes)
    assert all(len(text) == 8 for text in hashes)
    assert all(one[:4] != two[:4] for one, two in pairwise(hashes))
