"""The work behind ``hints``, in one event loop: a timer ticks, a task looks, another listens."""

import asyncio
import logging
import random
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from lastevent.core.errors import Transient
from lastevent.stores.base import Clock
from lastevent.stores.channel import End, Ends, Push, Subscription
from lastevent.stores.watches import Waiter, Watches

log = logging.getLogger("lastevent")

MAX_STREAMS = 10_000
"""Streams in a subscription at most; those beyond it are looked at."""


class Timing(NamedTuple):
    """How often, in seconds. By default an idle minute costs one command, without push about 30.

    ``shortest``, ``growth``, ``longest``: the pauses between looks at what does not stand.
    ``grace``: a new subscription may take so long until its streams are looked at.
    ``safety``: between looks at what stands, and ``pong`` until a ping must have arrived.
    ``linger``: how long a stream without waiters stays watched.
    ``tick``: between glances at the clocks, and ``jump`` how far they may be off.
    ``retry``, ``longest_retry``: the pauses after trouble, of looks never above ``trouble``.
    ``proof``: a subscription that has held so long is tried again soon when it is lost.
    ``look``: what a look may take; a store gives up by itself well before.
    """

    shortest: float = 0.05
    growth: float = 1.5
    longest: float = 2.0
    grace: float = 1.0
    safety: float = 60.0
    pong: float = 5.0
    linger: float = 60.0
    tick: float = 1.0
    jump: float = 3.0
    retry: float = 0.2
    longest_retry: float = 30.0
    trouble: float = 5.0
    proof: float = 10.0
    look: float = 15.0


