"""Chunks: a stream as a chain of items, and what such an item holds.

Each append, or group of appends, is one item: a chunk of events with the whole state of the stream
after it. Its key is a slot, which follows from the chunk before:

    019aa7c3b1f4 000000002a 000000
    generation   first      ordinal

*first* is the sequence that the next event will have, *ordinal* counts chunks without events (a
fence, a close, a deletion) before it. So all who know the chain's end write to the same slot, under
the condition that it is free: who succeeds has compared and set the state of the whole stream. A
stream that is made, for the first time or again, goes on in the slot after its deletion (or the
first slot of all), and from there in its new generation.

A slot must not become free again while somebody may write to it: see table.MARGIN_SECONDS and
writer (RULES 10). Nothing but DynamoDB's own expiry removes chunks.

The attributes: ``next`` (the slot that follows), ``state``, ``bookmark`` if the stream has one, and
of chunks also ``size``, ``before``, ``link`` (see Chunk) and ``events``.
"""

import json
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lastevent.core.cursor import Cursor
from lastevent.core.errors import StoreUnavailable
from lastevent.core.event import Event, NewEvent
from lastevent.stores.base import MAX_BOOKMARK_BYTES
from lastevent.stores.channel import End
from lastevent.stores.dynamodb.capacity import Item
from lastevent.stores.outline import Outline

OUTLINE = "outline"
"""The sort key of a stream's outline: behind every slot."""

MAX_BYTES = 380 * 1024 - MAX_BOOKMARK_BYTES
"""Of a chunk's events as they are stored. An item has at most 400 KB, and must have room for the
bookmark, which who appends the events need not know of."""

_MAX_ORDINAL = (1 << 24) - 1
_PLACE = 22
"""The digits of a slot before the ordinal."""

_SMALL = 512
"""Bytes of events that are not worth compressing: an item costs as much as one of a whole KB."""


def slot(generation: int, first: int, ordinal: int = 0) -> str:
    """Return a chunk's sort key. Slots sort in the order of the chain."""
    return f"{generation:012x}{first:010x}{ordinal:06x}"


