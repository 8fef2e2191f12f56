"""The outbox: what a change of a record has to tell, written down in the same step as the change.

    change ─► put(record with letters, expect=version) ─► append each letter ─► put(record without)
                                      a crash here ─┴─ or here ─► the next reader, or the sweep

A record and a stream are two writes, and a process may die between them. So the record carries its
letters in the field ``outbox`` until they are in their streams. Each has a key of its own, under
which a stream takes it once, however many tell it (RULES 9): who finds letters in a record tells
them in their order, and takes them off. Keys answer for a day: a record with letters has to be
looked at within it, and the sweep does so every minute.
"""

import json
import logging
import secrets
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any

from lastevent.core.errors import (
    Conflict,
    InvalidRequest,
    KeyReused,
    LastEventError,
    StreamClosed,
    TooLarge,
    Transient,
)
from lastevent.core.event import NewEvent
from lastevent.core.topic import stream_name
from lastevent.stores.base import EventLog, Record, Store

FIELD = "outbox"
"""Of a record's JSON object: a list of letters, absent where there is none."""

MARK_SECONDS = 30.0
"""How long a mark is relied on by who has set it."""

STALE_SECONDS = 120.0
"""A mark that was set longer ago is taken off where there is nothing to tell. Much longer than
MARK_SECONDS: what was about to be written when it was set has been written, or never will be."""

MAX_REMEMBERED = 10_000
MAX_SWEPT = 1000
"""Marks that one sweep looks at; the next one of this process goes on behind them."""

_PAGE = 100
_ATTEMPTS = 20
"""How often letters are taken off a record that others write meanwhile."""

_UNDELIVERABLE = (StreamClosed, TooLarge, KeyReused, InvalidRequest)
"""What no repetition helps against: such a letter would hold back all that follow it."""

log = logging.getLogger("lastevent")


@dataclass(frozen=True, slots=True)
class Letter:
    """Events for one stream, which takes all of them at once.

    Raises InvalidName for what is not a stream's name, InvalidRequest for a letter of no events.
    """

    stream: str
    events: tuple[NewEvent, ...]
    key: str = field(default_factory=lambda: secrets.token_hex(16))

    def __post_init__(self) -> None:
        stream_name(self.stream)
        if not self.events:
            raise InvalidRequest("a letter without events tells nothing")

    @property
    def plain(self) -> dict[str, Any]:
        """What is written of it in a record: JSON."""
        said = [
            [it.type, it.data, *([dict(it.headers)] if it.headers else [])] for it in self.events
        ]
        return {"stream": self.stream, "key": self.key, "events": said}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Letter":
        """Read what ``plain`` gave."""
        return cls(
            plain["stream"], tuple(NewEvent(*said) for said in plain["events"]), plain["key"]
        )


def json_event(type: str, data: Mapping[str, object]) -> NewEvent:
    """Return an event whose data is the compact JSON of ``data``. Raises InvalidEvent."""
    return NewEvent(type, json.dumps(data, ensure_ascii=False, separators=(",", ":")))


def letters_of(value: Mapping[str, Any]) -> tuple[Letter, ...]:
    """Return the letters in a record's JSON object, in their order."""
    return tuple(Letter.of(plain) for plain in value.get(FIELD, ()))


def with_letters(value: Mapping[str, Any], letters: Sequence[Letter]) -> dict[str, Any]:
    """Return a record's JSON object with these letters after those that it has.

    One that it has already is not added again, so that a change may be made anew.
    """
    there = list(value.get(FIELD, ()))
    keys = {plain["key"] for plain in there}
    added = [letter.plain for letter in letters if letter.key not in keys]
    return {**value, FIELD: there + added} if there or added else dict(value)


def without_letters(value: Mapping[str, Any], keys: Container[str]) -> dict[str, Any]:
    """Return a record's JSON object without the letters of these keys."""
    left = [plain for plain in value.get(FIELD, ()) if plain["key"] not in keys]
    others = {name: it for name, it in value.items() if name != FIELD}
    return {**others, FIELD: left} if left else others


