"""The log in a Redis. See scripts for how it lies there."""

import asyncio
import json
import secrets
from collections import OrderedDict
from collections.abc import Collection, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple, cast

from lastevent.core.cursor import Cursor
from lastevent.core.errors import StoreUnavailable
from lastevent.core.event import Event, NewEvent
from lastevent.core.extent import Extent
from lastevent.stores.base import EXTENT_SECONDS, Appended, Clock, Page, RetentionRules
from lastevent.stores.channel import End, channel_name
from lastevent.stores.group import Group, finish
from lastevent.stores.hints import Hints
from lastevent.stores.outline import Outline, check_append
from lastevent.stores.upstash.appends import MAX_GROUP_BYTES, Append, Room, outline_of
from lastevent.stores.upstash.commands import Commands, instant, milliseconds
from lastevent.stores.upstash.scripts import APPEND, DELETE, ENDS, READ

MAX_PAGE_BYTES = 1024 * 1024
"""Data in one page. The event that exceeds it is in, and JSON may need six bytes for one: the
answer stays below the 10 MB that Upstash allows."""

MAX_STREAM_BYTES = 64 * 1024 * 1024
"""Data kept of one stream, whatever the retention says: see scripts. What the database counts
beside the data is not documented, so this is well below its limit."""

MAX_ENDS = 10_000
"""Streams whose end this process remembers; beyond it, those seen longest ago are forgotten."""

MAX_GROUPS = 1024
"""Streams whose appends are collected here; beyond it, those to which none is on its way go."""

MAX_GROUPS_AT_ONCE = 4
"""Commands that append to one stream at once, where one would be too large for all that waits."""

LAGGING_SECONDS = 60.0
"""How long the replicas are not asked after one lagged: each such read would cost two commands."""