@dataclass(frozen=True, slots=True)
class Tip:
    """The end of a stream's chain: the slot where it goes on, and the state there.

    ``born`` is when the stream was made, in Unix ms: no event of it is older. ``nonce`` is drawn
    for each chunk, so that its writer knows it again, and the one that follows can name it.
    """

    next: str = slot(0, 1)
    outline: Outline = Outline()
    born: int = 0
    nonce: str = ""

    @property
    def end(self) -> End:
        """What those who wait for the stream compare with."""
        return End(self.outline.end, self.outline.closed)

    def followed(self, outline: Outline, count: int, now_ms: int, nonce: str) -> "Tip":
        """Return the tip after one more chunk of ``count`` events, with which this is the state."""
        born = self.born if self.outline.exists else now_ms
        if count or (outline.exists and not self.outline.exists):
            return Tip(slot(outline.generation, outline.head + 1), outline, born, nonce)
        ordinal = int(self.next[_PLACE:], 16) + 1
        if ordinal > _MAX_ORDINAL:
            raise StoreUnavailable("the stream has had too many changes without an event")
        return Tip(f"{self.next[:_PLACE]}{ordinal:06x}", outline, born, nonce)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk at its place. ``tip`` is the chain's end right after it.

    ``size`` is how many events it has, ``before`` the proof of the event before its first, ``link``
    the nonce of the chunk before it.
    """

    slot: str
    tip: Tip
    size: int
    before: int
    link: str
    blob: bytes

    @property
    def generation(self) -> int:
        """The generation of its events, and of the stream after it."""
        return self.tip.outline.generation

    @property
    def first(self) -> int:
        """The sequence of its first event."""
        return self.tip.outline.head - self.size + 1

    @property
    def last(self) -> int:
        """The sequence of its last event."""
        return self.tip.outline.head

    @property
    def time(self) -> int:
        """When its events came, in Unix ms."""
        return self.tip.outline.time

    def holds(self, generation: int, sequence: int) -> bool:
        """Whether it holds this event."""
        return generation == self.generation and self.first <= sequence <= self.last

    def proves(self, cursor: Cursor) -> bool:
        """Whether the cursor stands at an event of this chunk, or right before its first."""
        if cursor.generation != self.generation or not cursor.proof:
            return cursor.generation == self.generation
        if cursor.sequence == self.first - 1:
            return self.before == cursor.proof
        skip = cursor.sequence - self.first
        return 0 <= skip < self.size and self._heads()[0][skip][0] == cursor.proof

    def events(self, after: int = 0) -> Iterator[Event]:
        """Give its events whose sequence is greater than ``after``, in order."""
        heads, blob, offset = self._heads()
        prefix = f"{self.generation:012x}"
        for sequence, (proof, type, size, *headers) in enumerate(heads, self.first):
            if sequence > after:
                id = f"{prefix}{sequence:010x}{proof:04x}"
                data = blob[offset : offset + size].decode()
                yield Event(id, type, data, self.time, *headers)
            offset += size

    def _heads(self) -> tuple[list[list[Any]], bytes, int]:
        blob = unpacked(self.blob)
        line = blob.index(b"\n")
        return json.loads(blob[:line]), blob, line + 1


# Events as bytes: a line of JSON with [proof, type, size of the data, headers if any] of each, and
# behind it all data, one after the other. Data is not in the JSON, where quotes and line ends would
# double it. Compressed, if that is less.


def heads_of(events: Sequence[NewEvent], proof: int) -> bytes:
    """Return what is said of events beside their data: a list in JSON, without its brackets."""
    heads = [
        [proof, event.type, event.size, *([dict(event.headers)] if event.headers else [])]
        for event in events
    ]
    return json.dumps(heads, ensure_ascii=False, separators=(",", ":")).encode()[1:-1]


def data_of(events: Sequence[NewEvent]) -> bytes:
    """Return the data of events, one after the other."""
    return "".join(event.data for event in events).encode()


def packed(heads: Sequence[bytes], data: Sequence[bytes]) -> bytes:
    """Return events as they are stored, from the heads and data of each append."""
    blob = b"[%b]\n%b" % (b",".join(heads), b"".join(data))
    if len(blob) <= _SMALL:
        return blob
    return min(blob, zlib.compress(blob, 1), key=len)


def unpacked(blob: bytes) -> bytes:
    """Return the bytes before compression: the JSON at their beginning tells the two apart."""
    return blob if blob.startswith(b"[") else zlib.decompress(blob)


def new_nonce() -> str:
    """Return what no other chunk has, also not one of a process that was forked from this."""
    return secrets.token_hex(8)


# Items.


def tip_attributes(tip: Tip) -> dict[str, dict[str, Any]]:
    """Return a tip as attributes of an item."""
    o = tip.outline
    numbers = (o.exists, o.generation, o.previous, o.floor, o.head, o.proof, o.time, o.closed)
    state = json.dumps([*map(int, numbers), o.fence, tip.born, tip.nonce], separators=(",", ":"))
    attributes = {"next": {"S": tip.next}, "state": {"S": state}}
    if o.bookmark is not None:
        attributes["bookmark"] = {"S": o.bookmark}
    return attributes


def tip_of(item: Item) -> Tip:
    """Read a tip from an item that has one."""
    exists, generation, previous, floor, head, proof, time, closed, fence, born, nonce = json.loads(
        item["state"]["S"]
    )
    bookmark = item["bookmark"]["S"] if "bookmark" in item else None
    outline = Outline(
        bool(exists), generation, previous, floor, head, proof, time, bool(closed), fence, bookmark
    )
    return Tip(item["next"]["S"], outline, born, nonce)


def chunk_attributes(chunk: Chunk) -> dict[str, dict[str, Any]]:
    """Return a chunk as attributes of its item, without key and expiry."""
    attributes = {
        **tip_attributes(chunk.tip),
        "size": {"N": str(chunk.size)},
        "before": {"N": str(chunk.before)},
        "link": {"S": chunk.link},
    }
    if chunk.size:
        attributes["events"] = {"B": chunk.blob}
    return attributes


def chunk_of(item: Mapping[str, Mapping[str, Any]]) -> Chunk:
    """Read a chunk from its item."""
    return Chunk(
        item["sk"]["S"],
        tip_of(item),
        int(item["size"]["N"]),
        int(item["before"]["N"]),
        item["link"]["S"],
        item["events"]["B"] if "events" in item else b"",
    )
