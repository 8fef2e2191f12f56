"""Writing a stream: what waits goes into the next chunk together (group commit).

A call is answered when its chunk is written and the outline's copy after it. The next chunk may be
on its way by then: the chain alone decides, and the copy is written for the newest of what waits.

RULES 10: a writer goes by the end of the chain as it knows it. It looks again when it has known it
for long; and when a write has taken that long (a process was frozen), slots may have expired in
between, so before it answers, it makes sure that its chunk joins the chain.
"""

import asyncio
import random
from collections.abc import Callable, Mapping

from lastevent.core.errors import KeyReused, StoreUnavailable, Transient
from lastevent.stores.base import Appended, Clock, Retention
from lastevent.stores.channel import End
from lastevent.stores.dynamodb.calls import Call, Plan, Verdict, plan
from lastevent.stores.dynamodb.capacity import Item
from lastevent.stores.dynamodb.chain import Chain, Given, Taken
from lastevent.stores.dynamodb.chunk import MAX_BYTES, Chunk, Tip, new_nonce
from lastevent.stores.dynamodb.client import Watch
from lastevent.stores.dynamodb.keys import KeyItem, repeated
from lastevent.stores.group import MAX_GROUP_EVENTS, Group, fail, finish

FRESH_SECONDS = 60.0
"""So long the end of a chain is taken for known. Slots are kept for an hour at least
(table.MARGIN_SECONDS), beyond the retention."""

WINDOW_SECONDS = 0.015
"""The pause before a group while groups have more than one call: fewer, larger chunks."""

MAX_GROUP_KEYS = 20
"""A transaction has at most 100 items (and costs twice as much a KB)."""

MAX_CONFLICTS = 50
CONFLICT_SECONDS = 0.01
"""The longest pause after a second conflict; each further one adds as much. A lost race costs as
much as a won one, so it is better to be late than to lose again."""

type Moment = tuple[float, ...]


