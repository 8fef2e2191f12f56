"""A deployment's build log as a source.

The API is polled, and not followed: the vendor's own follower ends when READY comes before the last
lines, and tells the lines of a millisecond twice after a reconnect. Here every poll overlaps what
was told, what was told is known by its id, and the log is read on after the end of the deployment
until nothing more comes.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from time import time
from typing import Protocol

from lastevent.sources.base import Batch, Replays
from lastevent.sources.vercel.api import VercelApi
from lastevent.sources.vercel.events import LogEvent, parse_events
from lastevent.sources.vercel.progress import Took
from lastevent.sources.vercel.snapshot import ENDING, Snapshot
from lastevent.sources.vercel.telling import Telling


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the API is asked, and when a log is whole. In seconds.

    ``poll`` lies between two polls of the log, ``look`` between two looks at the state. A log is
    whole when the deployment is over and ``quiet_polls`` polls in ``quiet`` seconds brought
    nothing; in ``announced`` seconds if its last line ends in an ellipsis, as "Creating build
    cache..." does. ``drain`` after the end it is taken as it is. Of a deployment that has been over
    for ``old``, one quiet poll is enough.
    """

    poll: float = 1.0
    look: float = 2.5
    quiet_polls: int = 3
    quiet: float = 5.0
    announced: float = 25.0
    drain: float = 90.0
    old: float = 120.0


class Ledger(Protocol):
    """Who keeps what is known of deployments and projects. Nothing of it raises."""

    async def note(self, now: Snapshot) -> None:
        """Take note of a deployment's state."""
        ...

    async def last_took(self, project: str) -> Took | None:
        """Return what the project's last successful build took."""
        ...

    async def note_took(self, project: str, took: Took) -> None:
        """Take note of what a successful build took."""
        ...


class DeploymentLog:
    """The log of the deployment ``id``: sources.base.Source."""

    replays: Replays = "full"

    def __init__(self, api: VercelApi, id: str, ledger: Ledger, pace: Pace = Pace()) -> None:
        self._api = api
        self._id = id
        self._ledger = ledger
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._now: Snapshot | None = None
        self._took: Took | None = None
        self._looked_at = 0.0
        self._over_at: float | None = None
        self._newest_at = self._loop.time()
        self._newest: LogEvent | None = None
        self._quiet_polls = 0

    async def read(self, position: str | None) -> AsyncGenerator[Batch]:
        """As sources.base.Source has it: ends when the deployment is over and its log is whole."""
        telling = Telling.parse(position)
        self._go_on(telling)
        while True:
            polled_at = self._loop.time()
            now = await self._state()
            is_over = self._over_at is not None  # before the log was asked for
            events = parse_events(await self._api.events(self._id, telling.window.since))
            fresh = telling.window.fresh(events)
            if any(event.tells_state for event in fresh):
                now = await self._look()
            self._count(events, fresh, is_over)
            if fresh:
                telling.news = _now()
            if self._over_at is None:
                telling.over = None
            elif telling.over is None:
                telling.over = _now()
            quiet_seconds = self._loop.time() - self._newest_at
            told = False
            for batch in telling.batches(fresh, now, self._took, quiet_seconds):
                yield batch
                told = True
            if is_over and self._is_whole(now):
                lost = not events and self._was_there(telling, now)
                if now.ready_state == "READY" and not lost:
                    await self._note_took(telling, now)
                yield telling.last(now, lost=lost)
                return
            if not told:
                yield Batch()
            await asyncio.sleep(max(0.0, polled_at + self._pace.poll - self._loop.time()))

    def _go_on(self, telling: Telling) -> None:
        """Count on from where another left off: among pumps that live for seconds only, none would
        see enough of silence."""
        if telling.news is not None:
            self._newest_at = min(self._newest_at, self._loop_time(telling.news))
        if telling.over is not None:
            over_at = self._loop_time(telling.over)
            self._over_at = over_at if self._over_at is None else min(self._over_at, over_at)

    def _loop_time(self, unix_ms: int) -> float:
        return self._loop.time() - max(time() - unix_ms / 1000, 0.0)

    async def _state(self) -> Snapshot:
        """Return the deployment's state, asked for if it may have changed."""
        due = self._looked_at + self._pace.look
        if self._now is None or (self._over_at is None and self._loop.time() >= due):
            return await self._look()
        return self._now

    async def _look(self) -> Snapshot:
        before, self._now = self._now, await self._api.deployment(self._id)
        self._looked_at = self._loop.time()
        if self._now.ready_state in ENDING:
            self._over_at = self._over_at or self._looked_at
        else:
            self._over_at = None
        if before is None and self._now.project is not None:
            self._took = await self._ledger.last_took(self._now.project)
        if before != self._now:
            await self._ledger.note(self._now)
        return self._now

    def _count(self, events: list[LogEvent], fresh: list[LogEvent], is_over: bool) -> None:
        """Count the polls since the end that brought nothing."""
        for event in events:
            if not event.tells_state:
                self._newest = event
        if fresh:
            self._newest_at = self._loop.time()
            self._quiet_polls = 0
        elif is_over:
            self._quiet_polls += 1

    def _is_whole(self, now: Snapshot) -> bool:
        assert self._over_at is not None
        pace, loop_time = self._pace, self._loop.time()
        if loop_time - self._over_at >= pace.drain:
            return True
        if self._is_old(now):
            return self._quiet_polls >= 1
        announced = self._newest is not None and (self._newest.text or "").rstrip().endswith("...")
        quiet = pace.announced if announced and now.ready_state == "READY" else pace.quiet
        silent = loop_time - max(self._newest_at, self._over_at)
        return self._quiet_polls >= pace.quiet_polls and silent >= quiet

    def _is_old(self, now: Snapshot) -> bool:
        """Whether it has been over for long, by the vendor's clock and ours: minutes apart, they
        only choose how long to wait."""
        newest = 0 if self._newest is None else self._newest.date
        # Not all that ended say when.
        ended = max(now.ended or now.created or 0, newest)
        return time() - ended / 1000 >= self._pace.old

    def _was_there(self, telling: Telling, now: Snapshot) -> bool:
        """Whether a log that is empty now had something in it, or must have had."""
        if telling.progress.lines or now.ready_state == "READY":
            return True
        return now.ready_state == "ERROR" and self._is_old(now)

    async def _note_took(self, telling: Telling, now: Snapshot) -> None:
        took = Took(telling.progress.seconds, telling.progress.lines)
        if now.project is not None and took.lines:
            await self._ledger.note_took(now.project, took)


def _now() -> int:
    return int(time() * 1000)
