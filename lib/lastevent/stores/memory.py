"""``memory://``: the whole contract in one process's memory, for tests and development.

It lives and dies with its process, and belongs to one event loop at a time. Everything happens at
once, without a suspension, so each call is atomic by itself.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from lastevent.core.cursor import MAX_PROOF, Cursor
from lastevent.core.errors import ConfigError, Conflict, KeyReused
from lastevent.core.event import Event, NewEvent, digest
from lastevent.core.extent import Extent
from lastevent.stores.base import (
    EXTENT_SECONDS,
    KEY_SECONDS,
    Appended,
    Clock,
    Lease,
    Page,
    Record,
    Retention,
    RetentionRules,
    Store,
)
from lastevent.stores.outline import Outline, check_append

SWEEP_SECONDS = 60.0
"""How often streams that nobody appends to are looked through for what has expired."""


def open_url(url: str, retention: RetentionRules, clock: Clock) -> Store:
    """Return a new store; raise ConfigError if the URL says more than ``memory://``."""
    if url != "memory://":
        raise ConfigError("write memory:// alone: a store in memory has no name")
    wakeup = MemoryWakeup()
    log = MemoryLog(retention, clock, wakeup)
    wakeup.log = log
    return Store(
        name="memory",
        log=log,
        wakeup=wakeup,
        leases=MemoryLeases(clock),
        records=MemoryRecords(clock),
        prepare=_nothing,
        close=_nothing,
        durable=False,
        shared=False,
    )


async def _nothing() -> None:
    """There is nothing to create and nothing to close."""


@dataclass(slots=True)
class _Answer:
    """What a key was answered, and when."""

    said: bytes
    appended: Appended
    time: float


@dataclass(slots=True)
class _Stream:
    """``events`` begins at the outline's floor; ``keys`` is in the order of their times."""

    retention: Retention
    outline: Outline = Outline()
    events: list[Event] = field(default_factory=list)
    keys: dict[str, _Answer] = field(default_factory=dict)
    touched: float = 0.0


class MemoryLog:
    """base.EventLog."""

    def __init__(self, retention: RetentionRules, clock: Clock, wakeup: "MemoryWakeup") -> None:
        self._retention = retention
        self._clock = clock
        self._wakeup = wakeup
        self._streams: dict[str, _Stream] = {}
        self._sweep_at = 0.0

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
        now = self._clock()
        self._sweep(now)
        it = self._trimmed(stream)
        said = digest(events, close) if key is not None else b""
        if key is not None and (answer := it.keys.get(key)) is not None:
            if answer.said != said:
                raise KeyReused("this idempotency key came before, with other events")
            return answer.appended._replace(repeated=True)
        it.outline.admit(len(events), expect, fence)

        proof = random.randint(1, MAX_PROOF)
        before = it.outline
        now_ms = int(now * 1000)
        after = before.appended(len(events), proof, now_ms, fence, close, bookmark)
        sequences = range(after.head - len(events) + 1, after.head + 1)
        ids = tuple(str(Cursor(after.generation, sequence, proof)) for sequence in sequences)
        it.outline = after
        it.touched = now
        it.events += [
            Event(id, new.type, new.data, after.time, new.headers)
            for id, new in zip(ids, events, strict=True)
        ]
        self._streams[stream] = it
        if len(it.events) > it.retention.max_events:
            self._trim(it, now)
        appended = Appended(ids, after.end, after.closed)
        if key is not None:
            it.keys[key] = _Answer(said, appended, now)
        self._wakeup.moved(stream)
        return appended

    async def read(self, stream: str, after: Cursor | None, limit: int = 500) -> Page:
        it = self._trimmed(stream)
        extent = it.outline.extent(it.outline.floor)
        place = extent.place(after)
        if place.unproven:
            own = it.events[place.position.sequence - extent.floor]
            if own.id != str(place.position):
                place = extent.lost
        head = extent.head
        if place.position == head:
            return Page((), head, head, head, extent.closed, place.truncated)
        skipped = place.position.sequence + 1 - extent.floor
        events = tuple(it.events[skipped : skipped + limit])
        cursor = Cursor.parse(events[-1].id) if events else place.position
        return Page(events, place.position, cursor, head, extent.closed, place.truncated)

    async def describe(self, stream: str) -> Extent:
        outline = self._trimmed(stream).outline
        return outline.extent(outline.floor)

    async def delete(self, stream: str) -> bool:
        it = self._streams.get(stream)
        if it is None or not it.outline.exists:
            return False
        self._streams[stream] = _Stream(it.retention, it.outline.deleted(), touched=self._clock())
        self._wakeup.moved(stream)
        return True

    def end(self, stream: str) -> tuple[Cursor, bool]:
        """Return the position of a log's end, and whether it is closed."""
        it = self._streams.get(stream)
        outline = Outline() if it is None else it.outline
        return outline.end, outline.closed

    def _trimmed(self, stream: str) -> _Stream:
        it = self._streams.get(stream)
        if it is None:
            return _Stream(self._retention.of(stream))
        self._trim(it, self._clock())
        return it

    def _trim(self, it: _Stream, now: float) -> None:
        """Remove what the retention does not keep, and keys of yesterday."""
        outline = it.outline
        floor = outline.first_kept(it.retention, now, lambda n: it.events[n - outline.floor].time)
        if floor > outline.floor:
            del it.events[: floor - outline.floor]
            it.outline = outline._replace(floor=floor)
        while it.keys and (key := next(iter(it.keys))):
            if it.keys[key].time + KEY_SECONDS > now:
                break
            del it.keys[key]

    def _sweep(self, now: float) -> None:
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_SECONDS
        for stream, it in list(self._streams.items()):
            self._trim(it, now)
            kept = it.retention.max_seconds + EXTENT_SECONDS
            if it.touched + kept < now:
                del self._streams[stream]