async def tell(streams: EventLog, letters: Iterable[Letter]) -> None:
    """Append the letters in their order, each once; return when their streams have them.

    Raises Transient when the store is away: then tell them all again. One that its stream refuses
    for good, as a closed one does, is passed over, and the log says so.
    """
    for letter in letters:
        try:
            await streams.append(letter.stream, letter.events, key=letter.key)
        except _UNDELIVERABLE as error:
            log.warning("%s does not take what it was to be told: %s", letter.stream, error)


class Outbox:
    """The letters in the records of one kind.

    The records' values are JSON objects. Marks, by which the sweep finds records with letters, are
    records of a kind of their own. Belongs to one event loop.
    """

    def __init__(self, store: Store, kind: str) -> None:
        self._streams = store.log
        self._records = store.records
        self._kind = kind
        self._marks = f"{kind}-untold"
        self._marked: dict[str, float] = {}
        self._swept_to = ""

    async def mark(self, id: str) -> None:
        """Have the sweep look at a record; to be called before letters are written into it.

        A mark that this process set less than MARK_SECONDS ago is good for this one too.
        """
        now = monotonic()
        if now - self._marked.get(id, -MARK_SECONDS) < MARK_SECONDS:
            return
        await self._records.put(self._marks, id, "")
        self._marked.pop(id, None)
        if len(self._marked) >= MAX_REMEMBERED:
            self._marked.pop(next(iter(self._marked)))
        self._marked[id] = now

    async def deliver(self, record: Record) -> Record:
        """Tell what is in a record, and take it off; return the record as it is then.

        A record without letters is returned as it is, and costs nothing. Others may write it
        meanwhile: what they have added is left for them to tell. Raises Transient.
        """
        letters = letters_of(json.loads(record.value))
        if not letters:
            return record
        await self.carry_out(record, letters)
        keys = {letter.key for letter in letters}
        for _ in range(_ATTEMPTS):
            before = json.loads(record.value)
            after = without_letters(before, keys)
            if after == before:
                return record
            text = json.dumps(after, ensure_ascii=False, separators=(",", ":"))
            with suppress(Conflict):
                return await self._records.put(self._kind, record.id, text, expect=record.version)
            newer = await self._records.get(self._kind, record.id)
            if newer is None:
                return record
            record = newer
        raise Transient("this record is written by too many at once")

    async def carry_out(self, record: Record, letters: Sequence[Letter]) -> None:
        """Do what the letters of a record stand for: have them told, before they are taken off.

        A kind of record from whose change more follows does that here too; it may be done again.
        """
        await tell(self._streams, letters)

    async def sweep(self) -> list[str]:
        """Tell what is left in marked records; return the ids of those that had something.

        One that fails stops nothing else; raises Transient at the end if any did.
        """
        told: list[str] = []
        failed: LastEventError | None = None
        for _ in range(0, MAX_SWEPT, _PAGE):
            marks = await self._records.query(self._marks, after=self._swept_to, limit=_PAGE)
            for mark in marks:
                try:
                    if await self._sweep(mark):
                        told.append(mark.id)
                except Transient as error:
                    failed = error
            self._swept_to = marks[-1].id if len(marks) == _PAGE else ""
            if not self._swept_to:
                break
        if failed is not None:
            raise Transient(f"not all {self._kind} could be told of: {failed}") from failed
        return told

    async def _sweep(self, mark: Record) -> bool:
        record = await self._records.get(self._kind, mark.id)
        had = record is not None and bool(letters_of(json.loads(record.value)))
        if record is not None and had:
            await self.deliver(record)
        elif time() - mark.updated / 1000 > STALE_SECONDS:
            with suppress(Conflict):  # it was set anew
                await self._records.delete(self._marks, mark.id, expect=mark.version)
        return had
