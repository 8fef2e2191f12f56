"""The log in DynamoDB: appends through the streams' writers, reads along their chains.

A reader that has the event before the next chunk needs one query: what it brings is consecutive and
proven, or it says nothing. All else - a position inside a chunk, a hole, another generation, a
trimmed beginning - is decided by a closer look, which begins with the end of the chain (RULES 8).
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence

from lastevent.core.cursor import MAX_PROOF, Cursor
from lastevent.core.errors import StoreUnavailable, TooLarge
from lastevent.core.event import Event, NewEvent, digest
from lastevent.core.extent import Extent, Place
from lastevent.stores.base import Appended, Clock, Page, RetentionRules
from lastevent.stores.channel import End
from lastevent.stores.dynamodb.calls import Call
from lastevent.stores.dynamodb.chain import Chain
from lastevent.stores.dynamodb.chunk import MAX_BYTES, Chunk, Tip, data_of, heads_of, packed, slot
from lastevent.stores.dynamodb.client import Client
from lastevent.stores.dynamodb.writer import Writer
from lastevent.stores.outline import check_append

MAX_BATCH_BYTES = 16 << 20
"""Of one append before compression."""

MAX_PAGE_CHARACTERS = 4 << 20
"""Data in one page, so that pages of large events stay small. The event that exceeds it is in."""

MAX_STREAMS = 1024
"""Streams of which this process remembers a writer and a floor."""

HOLE_LOOKS = 3
HOLE_SECONDS = 0.05
"""A hole is looked at again after so long, so often, before it is believed."""


class DynamoLog:
    """base.EventLog. ``moved`` is told each new end that this process has made."""

    def __init__(
        self,
        client: Client,
        chain: Chain,
        retention: RetentionRules,
        clock: Clock,
        moved: Callable[[str, End], None],
    ) -> None:
        self._client = client
        self._chain = chain
        self._retention = retention
        self._clock = clock
        self._moved = moved
        self._writers: dict[str, Writer] = {}
        self._floors: dict[str, tuple[int, int]] = {}
        self._closed = False

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        key: str | None = None,
        expect: Cursor | None = None,
        fence: int | None = None,
        close: bool = False,
        bookmark: str | None = None,
    ) -> Appended:
        check_append(events, key, bookmark)
        proof = random.randint(1, MAX_PROOF)
        call = Call(
            asyncio.get_running_loop().create_future(),
            len(events),
            heads_of(events, proof),
            data_of(events),
            proof,
            key,
            digest(events, close) if key is not None else b"",
            expect,
            fence,
            close,
            bookmark,
        )
        if call.size > MAX_BYTES:
            call.blob = await _squeezed(call)
        async with self._client.limited():
            answer = await self._writer(stream).submit(call)
        assert isinstance(answer, Appended)
        return answer

    async def delete(self, stream: str) -> bool:
        call = Call(asyncio.get_running_loop().create_future(), delete=True)
        async with self._client.limited():
            return bool(await self._writer(stream).submit(call))

    async def describe(self, stream: str) -> Extent:
        async with self._client.limited():
            return await self._extent(stream, await self._chain.tip(stream, mend=True))

    async def read(self, stream: str, after: Cursor | None, limit: int = 500) -> Page:
        async with self._client.limited():
            if after is not None and not after.is_after_generation:
                page = await self._go_on(stream, after, limit)
                if page is not None:
                    return page
            for look in range(HOLE_LOOKS):
                page = await self._look(stream, after, limit, is_last=look == HOLE_LOOKS - 1)
                if page is not None:
                    return page
                await asyncio.sleep(HOLE_SECONDS)
        raise AssertionError("the last look decides")

    async def close(self) -> None:
        """End the writers' tasks."""
        self._closed = True
        loop = asyncio.get_running_loop()
        own = [writer for writer in self._writers.values() if writer.loop is loop]
        await asyncio.gather(*(writer.close() for writer in own))

    # Writing.

    def _writer(self, stream: str) -> Writer:
        """Return the stream's writer in this loop; another loop's is of no use any more."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        writer = self._writers.get(stream)
        if writer is None or writer.loop is not asyncio.get_running_loop():
            if len(self._writers) >= MAX_STREAMS:
                self._writers = {
                    name: other for name, other in self._writers.items() if other.is_needed
                }
            writer = self._writers[stream] = Writer(
                stream,
                self._chain,
                self._retention.of(stream),
                self._clock,
                floor=lambda generation: self._known_floor(stream, generation),
                moved=lambda end: self._moved(stream, end),
            )
        return writer

    # Reading on.

    async def _go_on(self, stream: str, after: Cursor, limit: int) -> Page | None:
        """Return the page that joins ``after``; None where that takes a closer look."""
        run = await self._chain.run(stream, slot(after.generation, after.sequence + 1), limit)
        tip = run.tip if run.at_end else await self._chain.tip(stream)
        outline = tip.outline
        if not outline.exists or after.generation != outline.generation:
            return None
        if after.sequence == outline.head and after.proof in (0, outline.proof):
            return _page((), Place(outline.end), tip)
        if after.sequence + 1 < max(outline.floor, self._by_count(stream, tip)):
            return None
        events = self._events(stream, run.chunks, after, limit)
        return _page(events, Place(after), tip) if events else None

    def _events(
        self, stream: str, chunks: Iterable[Chunk], after: Cursor, limit: int
    ) -> list[Event]:
        """Return the events right after ``after``, up to a hole, from chunks in order."""
        oldest = self._oldest(stream)
        events: list[Event] = []
        room = MAX_PAGE_CHARACTERS
        for chunk in chunks:
            if not chunk.size or chunk.last <= after.sequence:
                continue
            joins = chunk.holds(after.generation, after.sequence + 1) and chunk.proves(after)
            if not joins or chunk.time < oldest:
                break
            for event in chunk.events(after.sequence):
                events.append(event)
                room -= len(event.data)
                if len(events) == limit or room < 0:
                    return events
            after = Cursor.parse(events[-1].id)
        return events

    # A closer look.

    async def _look(
        self, stream: str, after: Cursor | None, limit: int, *, is_last: bool
    ) -> Page | None:
        """Return the page after ``after``; None for a hole, which only the last look believes."""
        tip = await self._chain.tip(stream, mend=True)
        extent = await self._extent(stream, tip)
        place = extent.place(after)
        held: Chunk | None = None
        if place.unproven:
            position = place.position
            held = await self._chain.chunk_with(stream, position.generation, position.sequence)
            if held is None and not is_last:
                return None
            if held is None or not held.proves(position):
                place = extent.lost
        if place.position == extent.head:
            return _page((), place, tip)

        position = place.position
        if held is None or not held.holds(position.generation, position.sequence + 1):
            held = await self._chain.chunk_with(stream, position.generation, position.sequence + 1)
        start = held.tip.next if held else slot(position.generation, position.sequence + 1)
        run = await self._chain.run(stream, start, limit)
        chunks = [held, *run.chunks] if held else run.chunks
        events = self._events(stream, chunks, position, limit)
        if events:
            return _page(events, place, tip)
        return self._beyond(stream, chunks, position, limit, tip) if is_last else None

    def _beyond(
        self, stream: str, chunks: Sequence[Chunk], position: Cursor, limit: int, tip: Tip
    ) -> Page:
        """Return the page behind a hole that stays: what was in it is lost."""
        oldest = self._oldest(stream)
        for number, chunk in enumerate(chunks):
            is_behind = chunk.size and chunk.generation == tip.outline.generation
            if is_behind and chunk.first > position.sequence + 1 and chunk.time >= oldest:
                start = Cursor(chunk.generation, chunk.first - 1, chunk.before)
                events = self._events(stream, chunks[number:], start, limit)
                return _page(events, Place(start, truncated=True), tip)
        return _page((), Place(tip.outline.end, truncated=True), tip)

    # What is kept.

    async def _extent(self, stream: str, tip: Tip) -> Extent:
        return tip.outline.extent(await self._floor(stream, tip) if tip.outline.exists else 1)

    async def _floor(self, stream: str, tip: Tip) -> int:
        """Return the sequence of the first event that readers may have; head + 1 if none.

        As Outline.first_kept has it; each look at an event's time is a query, so there is none
        where the stream is younger than what is kept.
        """
        outline = tip.outline
        oldest = self._oldest(stream)
        low = max(outline.floor, self._by_count(stream, tip))
        low = max(low, self._known_floor(stream, outline.generation))
        if low > outline.head or outline.time < oldest:
            return outline.head + 1
        if tip.born >= oldest:
            return low
        high, probe = outline.head, low
        while low < high:
            chunk = await self._chain.chunk_with(stream, outline.generation, probe)
            if chunk is not None and chunk.time >= oldest:
                high = max(low, chunk.first)
            else:
                low = (chunk.last if chunk is not None else probe) + 1
            probe = (low + high) // 2
        self._remember_floor(stream, outline.generation, high)
        return high

    def _oldest(self, stream: str) -> float:
        """Return the time of the oldest event that is kept, in Unix ms."""
        return (self._clock() - self._retention.of(stream).max_seconds) * 1000

    def _by_count(self, stream: str, tip: Tip) -> int:
        return tip.outline.head - self._retention.of(stream).max_events + 1

    def _known_floor(self, stream: str, generation: int) -> int:
        known, floor = self._floors.get(stream, (0, 0))
        return floor if known == generation else 0

    def _remember_floor(self, stream: str, generation: int, floor: int) -> None:
        if len(self._floors) >= MAX_STREAMS:
            self._floors.clear()
        self._floors[stream] = generation, floor


async def _squeezed(call: Call) -> bytes:
    """Return the events of a large append as one chunk; raise TooLarge if they do not fit."""
    if call.size <= MAX_BATCH_BYTES:
        blob = await asyncio.to_thread(packed, [call.heads], [call.data])
        if len(blob) <= MAX_BYTES:
            return blob
    raise TooLarge(
        f"a batch must fit one item of DynamoDB: {MAX_BYTES // 1024} KB after compression"
    )


def _page(events: Sequence[Event], place: Place, tip: Tip) -> Page:
    head, closed = tip.end
    cursor = Cursor.parse(events[-1].id) if events else place.position
    if (cursor.generation, cursor.sequence) > (head.generation, head.sequence):
        head = cursor  # appended since the tip was read
    return Page(tuple(events), place.position, cursor, head, closed, place.truncated)