class RedisLog:
    """base.EventLog, and channel.Ends. ``hints`` must be set before the first call."""

    hints: Hints

    def __init__(
        self, commands: Commands, retention: RetentionRules, clock: Clock, prefix: str = ""
    ) -> None:
        self._commands = commands
        self._retention = retention
        self._clock = clock
        self._prefix = prefix
        self._ends: OrderedDict[str, End] = OrderedDict()
        self._primary_until = 0.0
        self._groups: dict[str, Group[Append]] = {}
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
        call = Append.of(events, key, expect, fence, close, bookmark)
        appended: Appended = await self._group(stream).submit(call)
        return appended

    async def read(self, stream: str, after: Cursor | None, limit: int = 500) -> Page:
        end = self._known(stream)
        # A replica is asked where something is known to follow. It may not know yet: what it says
        # counts when it joins the cursor and does not lag behind what is known (RULES 8).
        is_news = after is not None and end is not None and end.moved_from(after)
        if is_news and asyncio.get_running_loop().time() >= self._primary_until:
            page = (await self._look(stream, after, limit, replica=True)).page(after)
            behind = End(page.head, page.closed).order < end.order if end else False
            if page.events and not page.truncated and not behind:
                return page
            self._primary_until = asyncio.get_running_loop().time() + LAGGING_SECONDS
        page = (await self._look(stream, after, limit)).page(after)
        self._remember(stream, End(page.head, page.closed))
        return page

    async def describe(self, stream: str) -> Extent:
        return (await self._look(stream, None, 0)).extent

    async def delete(self, stream: str) -> bool:
        reply = await DELETE.run(
            self._commands,
            self._keys(stream, "outline", "events", f"key:{secrets.token_hex(12)}"),
            [self._outline_life(stream), channel_name(stream, self._prefix)],
        )
        before = outline_of(cast(str, reply))
        if before.exists:
            self._moved(stream, End(before.deleted().end))
        return before.exists

    async def ends(self, streams: Collection[str], ping: Collection[str] = ()) -> dict[str, End]:
        """Return the streams' ends, and ping channels: one command. See channel.Ends."""
        names = list(streams)
        keys = [key for name in names for key in self._keys(name, "outline")]
        reply = cast(list[str], await ENDS.run(self._commands, keys, list(ping)))
        outlines = map(outline_of, reply)
        return {
            name: End(outline.end, outline.closed)
            for name, outline in zip(names, outlines, strict=True)
        }

    async def close(self) -> None:
        """Appends that are on their way are told that the store is closed."""
        self._closed = True
        loop = asyncio.get_running_loop()
        own = [group for group in self._groups.values() if group.loop is loop]
        await asyncio.gather(*(group.close() for group in own))

    def _group(self, stream: str) -> Group[Append]:
        """Return what collects the stream's appends in this loop."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        group = self._groups.get(stream)
        if group is None or group.loop is not asyncio.get_running_loop():
            if len(self._groups) >= MAX_GROUPS:
                self._groups = {
                    name: other for name, other in self._groups.items() if other.is_needed
                }
            commit = partial(self._commit, stream)
            group = self._groups[stream] = Group(
                commit, Room, width=MAX_GROUPS_AT_ONCE, crowd_bytes=MAX_GROUP_BYTES // 2
            )
        return group

    async def _commit(self, stream: str, calls: list[Append]) -> None:
        retention = self._retention.of(stream)
        reply = await APPEND.run(
            self._commands,
            self._keys(stream, "outline", "events", *(f"key:{call.name}" for call in calls)),
            [
                instant(self._clock),
                retention.max_events,
                milliseconds(retention.max_seconds),
                MAX_STREAM_BYTES,
                self._outline_life(stream),
                channel_name(stream, self._prefix),
                *chain.from_iterable(call.words for call in calls),
            ],
        )
        results = cast(list[tuple[str, str]], reply)
        verdicts = [
            call.verdict(word, text) for call, (word, text) in zip(calls, results, strict=True)
        ]
        for verdict in verdicts:
            if isinstance(verdict, Appended) and not verdict.repeated:
                self._moved(stream, End(verdict.cursor, verdict.closed))
        for call, verdict in zip(calls, verdicts, strict=True):
            finish(call, verdict)

    async def _look(
        self, stream: str, after: Cursor | None, limit: int, *, replica: bool = False
    ) -> "_Look":
        retention = self._retention.of(stream)
        position = after or Cursor(0, 0)
        reply = await READ.run(
            self._commands,
            self._keys(stream, "outline", "events"),
            [
                instant(self._clock),
                retention.max_events,
                milliseconds(retention.max_seconds),
                position.generation,
                position.sequence,
                position.proof,
                limit,
                MAX_PAGE_BYTES,
            ],
            replica=replica,
        )
        text, floor, own, first, events = cast(tuple[str, int, int, int, list[str]], reply)
        outline = outline_of(text)
        return _Look(outline, outline.extent(floor), own, first, events)

    def _keys(self, stream: str, *parts: str) -> list[str]:
        return [f"{self._prefix}lastevent:{{{stream}}}:{part}" for part in parts]

    def _outline_life(self, stream: str) -> int:
        return milliseconds(self._retention.of(stream).max_seconds + EXTENT_SECONDS)

    def _known(self, stream: str) -> End | None:
        """Return the newest end that this process has been told or has seen."""
        ends = (self.hints.known(stream), self._ends.get(stream))
        return max((end for end in ends if end), key=lambda end: end.order, default=None)

    def _moved(self, stream: str, end: End) -> None:
        self._remember(stream, end)
        self.hints.moved(stream, end)

    def _remember(self, stream: str, end: End) -> None:
        self._ends[stream] = end
        self._ends.move_to_end(stream)
        if len(self._ends) > MAX_ENDS:
            self._ends.popitem(last=False)


class _Look(NamedTuple):
    """What READ returned."""

    outline: Outline
    extent: Extent
    own: int
    first: int
    events: list[str]

    def page(self, after: Cursor | None) -> Page:
        """Return the page of a reader that asked with ``after``."""
        extent = self.extent
        place = extent.place(after)
        if place.unproven and place.position.proof != self.own:
            place = extent.lost
        start, truncated = place.position, place.truncated
        head, closed = extent.head, extent.closed
        if start != head and self.first > start.sequence + 1:
            # The database has lost events, as after a fail-over: the reader is told.
            start, truncated = Cursor(extent.generation, self.first - 1), True
        if start.sequence == head.sequence:
            return Page((), head, head, head, closed, truncated)
        events = _events(extent.generation, self.first, self.events)
        cursor = Cursor.parse(events[-1].id) if events else start
        return Page(events, start, cursor, head, closed, truncated)


def _events(generation: int, first: int, texts: list[str]) -> tuple[Event, ...]:
    prefix = f"{generation:012x}"  # Cursor.__str__, without making a Cursor of each
    events = []
    for sequence, text in enumerate(texts, first):
        stamp, headers, data = text.split("\n", 2)
        time, proof, type = stamp.split(" ", 2)
        id = f"{prefix}{sequence:010x}{int(proof):04x}"
        if headers:
            events.append(Event(id, type, data, int(time), json.loads(headers)))
        else:
            events.append(Event(id, type, data, int(time)))
    return tuple(events)
