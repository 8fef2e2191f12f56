"""Appends and deletions on their way into a chunk, and the chunk that a group of them makes.

Nothing here does IO. The calls of a group are judged one after the other against a stream's state
as it grows by them, so each is refused or admitted as if it came alone (RULES 9).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from lastevent.core.cursor import Cursor
from lastevent.core.errors import LastEventError
from lastevent.stores.base import Appended, Retention
from lastevent.stores.dynamodb.chunk import Chunk, Tip, packed
from lastevent.stores.dynamodb.keys import KeyItem
from lastevent.stores.outline import Outline

type Verdict = Appended | bool | Exception
"""What a call is told: an append's answer, whether a deletion found something, or why not."""


@dataclass(slots=True, eq=False)
class Call:
    """An append, or a deletion if ``delete``. ``future`` is what its caller waits for.

    ``heads`` and ``data`` are its ``count`` events (see chunk), all of the same ``proof``; ``said``
    is the digest to which its ``key`` is bound. ``blob`` is given for one that needs a chunk of its
    own.
    """

    future: asyncio.Future[Verdict]
    count: int = 0
    heads: bytes = b""
    data: bytes = b""
    proof: int = 0
    key: str | None = None
    said: bytes = b""
    expect: Cursor | None = None
    fence: int | None = None
    close: bool = False
    bookmark: str | None = None
    delete: bool = False
    blob: bytes | None = None

    @property
    def size(self) -> int:
        """The bytes of its events, before compression."""
        return len(self.heads) + len(self.data) + 1

    @property
    def is_alone(self) -> bool:
        """Whether it makes a chunk by itself."""
        return self.delete or self.blob is not None


@dataclass(slots=True)
class Plan:
    """What becomes of a group at a tip. ``verdicts`` hold once the tip is known to be the end.

    ``admitted`` are the calls that change something, in order; ``outline`` is the state after them.
    """

    tip: Tip
    now_ms: int
    outline: Outline
    verdicts: dict[Call, Verdict] = field(default_factory=dict)
    admitted: list[Call] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many events are appended."""
        return sum(call.count for call in self.admitted)

    def judge(self, call: Call) -> None:
        """Take in one more call."""
        before = self.outline
        if call.delete:
            self.verdicts[call] = before.exists
            if before.exists:
                self.outline = before.deleted()
                self.admitted.append(call)
            return
        try:
            before.admit(call.count, call.expect, call.fence)
        except LastEventError as refusal:
            self.verdicts[call] = refusal
            return
        after = before.appended(
            call.count, call.proof, self.now_ms, call.fence, call.close, call.bookmark
        )
        self.verdicts[call] = Appended.up_to(after.end, call.count, after.closed)
        # A key is remembered with a chunk, though nothing else may have changed.
        if after != before or call.key is not None:
            self.admitted.append(call)
            self.outline = after

    def chunk(self, retention: Retention, floor: int, nonce: str) -> Chunk:
        """Return the chunk of what was admitted. ``floor``: the highest that is known here."""
        outline = self.outline
        if outline.exists:
            floor = max(outline.floor, floor, outline.head - retention.max_events + 1)
            outline = outline._replace(floor=min(floor, outline.head + 1))
        tip = self.tip.followed(outline, self.count, self.now_ms, nonce)
        before = self.tip.outline.proof if self.tip.outline.exists else 0
        blob = self._blob()
        return Chunk(self.tip.next, tip, self.count, before, self.tip.nonce, blob)

    def keys(self, stream: str) -> list[KeyItem]:
        """Return what is to be remembered of the admitted calls that have a key, in order."""
        given = [(call, self.verdicts[call]) for call in self.keyed]
        return [
            KeyItem(stream, self.outline.generation, call.key or "", call.said, verdict)
            for call, verdict in given
            if isinstance(verdict, Appended)
        ]

    @property
    def keyed(self) -> list[Call]:
        """The admitted calls that have a key."""
        return [call for call in self.admitted if call.key is not None]

    def _blob(self) -> bytes:
        for call in self.admitted:
            if call.blob is not None:
                return call.blob
        calls = [call for call in self.admitted if call.count]
        if not calls:
            return b""
        return packed([call.heads for call in calls], [call.data for call in calls])


def plan(tip: Tip, calls: Sequence[Call], now: float) -> Plan:
    """Judge ``calls`` one after the other at ``tip``, at the Unix time ``now``."""
    # No event is older than its stream, whichever process's clock told when that was made.
    now_ms = max(int(now * 1000), tip.born if tip.outline.exists else 0)
    made = Plan(tip, now_ms, tip.outline)
    for call in calls:
        made.judge(call)
    return made
