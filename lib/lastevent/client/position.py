"""Where a reader stands, and whether an event lies behind it.

A cursor is opaque to whoever carries it; but ours are fixed-width numbers (core.cursor), so that an
event that comes twice can be told by its place, also when others came in between. An id that is not
ours has no order: only the very event that a leg was resumed from can be told.
"""

from collections.abc import Mapping

from lastevent.core.cursor import CURSOR_LENGTH, Cursor
from lastevent.core.errors import InvalidCursor

_WHOLE = ""
_PART_LENGTH = 8 + CURSOR_LENGTH
_Places = Mapping[str, tuple[int, int]]


class Position:
    """The last id reached; ``text`` is None before there is one."""

    __slots__ = ("_places", "text")

    def __init__(self, text: str | None = None) -> None:
        self.text = text
        self._places = _places(text or "")

    def move(self, identifier: str) -> None:
        """Stand at ``identifier``."""
        if identifier != self.text:
            self.text = identifier
            self._places = _places(identifier)

    def is_ahead_of(self, identifier: str) -> bool | None:
        """Whether ``identifier`` is this position or one before it; None if that cannot be told.

        In ids of several streams the part that moved decides, or all parts when none is marked.
        """
        moved = _places(identifier.partition(".")[0] if identifier.startswith("~") else identifier)
        if not moved or not moved.keys() <= self._places.keys():
            return None
        return all(place <= self._places[name] for name, place in moved.items())


def _places(identifier: str) -> _Places:
    """Return generation and sequence for each stream's hash; nothing for an id that is not ours.

    The proof is left out: another proof at the same place is a loss, and the server says that.
    """
    places: dict[str, tuple[int, int]] = {}
    try:
        if len(identifier) == CURSOR_LENGTH:
            cursor = Cursor.parse(identifier)
            return {_WHOLE: (cursor.generation, cursor.sequence)}
        for part in identifier.split(".") if identifier else ():
            part = part.removeprefix("~")
            if len(part) != _PART_LENGTH:
                return {}
            cursor = Cursor.parse(part[-CURSOR_LENGTH:])
            places[part[:-CURSOR_LENGTH]] = (cursor.generation, cursor.sequence)
    except InvalidCursor:
        return {}
    return places