class Writer:
    """Writes one stream, in one event loop.

    ``floor`` gives the first sequence of a generation that is kept, as far as this process knows,
    ``recall`` the item of a key, ``moved`` is told each new end.
    """

    def __init__(
        self,
        stream: str,
        chain: Chain,
        retention: Retention,
        clock: Clock,
        *,
        floor: Callable[[int], int],
        moved: Callable[[End], None],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._stream = stream
        self._chain = chain
        self._retention = retention
        self._clock = clock
        self._watch = Watch(clock)
        self._floor = floor
        self._moved = moved
        self._group = Group(self._commit, _Room, pause_seconds=WINDOW_SECONDS)
        self._known: tuple[Tip, Moment] | None = None
        self._written: list[tuple[Tip, dict[Call, Verdict]]] = []
        self._copying: asyncio.Task[None] | None = None

    @property
    def is_needed(self) -> bool:
        """Whether somebody waits for it."""
        is_copying = self._copying is not None and not self.loop.is_closed()
        return is_copying or self._group.is_needed

    async def submit(self, call: Call) -> Appended | bool:
        """Return what becomes of ``call``, or raise it."""
        answer: Appended | bool = await self._group.submit(call)
        return answer

    async def close(self) -> None:
        """End the tasks; who waits is told so."""
        await self._group.close()
        if self._copying is not None:
            self._copying.cancel()
            await asyncio.gather(self._copying, return_exceptions=True)
        for _, verdicts in self._written:
            fail(verdicts, StoreUnavailable("the store is closed"))

    async def _commit(self, calls: list[Call]) -> None:
        """Write the chunk of these calls, wherever the chain ends by now, or refuse them.

        ``proven``: the tip was the end at some time since the calls came. A write that succeeds
        proves it too.
        """
        tip, at, proven = await self._known_tip()
        conflicts = 0
        while calls := [call for call in calls if not call.future.done()]:  # others have gone
            made = plan(tip, calls, self._clock())
            await self._recall(made)
            if not made.admitted:
                if proven:
                    _finish(made.verdicts)
                    break
                tip, at = await self._look()
                proven = True
                continue
            chunk = made.chunk(self._retention, self._floor(made.outline.generation), new_nonce())
            keys = made.keys(self._stream)
            began = self._watch.now()
            try:
                await self._chain.put(self._stream, chunk, keys)
            except Given as given:
                await self._answer(made, given)
                at, proven = began, True
                continue
            except Taken as taken:
                conflicts += 1
                tip, at, proven = await self._after(taken, began, conflicts)
                continue
            if self._watch.since(at) > FRESH_SECONDS and not await self._joins(chunk, keys, began):
                tip, at = await self._look()
                proven = True
                continue
            self._known = chunk.tip, began
            self._written.append((chunk.tip, made.verdicts))
            if self._copying is None:
                self._copying = asyncio.create_task(self._copy(), name="lastevent copies outlines")
            return
        if proven:
            self._known = tip, at

    async def _known_tip(self) -> tuple[Tip, Moment, bool]:
        known, self._known = self._known, None  # for as long as its successor is being written
        if known is not None and self._watch.since(known[1]) < FRESH_SECONDS:
            return *known, False
        return *await self._look(), True

    async def _look(self) -> tuple[Tip, Moment]:
        began = self._watch.now()
        return await self._chain.tip(self._stream), began

    async def _after(self, taken: Taken, began: Moment, conflicts: int) -> tuple[Tip, Moment, bool]:
        """Return where to try next."""
        if conflicts > MAX_CONFLICTS:
            raise Transient("the stream is written by too many at once")
        if taken.chunk is not None and conflicts == 1:
            return taken.chunk.tip, began, False
        await asyncio.sleep(random.uniform(0, CONFLICT_SECONDS * conflicts))
        return *await self._look(), True

    async def _recall(self, made: Plan) -> None:
        """Give the first answer to refused calls whose key has one: it counts before all else."""
        if not made.tip.outline.exists:
            return
        generation = made.tip.outline.generation
        for call, verdict in made.verdicts.items():
            if call.key is not None and isinstance(verdict, Exception):
                item = await self._chain.answered(self._stream, generation, call.key)
                if item is not None:
                    made.verdicts[call] = _repeated(item, call)

    async def _answer(self, made: Plan, given: Given) -> None:
        """Give the first answer to the calls whose keys have one. The tip was the chain's end."""
        generation = made.outline.generation
        for call, item in zip(made.keyed, given.items, strict=True):
            if item is not None and call.key is not None:
                item = item or await self._chain.answered(self._stream, generation, call.key)
                if item is not None:
                    finish(call, _repeated(item, call))

    async def _joins(self, chunk: Chunk, keys: list[KeyItem], began: Moment) -> bool:
        """Return whether the chunk that was just written is part of the chain; if not, remove it.

        Raises Transient where that cannot be told any more: what followed may have expired too.
        """
        if await self._chain.joins(self._stream, chunk):
            return True
        await self._chain.remove(self._stream, chunk, keys)
        if self._watch.since(began) > FRESH_SECONDS:
            raise Transient("the write took too long, and may have been lost")
        return False

    async def _copy(self) -> None:
        try:
            while self._written:
                written, self._written = self._written, []
                tip = written[-1][0]
                calls = [call for _, verdicts in written for call in verdicts]
                try:
                    await self._chain.copy(self._stream, tip)
                except Exception as error:
                    fail(calls, error)
                except asyncio.CancelledError:
                    fail(calls, StoreUnavailable("the store is closed"))
                    raise
                else:
                    # Before the answers: who has one, and then waits, is not to be told this end.
                    self._moved(tip.end)
                    for _, verdicts in written:
                        _finish(verdicts)
        finally:
            self._copying = None


def _finish(verdicts: Mapping[Call, Verdict]) -> None:
    for call, verdict in verdicts.items():
        finish(call, verdict)


class _Room:
    """What is left in a chunk: in bytes, in events, and in keys."""

    def __init__(self) -> None:
        self._bytes = MAX_BYTES
        self._events = MAX_GROUP_EVENTS
        self._keys: set[str] = set()
        self._is_apart = False

    def fits(self, call: Call) -> bool:
        self._bytes -= call.size
        self._events -= call.count
        # Twice the same in one transaction is refused by DynamoDB.
        too_many = call.key is not None and (
            call.key in self._keys or len(self._keys) == MAX_GROUP_KEYS
        )
        is_apart, self._is_apart = self._is_apart or call.is_alone, call.is_alone
        if call.key is not None:
            self._keys.add(call.key)
        return not (self._bytes < 0 or self._events < 0 or too_many or is_apart)


def _repeated(item: Item, call: Call) -> Verdict:
    try:
        return repeated(item, call.said)
    except KeyReused as refusal:
        return refusal
