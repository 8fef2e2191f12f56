"""Cursors: positions in streams, as clients carry them in ``Last-Event-ID``.

A cursor is opaque to clients. To us it is three numbers in fixed-width hexadecimal, so that cursors
of one stream sort as strings:

    019aa7c3b1f4 000000002a 7f3c
    generation   sequence   proof

*generation* tells a recreated stream from the old one; it is the time of creation in Unix ms, made
greater than the one before. *sequence* counts a generation's events from 1 without holes; 0 is the
position before the first. *proof* is a few random bits of the append that wrote the event: a store
that was restored may give out the same sequence for another event, and the proof shows it
(RULES 5). A proof of 0 proves nothing: it stands in positions that no event marks.

A stream that does not exist has a position too (RULES 3): *after everything of the generation that
was last known*, written with the highest sequence. It stays good when the stream is next created,
and not beyond.

A response that serves several streams carries a vector: one part a stream, eight digits of a hash
of its name and its cursor, joined by dots. A tilde marks the part that moved (RULES 4).
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lastevent.core.errors import InvalidCursor, InvalidRequest

CURSOR_LENGTH = 26
LAST_SEQUENCE = (1 << 40) - 1
MAX_PROOF = (1 << 16) - 1
MAX_STREAMS = 16
"""Streams in one response: a vector of 16 stays under 1 KiB, and gateways cap headers near 10."""

_MAX_GENERATION = (1 << 48) - 1
_CURSOR = re.compile(r"([0-9a-f]{12})([0-9a-f]{10})([0-9a-f]{4})")
_PART = re.compile(r"~?([0-9a-f]{8})([0-9a-f]{26})")


class _Numbers(NamedTuple):
    generation: int
    sequence: int
    proof: int = 0


class Cursor(_Numbers):
    """A position: after event ``sequence`` of ``generation``. ``str()`` gives the wire's form."""

    __slots__ = ()

    def __new__(cls, generation: int, sequence: int, proof: int = 0) -> "Cursor":
        """Check the numbers; raise InvalidCursor."""
        if not (
            0 <= generation <= _MAX_GENERATION
            and 0 <= sequence <= LAST_SEQUENCE
            and 0 <= proof <= MAX_PROOF
        ):
            raise InvalidCursor("a cursor's numbers are out of range")
        return super().__new__(cls, generation, sequence, proof)

    def __str__(self) -> str:
        return f"{self.generation:012x}{self.sequence:010x}{self.proof:04x}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read the wire's form; raise InvalidCursor for anything else."""
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise InvalidCursor(
                f"{text[:80]!r} is not a cursor: send an id that this server gave, or none"
            )
        generation, sequence, proof = found.groups()
        return cls(int(generation, 16), int(sequence, 16), int(proof, 16))

    @classmethod
    def after(cls, generation: int) -> "Cursor":
        """Return the position after everything of ``generation`` (0: before any existed)."""
        return cls(generation, LAST_SEQUENCE)

    @property
    def is_after_generation(self) -> bool:
        """Whether this is the position of a reader that waits for the stream to be created."""
        return self.sequence == LAST_SEQUENCE


def name_hash(stream: str) -> str:
    """Return the eight digits that stand for a stream's name in a vector."""
    return hashlib.blake2b(stream.encode(), digest_size=4).hexdigest()


def check_streams(streams: Iterable[str]) -> tuple[str, ...]:
    """Return the names, once each; raise InvalidRequest if no vector can hold them."""
    names = tuple(dict.fromkeys(streams))
    if not 1 <= len(names) <= MAX_STREAMS:
        raise InvalidRequest(f"name 1 to {MAX_STREAMS} streams in one request")
    if len(names) > 1 and len({name_hash(name) for name in names}) < len(names):
        raise InvalidRequest("two of these names share a hash: ask for them in two requests")
    return names


def render_vector(positions: Mapping[str, str], moved: str | None = None) -> str:
    """Write a vector of ``positions`` (name to cursor text); ``moved`` names the part to mark.

    The marked part comes first, so that the rest is the same text for a whole run of events.
    """
    parts = [name_hash(name) + cursor for name, cursor in positions.items() if name != moved]
    if moved is not None:
        parts.insert(0, "~" + name_hash(moved) + positions[moved])
    return ".".join(parts)


def parse_vector(text: str, streams: Iterable[str]) -> dict[str, Cursor]:
    """Read a vector; return the cursor of each of ``streams`` that has a part in it.

    Parts of other streams are ignored; a stream without a part is left out (RULES 4). Raises
    InvalidCursor for text that no server wrote.
    """
    parts = text.split(".")
    if len(parts) > MAX_STREAMS:
        raise InvalidCursor(f"a cursor has at most {MAX_STREAMS} parts")
    cursors: dict[str, Cursor] = {}
    for part in parts:
        found = _PART.fullmatch(part)
        if found is None:
            raise InvalidCursor(
                f"{text[:80]!r} is not a cursor of several streams: send an id that this server "
                "gave, or none"
            )
        cursors[found[1]] = Cursor.parse(found[2])
    if len(cursors) < len(parts) or text.count("~") > 1:
        raise InvalidCursor("a cursor of several streams names each once, and one that moved")
    return {name: cursors[key] for name in streams if (key := name_hash(name)) in cursors}
