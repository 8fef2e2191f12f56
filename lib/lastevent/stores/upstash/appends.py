"""Appends on their way into a script: what it is told of each, and what its answers mean."""

import asyncio
import json
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from lastevent.core.cursor import MAX_PROOF, Cursor
from lastevent.core.errors import KeyReused, LastEventError, StoreUnavailable
from lastevent.core.event import NewEvent, digest
from lastevent.stores.base import Appended
from lastevent.stores.group import MAX_GROUP_EVENTS
from lastevent.stores.outline import Outline
from lastevent.stores.upstash.commands import Word

MAX_GROUP_BYTES = 32 * 1024
"""Data of appends that go together. What is larger gains little by sharing a command, and loses by
waiting; and it stays well below the 10 MB that Upstash takes in one request."""

MAX_GROUP_CALLS = 128
"""While its script runs, the database does nothing else."""


@dataclass(frozen=True, slots=True, eq=False)
class Append:
    """One append. ``name`` is that of its answer (scripts), ``words`` what the script is told."""

    future: asyncio.Future[Appended | Exception]
    name: str
    words: Sequence[Word]
    count: int
    size: int
    expect: Cursor | None
    fence: int | None

    @classmethod
    def of(
        cls,
        events: Sequence[NewEvent],
        key: str | None,
        expect: Cursor | None,
        fence: int | None,
        close: bool,
        bookmark: str | None,
    ) -> "Append":
        """Return what stands for an append with these arguments (base.EventLog.append)."""
        nonce = secrets.token_hex(12)
        texts = [_text(event) for event in events]
        words: list[Word] = [
            nonce,
            "-" if key is None else digest(events, close).hex(),
            "" if expect is None else str(expect),
            "" if fence is None else fence,
            int(close),
            random.randint(1, MAX_PROOF),
            "" if bookmark is None else f"={bookmark}",
            len(texts),
            *texts,
        ]
        return cls(
            asyncio.get_running_loop().create_future(),
            nonce if key is None else blake2b(key.encode(), digest_size=16).hexdigest(),
            words,
            len(texts),
            sum(map(len, texts)) + len(bookmark or ""),
            expect,
            fence,
        )

    def verdict(self, word: str, text: str) -> Appended | Exception:
        """Return what the script's answer says: what was appended, or the error to raise."""
        if word == "reused":
            return KeyReused("this idempotency key came before, with other events")
        if word == "refused":
            try:
                outline_of(text).admit(self.count, self.expect, self.fence)
            except LastEventError as refusal:
                return refusal
            return StoreUnavailable("the database refused what its outline admits")
        generation, head, proof, closed, count = map(int, text.split())
        cursor = Cursor(generation, head, proof)
        return Appended.up_to(cursor, count, bool(closed), repeated=word == "again")


class Room:
    """What is left in a group."""

    def __init__(self) -> None:
        self._calls = MAX_GROUP_CALLS
        self._events = MAX_GROUP_EVENTS
        self._bytes = MAX_GROUP_BYTES

    def fits(self, call: Append) -> bool:
        self._calls -= 1
        self._events -= call.count
        self._bytes -= call.size
        return min(self._calls, self._events, self._bytes) >= 0


def outline_of(text: str) -> Outline:
    """Return the outline that a script returned; '' is that of a stream that never existed."""
    if not text:
        return Outline()
    numbers, line_end, bookmark = text.partition("\n")
    exists, generation, previous, floor, head, proof, time, closed, fence, _ = map(
        int, numbers.split()
    )
    return Outline(
        bool(exists),
        generation,
        previous,
        floor,
        head,
        proof,
        time,
        bool(closed),
        fence,
        bookmark if line_end else None,
    )


def _text(event: NewEvent) -> str:
    """Return an event as it is stored, less time and proof. A type holds no line end."""
    headers = ""
    if event.headers:
        headers = json.dumps(dict(event.headers), ensure_ascii=False, separators=(",", ":"))
    return f"{event.type}\n{headers}\n{event.data}"