class Watcher:
    """Watches streams while there are any. It is the channel.Listener of its subscription."""

    def __init__(self, ends: Ends, push: Push | None, timing: Timing, wall: Clock) -> None:
        self.loop = asyncio.get_running_loop()
        self.watches = Watches()
        self._ends = ends
        self._push = push
        self._timing = timing
        self._wall = wall
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._clocks = 0.0, 0.0
        # Looks.
        self._changed = asyncio.Event()
        self._poll_at = self._safety_at = self._rest_until = 0.0
        self._pause = timing.shortest
        self._rest = timing.retry
        # The subscription.
        self._subscription: Subscription | None = None
        self._life = asyncio.Timeout(None)
        self._pushed = push is not None  # it stands, or may be expected to
        self._verdict_at: float | None = None
        self._untold: dict[str, End] = {}

    def enter(self, waiter: Waiter) -> None:
        """Take in ``waiter``, and have its streams watched."""
        watches = self.watches
        if not self._tasks and waiter.cursors:
            self._start()
        added = watches.enter(waiter)
        if not self._pushed:
            watches.fresh.update(added)
        if self._subscription is not None and added:
            self._drop(idle_since=-1.0)
            room = MAX_STREAMS - len(watches) + len(added)
            self._subscription.watch(added[: max(0, room)])
        if any(name in watches.fresh or name in watches.unsure for name in waiter.cursors):
            self._changed.set()

    # channel.Listener.

    def standing(self, streams: Iterable[str]) -> None:
        self._pushed = True
        self._rest_until = 0.0  # the store is there
        self.watches.stand(streams)
        self._changed.set()

    def moved(self, stream: str, end: End) -> None:
        self.watches.tell(stream, end)

    # Beginning and end.

    def _start(self) -> None:
        now = self.loop.time()
        self._clocks = now, self._wall()
        self._safety_at = now + self._timing.safety
        self._timer = self.loop.call_later(self._timing.tick, self._tick)
        self._tasks = [asyncio.create_task(self._look_on(), name="lastevent looks at streams")]
        if self._push is not None:
            hold = self._hold(self._push)
            self._tasks.append(asyncio.create_task(hold, name="lastevent listens to streams"))

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        self._subscription = None

    async def close(self) -> None:
        """End the tasks."""
        self._stop()
        if self._ending:
            await asyncio.wait(self._ending, timeout=self._timing.look)

    def _tick(self) -> None:
        now, wall = self.loop.time(), self._wall()
        passed, by_wall = now - self._clocks[0], wall - self._clocks[1]
        self._clocks = now, wall
        jump = self._timing.jump
        if passed > self._timing.tick + jump or abs(by_wall - passed) > jump:
            self._end_subscription()
            self._fall()
        elif self._verdict_at is not None and now >= self._verdict_at:
            self._judge()
        self._drop(idle_since=now - self._timing.linger)
        if len(self.watches):
            self._timer = self.loop.call_later(self._timing.tick, self._tick)
            if now >= self._safety_at:
                self._changed.set()
        else:
            self._stop()

    def _drop(self, idle_since: float) -> None:
        dropped = self.watches.drop(idle_since, MAX_STREAMS)
        if dropped and self._subscription is not None:
            self._subscription.unwatch(dropped)

    # Looking.

    async def _look_on(self) -> None:
        while True:
            now = self.loop.time()
            self._changed.clear()
            safety = self._pushed and now >= self._safety_at
            due = self._due(now, safety)
            if due:
                await self._look(due, now, safety)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._next()):
                    await self._changed.wait()

    def _due(self, now: float, safety: bool) -> set[str]:
        watches, timing = self.watches, self._timing
        if not watches.waiting or now < self._rest_until:
            return set()
        due = set(watches.fresh)
        if watches.unsure and now >= self._poll_at:
            due.update(watches.to_poll(now - timing.grace if self._pushed else None))
            self._poll_at = now + self._pause
            self._pause = min(self._pause * timing.growth, timing.longest)
        if safety:
            due.update(watches.waited_for())
        return due

    def _next(self) -> float | None:
        """Return when something will be due that nothing announces, if anything will be."""
        watches = self.watches
        if not watches.waiting or not (watches.fresh or watches.unsure):
            return None
        return self._rest_until if watches.fresh else max(self._poll_at, self._rest_until)

    async def _look(self, streams: set[str], now: float, safety: bool) -> None:
        watches, timing = self.watches, self._timing
        fresh = watches.fresh & streams
        before = watches.begin_look(streams)
        subscription = self._subscription if safety else None
        try:
            async with asyncio.timeout(timing.look):
                ping = () if subscription is None else subscription.probe()
                found = await self._ends(streams, ping)
            untold = watches.end_look(before, found, now)
        except Exception as error:
            if not isinstance(error, (Transient, TimeoutError)):
                log.exception("the ends of streams cannot be looked up")
            watches.fail_look(streams, fresh)
            self._rest_until = self.loop.time() + self._rest * random.uniform(0.5, 1.0)
            self._rest = min(2 * self._rest, timing.trouble)
            return
        self._rest = timing.retry
        now = self.loop.time()
        if untold:
            self._pause = timing.shortest
            self._poll_at = now + self._pause
        if safety:
            self._safety_at = now + timing.safety
        if subscription is not None:
            self._verdict_at = now + timing.pong
            self._untold = {name: found[name] for name in untold if name not in fresh}

    # Listening.

    async def _hold(self, push: Push) -> None:
        """Keep a subscription, and make it anew when it is lost."""
        timing = self._timing
        pause = timing.retry
        me = asyncio.current_task()
        assert me is not None
        while True:
            began = self.loop.time()
            subscription = None
            try:
                subscription = push.subscription(self)
                subscription.watch(islice(self.watches, MAX_STREAMS))
                async with asyncio.timeout(None) as self._life:
                    self._subscription = subscription
                    await subscription.run()
            except Exception as error:
                if me.cancelling():
                    pass
                elif isinstance(error, (Transient, TimeoutError)):
                    log.info("streams are looked at, the subscription to them is lost: %s", error)
                else:
                    log.exception("the subscription to streams failed")
            finally:
                if self._subscription is subscription:
                    self._subscription = None
            if me.cancelling():
                # Before Python 3.13, a TaskGroup whose child fails while the group is cancelled
                # raises the failure, and forgets that it was cancelled.
                raise asyncio.CancelledError
            if self._pushed:
                self._fall()
            if self.loop.time() - began > timing.proof:
                pause = timing.retry
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, timing.longest_retry)

    def _judge(self) -> None:
        """Find a subscription dead that has not brought what it should have."""
        self._verdict_at = None
        untold, self._untold = self._untold, {}
        deaf = any(
            (watch := self.watches.get(name)) and watch.stands and not watch.was_told(end)
            for name, end in untold.items()
        )
        if self._subscription is not None and (deaf or not self._subscription.proven):
            self._end_subscription()

    def _end_subscription(self) -> None:
        if self._subscription is not None:
            self._life.reschedule(self.loop.time())
            self._subscription = None  # it may take a moment to end, and does so once

    def _fall(self) -> None:
        """Nothing stands any more: look at once."""
        self._pushed = False
        self._verdict_at = None
        self.watches.fall()
        self._poll_at = 0.0
        self._pause = self._timing.shortest
        self._changed.set()
