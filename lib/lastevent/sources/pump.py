"""The pump: moves a source into its stream, inside whatever invocation holds the lease.

What it must know to go on where another left off lies in the stream's bookmark, written in one step
with the events (RULES 15): the source's own position, and the pump's Place beside it. Events of its
own, beside the source's:

    upstream   {"state": "lost", "error", "time"} and later {"state": "back", "time"}; of a source
               that can tell everything again only for an absence of PROVEN_SECONDS or more
    gap        {"from", "to"}: what happened upstream between these times may be missing. Said when
               another pump took over, or the connection came back, of a source that cannot tell
               everything again (RULES 16)
    failure    {"error", "time"}: the last one, with which the stream is closed

All times are in Unix ms.
"""

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Awaitable
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from time import time

from lastevent.core.errors import (
    Fenced,
    InvalidRequest,
    LastEventError,
    StreamClosed,
    TooLarge,
    Transient,
    UpstreamLost,
    UpstreamRefused,
)
from lastevent.core.event import NewEvent
from lastevent.sources.base import Batch, Source
from lastevent.sources.host import Host

log = logging.getLogger("lastevent")

LONGEST_SECONDS = 24 * 3600.0
"""An end for every source: who is not done by then is given up."""

UPSTREAM_PATIENCE_SECONDS = 900.0
"""An upstream that has been away for so long is given up."""

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 30.0
PROVEN_SECONDS = 5.0
"""A connection that lasted so long begins to count failures anew. One that ends at once may answer
first, again and again. A shorter absence of what can be told again is not told."""

LEAVE_SECONDS = 1.0
"""How long the last word of a halted pump may take."""

FAILURE = "failure"
"""The type of the event that tells why a stream ends."""

DEFECT = "This source failed in a way that nobody foresaw; it has been logged."


