"""Where a cursor stands in a log: every row of the table that all stores resume by."""

import pytest

from lastevent.core.cursor import Cursor
from lastevent.core.extent import Extent, Place

BEFORE, NOW = 100, 200
"""The generation before this one, and this one."""


def extent(floor: int, head: Cursor, closed: bool = False) -> Extent:
    return Extent(True, NOW, BEFORE, floor, head, closed)


HEAD = Cursor(NOW, 10, 0xA)
WHOLE = extent(1, HEAD)
TRIMMED = extent(5, HEAD)
EXPIRED = extent(11, HEAD)
EMPTY = extent(1, Cursor(NOW, 0))
ABSENT = Extent.absent()
DELETED = Extent.absent(NOW)


def after(sequence: int, proof: int = 0, generation: int = NOW) -> Cursor:
    return Cursor(generation, sequence, proof)


def good(position: Cursor) -> Place:
    return Place(position)


def unproven(position: Cursor) -> Place:
    return Place(position, unproven=True)


def lost(position: Cursor) -> Place:
    return Place(position, truncated=True)


PLACES = [
    # No cursor: from the start, and whether the beginning is gone.
    ("none, whole", WHOLE, None, good(after(0))),
    ("none, trimmed", TRIMMED, None, lost(after(4))),
    ("none, all expired", EXPIRED, None, lost(HEAD)),
    ("none, empty", EMPTY, None, good(EMPTY.head)),
    ("none, absent", ABSENT, None, good(Cursor.after(0))),
    ("none, deleted", DELETED, None, good(Cursor.after(NOW))),
    # A cursor of this log.
    ("at the end", WHOLE, HEAD, good(HEAD)),
    ("at the end, without a proof", WHOLE, after(10), good(HEAD)),
    ("at the end, of another event", WHOLE, after(10, 0xB), lost(after(0))),
    ("at the end, of another event, trimmed", TRIMMED, after(10, 0xB), lost(after(4))),
    ("held", WHOLE, after(3, 0xC), unproven(after(3, 0xC))),
    ("held, without a proof", WHOLE, after(3), good(after(3))),
    ("at the beginning", WHOLE, after(0), good(after(0))),
    ("the first one held", TRIMMED, after(5, 0xC), unproven(after(5, 0xC))),
    ("the last one gone", TRIMMED, after(4, 0xC), good(after(4, 0xC))),
    ("one before: its successor is gone", TRIMMED, after(3, 0xC), lost(after(4))),
    ("at the beginning, trimmed", TRIMMED, after(0), lost(after(4))),
    ("at the end, all expired", EXPIRED, HEAD, good(HEAD)),
    ("one before the end, all expired", EXPIRED, after(9, 0xC), lost(HEAD)),
    ("at the end of an empty one", EMPTY, EMPTY.head, good(EMPTY.head)),
    # A cursor that this log never gave out.
    ("beyond the end", WHOLE, after(11, 0xA), lost(after(0))),
    ("beyond the end, all expired", EXPIRED, after(11, 0xA), lost(HEAD)),
    ("beyond the end of an empty one", EMPTY, after(1, 0xA), lost(EMPTY.head)),
    # A cursor of another generation.
    ("of the one before", WHOLE, after(10, 0xA, BEFORE), lost(after(0))),
    ("of one that is to come", WHOLE, after(10, 0xA, 300), lost(after(0))),
    ("of the one before, trimmed", TRIMMED, after(10, 0xA, BEFORE), lost(after(4))),
    # A reader that waited for the stream to be created (RULES 3).
    ("waited since the one before", WHOLE, Cursor.after(BEFORE), good(after(0))),
    ("waited since, trimmed meanwhile", TRIMMED, Cursor.after(BEFORE), lost(after(4))),
    ("waited since, expired meanwhile", EXPIRED, Cursor.after(BEFORE), lost(HEAD)),
    ("waited since, empty", EMPTY, Cursor.after(BEFORE), good(EMPTY.head)),
    ("waited since an earlier one", WHOLE, Cursor.after(50), lost(after(0))),
    ("waited since never", WHOLE, Cursor.after(0), lost(after(0))),
    ("waits for after this one", WHOLE, Cursor.after(NOW), lost(after(0))),
    # A stream that does not exist.
    ("waits", ABSENT, Cursor.after(0), good(Cursor.after(0))),
    ("of a stream that is not known", ABSENT, HEAD, lost(Cursor.after(0))),
    ("of a stream that is forgotten", ABSENT, Cursor.after(NOW), lost(Cursor.after(0))),
    ("waits after the deletion", DELETED, Cursor.after(NOW), good(Cursor.after(NOW))),
    ("of what is deleted", DELETED, HEAD, lost(Cursor.after(NOW))),
    ("waited before what is deleted", DELETED, Cursor.after(BEFORE), lost(Cursor.after(NOW))),
]


@pytest.mark.parametrize(
    ("extent", "cursor", "place"),
    [row[1:] for row in PLACES],
    ids=[row[0] for row in PLACES],
)
def test_place(extent: Extent, cursor: Cursor | None, place: Place) -> None:
    assert extent.place(cursor) == place


@pytest.mark.parametrize(
    ("extent", "start"),
    [
        (WHOLE, after(0)),
        (TRIMMED, after(4)),
        (EXPIRED, HEAD),
        (EMPTY, EMPTY.head),
        (ABSENT, Cursor.after(0)),
        (DELETED, Cursor.after(NOW)),
    ],
)
def test_start(extent: Extent, start: Cursor) -> None:
    assert extent.start == start
    assert extent.lost == lost(start)


@pytest.mark.parametrize(
    ("extent", "count", "position"),
    [
        (WHOLE, 0, HEAD),
        (WHOLE, -1, HEAD),
        (WHOLE, 3, after(7)),
        (WHOLE, 10, after(0)),
        (WHOLE, 99, after(0)),
        (TRIMMED, 5, after(5)),
        (TRIMMED, 6, after(4)),
        (TRIMMED, 7, after(4)),
        (EXPIRED, 3, HEAD),
        (EMPTY, 3, EMPTY.head),
        (ABSENT, 3, Cursor.after(0)),
        (DELETED, 3, Cursor.after(NOW)),
    ],
)
def test_newest(extent: Extent, count: int, position: Cursor) -> None:
    assert extent.newest(count) == position


@pytest.mark.parametrize("extent", [WHOLE, TRIMMED, EXPIRED, EMPTY, ABSENT, DELETED])
def test_what_it_gives_out_is_good(extent: Extent) -> None:
    """A position that a reader was just given loses it nothing when it comes back at once."""
    given = [extent.head, extent.start, *(extent.newest(count) for count in range(12))]
    for position in given:
        assert not extent.place(position).truncated