class MemoryWakeup:
    """base.Wakeup: an append wakes those who wait for its stream."""

    log: MemoryLog

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[str]]] = defaultdict(set)

    async def rest(self) -> None:
        """Nothing runs while nobody waits."""

    async def wait(self, cursors: Mapping[str, Cursor], timeout: float) -> frozenset[str]:
        moved = frozenset(name for name in cursors if self._differs(name, cursors[name]))
        if moved:
            return moved
        future = asyncio.get_running_loop().create_future()
        for name in cursors:
            self._waiting[name].add(future)
        try:
            async with asyncio.timeout(timeout):
                return frozenset({await future})
        except TimeoutError:
            return frozenset()
        finally:
            for name in cursors:
                self._waiting[name].discard(future)
                if not self._waiting[name]:
                    del self._waiting[name]

    def moved(self, stream: str) -> None:
        """Wake everybody who waits for ``stream``."""
        for future in self._waiting.get(stream, ()):
            if not future.done():
                future.set_result(stream)

    def _differs(self, stream: str, cursor: Cursor) -> bool:
        end, closed = self.log.end(stream)
        return closed or end != cursor


class MemoryLeases:
    """base.Leases. Tokens count up over all names, so that no name's token ever comes again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, tuple[Lease, float]] = {}
        self._token = 0

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        now = self._clock()
        for other, (_, until) in list(self._held.items()):
            if until <= now:
                del self._held[other]
        if name in self._held:
            lease, _ = self._held[name]
            if lease.holder != holder:
                return None
        else:
            self._token += 1
            lease = Lease(name, holder, self._token)
        self._held[name] = lease, now + seconds
        return lease

    async def renew(self, lease: Lease, seconds: float) -> bool:
        now = self._clock()
        held, until = self._held.get(lease.name, (None, 0.0))
        if held != lease or until <= now:
            return False
        self._held[lease.name] = lease, now + seconds
        return True

    async def release(self, lease: Lease) -> None:
        if self._held.get(lease.name, (None, 0.0))[0] == lease:
            del self._held[lease.name]


class MemoryRecords:
    """base.Records."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kinds: dict[str, dict[str, tuple[Record, float | None]]] = defaultdict(dict)

    async def get(self, kind: str, id: str) -> Record | None:
        return self._living(kind).get(id)

    async def put(
        self,
        kind: str,
        id: str,
        value: str,
        *,
        expect: int | None = None,
        seconds: float | None = None,
    ) -> Record:
        now = self._clock()
        version = self._version(kind, id, expect)
        record = Record(kind, id, version + 1, value, int(now * 1000))
        self._kinds[kind][id] = record, None if seconds is None else now + seconds
        return record

    async def query(
        self, kind: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> list[Record]:
        living = self._living(kind)
        found: Iterable[str] = sorted(id for id in living if id.startswith(prefix) and id > after)
        return [living[id] for id in islice(found, limit)]

    async def delete(self, kind: str, id: str, *, expect: int | None = None) -> bool:
        version = self._version(kind, id, expect)
        self._kinds[kind].pop(id, None)
        return version > 0

    def _version(self, kind: str, id: str, expect: int | None) -> int:
        """Return the version that is there, 0 for none; raise Conflict for another expectation."""
        record = self._living(kind).get(id)
        version = record.version if record else 0
        if expect is not None and expect != version:
            raise Conflict(f"the document has version {version}, not {expect}")
        return version

    def _living(self, kind: str) -> dict[str, Record]:
        """Return the documents of a kind, after those that expired have been removed."""
        now = self._clock()
        documents = self._kinds[kind]
        for id, (_, until) in list(documents.items()):
            if until is not None and until <= now:
                del documents[id]
        return {id: record for id, (record, _) in documents.items()}
