import pytest

from lastevent.client.position import Position
from lastevent.core.cursor import Cursor, render_vector
from tests.client.scripted import GENERATION, at


@pytest.mark.parametrize(
    ("stands", "identifier", "ahead"),
    [
        (at(5), at(5), True),
        (at(5), at(4), True),
        (at(5), at(6), False),
        (at(5), str(Cursor(GENERATION, 5, 99)), True),  # the proof is for the server to judge
        (at(5), at(1, GENERATION + 1), False),  # recreated: newer than everything before
        (at(5), at(9, GENERATION - 1), True),
        (str(Cursor.after(GENERATION)), at(1, GENERATION + 1), False),
        (None, at(1), None),
        (at(5), "", None),
        ("7", "7", None),
        ("7", at(1), None),
        (at(1), "7", None),
        (at(1), at(1).upper(), None),
        (at(1), "x" * 26, None),
        # As long as a part of a vector less two, and in hexadecimal: an id of somebody else's.
        ("0" * 32, "0" * 32, None),
    ],
)
def test_where_an_id_lies(stands: str | None, identifier: str, ahead: bool | None) -> None:
    assert Position(stands).is_ahead_of(identifier) is ahead


class TestSeveralStreams:
    def test_the_part_that_moved_decides(self) -> None:
        position = Position(render_vector({"a": at(5), "b": at(3)}))
        assert position.is_ahead_of(render_vector({"a": at(5), "b": at(9)}, moved="a"))
        assert not position.is_ahead_of(render_vector({"a": at(6), "b": at(3)}, moved="a"))
        assert not position.is_ahead_of(render_vector({"a": at(5), "b": at(4)}, moved="b"))

    def test_without_a_mark_all_parts_decide(self) -> None:
        position = Position(render_vector({"a": at(5), "b": at(3)}, moved="b"))
        assert position.is_ahead_of(render_vector({"a": at(5), "b": at(3)}))
        assert not position.is_ahead_of(render_vector({"a": at(5), "b": at(4)}))

    def test_a_stream_that_is_new_to_it_cannot_be_told(self) -> None:
        position = Position(render_vector({"a": at(5)}))
        assert position.is_ahead_of(render_vector({"a": at(5), "b": at(1)}, moved="b")) is None

    def test_a_vector_cannot_be_told_from_one_cursor(self) -> None:
        assert Position(at(5)).is_ahead_of(render_vector({"a": at(1)}, moved="a")) is None


def test_moving_keeps_the_text() -> None:
    position = Position()
    position.move("7")
    assert position.text == "7"
    position.move(at(3))
    assert position.text == at(3)
    assert position.is_ahead_of(at(2))