@dataclass(frozen=True, slots=True)
class Place:
    """How far a source has been pumped. Times in Unix ms.

    ``began``: when its first pump did. ``seen``: when the upstream was last known to be connected
    and everything it had said stored; None if it never was. ``lost``: when the stream was told that
    it is away; None if it is not. ``wait``: until when it asked to be left alone. ``at``: the
    source's own position.
    """

    began: int
    seen: int | None = None
    lost: int | None = None
    wait: int | None = None
    at: str | None = None

    @classmethod
    def parse(cls, bookmark: str | None) -> "Place | None":
        """Read what ``text`` gave; None if there was no pump before."""
        return None if bookmark is None else cls(**json.loads(bookmark))

    @property
    def text(self) -> str:
        """The stream's bookmark."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(known, separators=(",", ":"))


_END = Batch(over=True)
"""Not given to anext as its default: CPython 3.12 spoils one that is a tuple."""


class _Halted(Exception):
    """``halt`` interrupted a wait."""


class Pump:
    """Pumps ``source`` through ``host``, which has acquired its lease and found ``bookmark``.

    ``longest_seconds``: when the source is given up, counted from its first pump, whoever that was;
    None if it has an end of its own.
    ``patience_seconds``: when an upstream that is away is given up.
    """

    def __init__(
        self,
        host: Host,
        source: Source,
        bookmark: str | None,
        *,
        longest_seconds: float | None = LONGEST_SECONDS,
        patience_seconds: float = UPSTREAM_PATIENCE_SECONDS,
    ) -> None:
        self.replays = source.replays
        self._host = host
        self._source = source
        self._longest = longest_seconds
        self._patience = patience_seconds
        self._place = Place.parse(bookmark) or Place(_now())
        self._loop = asyncio.get_running_loop()
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._heard_at = self._loop.time()
        self._away_since = self._heard_at
        self._connected_at: float | None = None
        self._task: asyncio.Task[object] | None = None
        self._interruptible = False
        self._halted = False
        self._too_old = False

    def halt(self) -> None:
        """Have ``run`` return soon: what has been read is stored, and nothing more is read."""
        self._halted = True
        if self._interruptible and self._task is not None:
            self._interruptible = False
            self._task.cancel()

    async def run(self) -> bool:
        """Pump until the source is at its end; return whether it is.

        It is not when the pump was halted, or has lost its lease. Releases the lease. Raises
        Transient when the store stays away.
        """
        self._task = asyncio.current_task()
        age: asyncio.TimerHandle | None = None
        if self._longest is not None:
            left = self._place.began / 1000 + self._longest - time()
            age = self._loop.call_later(max(left, 0), self._grow_old)
        try:
            async with self._host.holding(self.halt):
                return await self._run()
        except Fenced:
            return False
        except StreamClosed:
            return True
        finally:
            if age is not None:
                age.cancel()

    async def _run(self) -> bool:
        with contextlib.suppress(_Halted):
            while not self._halted:
                try:
                    await self._wait()
                    if await self._read():
                        return True
                except UpstreamLost as error:
                    if await self._lose(error):
                        return True
                except UpstreamRefused as error:
                    return await self._fail(str(error))
                except (InvalidRequest, TooLarge) as error:
                    log.exception("what the source of %s gives cannot be stored", self._host.stream)
                    return await self._fail(f"What the source gives cannot be stored: {error}.")
        if self._too_old:
            assert self._longest is not None
            return await self._fail(f"It was given up after {self._longest / 3600:g} hours.")
        await self._leave()
        return False

    # The source.

    async def _read(self) -> bool:
        """Read the source and store what it gives; return whether it is at its end."""
        self._connected_at = None
        async with aclosing(self._source.read(self._place.at)) as batches:
            while not self._halted:
                try:
                    batch = await self._interruptibly(anext(batches, None)) or _END
                except (LastEventError, _Halted):
                    raise
                except Exception as error:
                    log.exception("the source of %s failed", self._host.stream)
                    raise UpstreamLost(DEFECT) from error
                await self._store(batch)
                if batch.over:
                    return True
        return False

    async def _wait(self) -> None:
        """Wait as long as failures and the upstream itself ask for."""
        pause = 0.0
        if self._failures:
            pause = self._pause * random.uniform(0.5, 1.0)
        if self._place.wait is not None:
            # Not all that were told to wait come at the same moment.
            asked = self._place.wait / 1000 - time()
            pause = max(pause, asked + random.uniform(0, FIRST_PAUSE))
        if pause > 0:
            await self._interruptibly(asyncio.sleep(pause))

    async def _interruptibly[T](self, wait: Awaitable[T]) -> T:
        """Await what ``halt`` may interrupt; raise _Halted if it did."""
        assert self._task is not None
        self._interruptible = True
        try:
            return await wait
        except asyncio.CancelledError:
            ours = self._halted and not self._interruptible
            if ours and self._task.uncancel() == 0:
                raise _Halted from None
            raise
        finally:
            self._interruptible = False

    def _grow_old(self) -> None:
        self._too_old = True
        self.halt()

    # The stream.

    async def _store(self, batch: Batch) -> None:
        before = self._place
        place = replace(before, seen=_now(), at=batch.position or before.at)
        if self._connected_at is None:
            self._connected_at = self._loop.time()
            place = replace(place, lost=None)
            if own := self._said_on_connecting(place):
                await self._host.append(own, bookmark=replace(place, at=before.at).text)
            elif self.replays != "full" and not (batch.events or batch.over):
                await self._host.append([], bookmark=place.text)
        elif self._is_proven(batch):
            self._failures = 0
        if batch.events or batch.over:
            await self._host.append(batch.events, close=batch.over, bookmark=place.text)
        self._place = place
        self._heard_at = self._loop.time()

    def _said_on_connecting(self, now: Place) -> list[NewEvent]:
        before, own = self._place, []
        if before.seen is not None and self.replays != "full":
            own.append(_event("gap", {"from": before.seen, "to": now.seen}))
        if before.lost is not None:
            own.append(_event("upstream", {"state": "back", "time": now.seen}))
        return own

    def _is_proven(self, batch: Batch) -> bool:
        assert self._connected_at is not None
        lasts = self._loop.time() - self._connected_at >= PROVEN_SECONDS
        return lasts or (self.replays == "full" and bool(batch.events))

    async def _lose(self, error: UpstreamLost) -> bool:
        """Take note that the upstream is away; return whether the source is given up."""
        now = _now()
        if not self._failures:
            self._away_since = self._heard_at
        self._pause = min(2 * self._pause, LONGEST_PAUSE) if self._failures else FIRST_PAUSE
        self._failures += 1
        place = self._place
        if error.retry_after is not None:
            place = replace(place, wait=now + int(error.retry_after * 1000))
        own = []
        if place.lost is None and self._is_worth_telling(error):
            place = replace(place, lost=now)
            told = {"state": "lost", "error": str(error), "time": now}
            own.append(_event("upstream", told))
        if place != self._place:
            await self._host.append(own, bookmark=place.text)
            self._place = place
        again_at = max(now, place.wait or 0)
        if place.lost is not None and again_at - place.lost > self._patience * 1000:
            return await self._fail(f"The upstream was away for too long: {error}.")
        return False

    def _is_worth_telling(self, error: UpstreamLost) -> bool:
        """Whether viewers are to know: of what can be told again, a short absence is nothing.

        It lasts from when the upstream was last heard, so that a call that hung counts, until it is
        asked again.
        """
        away = self._loop.time() - self._away_since
        left_alone = max(self._pause / 2, error.retry_after or 0.0)
        return self.replays != "full" or away + left_alone >= PROVEN_SECONDS

    async def _fail(self, reason: str) -> bool:
        await self._host.append([failure(reason, _now())], close=True, bookmark=self._place.text)
        return True

    async def _leave(self) -> None:
        """Tell the next pump up to when the upstream was heard, so that it tells a shorter gap."""
        if self.replays != "full" and self._connected_at is not None:
            with contextlib.suppress(TimeoutError, Transient):
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self._host.append([], bookmark=self._place.text)


def failure(error: str, now_ms: int) -> NewEvent:
    """Return the event that tells why a stream ends, or is about to."""
    return _event(FAILURE, {"error": error, "time": now_ms})


def _event(type: str, said: dict[str, object]) -> NewEvent:
    return NewEvent(type, json.dumps(said, ensure_ascii=False, separators=(",", ":")))


def _now() -> int:
    return int(time() * 1000)
