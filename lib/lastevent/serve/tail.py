"""Tails: one per stream and process. A tail reads the log once for all its subscribers.

It follows the log from its end: wait, read, keep the newest frames (window), and make a pass over
the live subscribers. A pass serves a few dozen of them between two turns of the event loop, so that
the first do not wait for the last. Where events come faster than passes, the next read is put off,
so that more of them share it, and each send; and publishers get as much time as sends do.

Correctness comes from ``read``; the wake-up only says when (promise 5).
"""

import asyncio
import logging
import random
from collections.abc import Iterator
from itertools import islice
from time import perf_counter, time
from typing import Protocol

from lastevent.core.cursor import Cursor
from lastevent.core.errors import Transient
from lastevent.core.extent import Extent
from lastevent.serve.tally import Tally
from lastevent.serve.window import Run, Types, Window
from lastevent.stores.base import Page, Store

log = logging.getLogger("lastevent")

PAGE_EVENTS = 1000
SAFETY_SECONDS = 600.0
"""The log is read after this long in any case. A wake-up that can lose a hint looks for itself much
sooner, once for all streams (base.Wakeup), which costs less than a read of each."""

LINGER_SECONDS = 30.0
"""How long a tail that nobody uses stays: its subscribers may be between two legs."""

PATIENCE_SECONDS = 3.0
"""Trouble with the store for longer than this ends the legs; they come back later (RULES 18)."""

READY_SECONDS = 10.0
LONGEST_PAUSE = 5.0
SLICE = 64
SPACING = 0.2
"""Between a pass and the next read, of what the pass took, for each event that it brought beyond
one."""

WIDEST_SPACING = 1.0
GATHERING_SECONDS = 0.004
"""At least, after a pass that was shorter or brought several events: few readers share, too."""


class Subscriber(Protocol):
    """What a tail drives. Neither method blocks or raises."""

    def advance(self) -> None:
        """Send what is new."""
        ...

    def trouble(self) -> None:
        """End the leg, since the store is away."""
        ...


class Tail:
    """One stream's end, shared by the subscribers of this process. Belongs to one event loop."""

    def __init__(self, stream: str, store: Store, extent: Extent | None, tally: Tally) -> None:
        self.stream = stream
        self.closed = False
        self.epoch = 0
        """Changes when the log is found to be another than the one that was followed."""
        self._store = store
        self._window = Window(Cursor.after(0))
        self.time = 0
        """When the newest event was appended, in Unix ms; 0: not known."""
        self._ready = asyncio.Event()
        self._wanted = asyncio.Event()
        self._failure: Exception | None = None
        self._live: dict[Subscriber, None] = {}
        self._pass: asyncio.Handle | None = None
        self._dirty = False
        self._due = 0.0
        self._tally = tally
        # The time of the oldest event that no pass has brought to the subscribers, and how many
        # there are; and of those that the present pass brings.
        self._fresh: tuple[int, int] | None = None
        self._passing: tuple[int, int] | None = None
        self._task = asyncio.create_task(self._run(extent), name=f"tail of {stream}")

    @property
    def head(self) -> Cursor:
        """The end of the log, as far as this process knows."""
        return self._window.head

    @property
    def is_over(self) -> bool:
        """Whether it follows the log no more: that is closed, or could not be described."""
        return self._task.done() or self.closed

    @property
    def is_unwatched(self) -> bool:
        """Whether it knows where the end was, and follows it no further."""
        return self._ready.is_set() and not self._wanted.is_set()

    def follow(self) -> None:
        """Follow the log from now on, as it does from the first subscriber that joins."""
        self._wanted.set()

    async def ready(self) -> None:
        """Wait until the log's end is known, and what was put off is read; raise Transient if it
        cannot be had."""
        if not self._ready.is_set():
            try:
                async with asyncio.timeout(READY_SECONDS):
                    await self._ready.wait()
            except TimeoutError as error:
                raise Transient("the store takes too long to answer") from error
        if self._failure is not None:
            raise self._failure

    def run(self, position: Cursor, types: Types) -> Run | None:
        """Return the frames after ``position``, perhaps none; None if the log must be read."""
        return self._window.run(position, types)

    async def read(self, position: Cursor | None) -> Page:
        """Read the log after ``position``, for a subscriber that is not in the window."""
        return await self._store.log.read(self.stream, position, PAGE_EVENTS)

    def join(self, subscriber: Subscriber) -> None:
        """Drive ``subscriber`` from now on."""
        self._live[subscriber] = None
        self._wanted.set()

    def leave(self, subscriber: Subscriber) -> None:
        """Drive ``subscriber`` no longer."""
        self._live.pop(subscriber, None)

    def stop(self) -> None:
        """End it; subscribers are not told."""
        self._task.cancel()
        if self._pass is not None:
            self._pass.cancel()

    # The follower.

    async def _run(self, extent: Extent | None) -> None:
        try:
            if extent is None:
                extent = await self._store.log.describe(self.stream)
            self._window = Window(extent.head)
            self.closed = extent.closed
            self.time = extent.time
            self._ready.set()
            await self._wanted.wait()
            while not self.closed:
                await self._follow()
        except Exception as error:
            if not isinstance(error, Transient):
                log.exception("the tail of %s failed", self.stream)
                error = Transient("the stream cannot be followed now")
            self._failure = error
            self._ready.set()
            self._tell_trouble()

    async def _follow(self) -> None:
        """Wait, then read until the end; on trouble, try again with growing pauses.

        It begins by waiting, since the outline has just told where the end is: the wake-up compares
        that with the log when its watch stands, and a read would only be the same once more.
        """
        loop = asyncio.get_running_loop()
        pause, trouble_since, told = 0.1, None, False
        at_end = True
        while True:
            try:
                if at_end:
                    await self._store.wakeup.wait({self.stream: self.head}, SAFETY_SECONDS)
                    await self._gather()
                page = await self._store.log.read(self.stream, self.head, PAGE_EVENTS)
                self._take(page)
                if self.closed:
                    return
                at_end = page.at_end
                pause, trouble_since, told = 0.1, None, False
            except Transient as error:
                at_end = False  # what was told meanwhile may have been missed
                trouble_since = trouble_since or loop.time()
                if not told and loop.time() - trouble_since > PATIENCE_SECONDS:
                    log.warning("the tail of %s has trouble: %s", self.stream, error)
                    self._tell_trouble()
                    told = True
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _gather(self) -> None:
        """Wait until the next read is due, if somebody shares it; who comes waits for it, too."""
        try:
            while self._live and (delay := self._due - perf_counter()) > 0:
                self._ready.clear()
                await asyncio.sleep(delay)
        finally:
            self._ready.set()

    def _take(self, page: Page) -> None:
        if page.truncated:
            # What the window holds does not join on to this. Subscribers find that their position
            # is not in it any more, and hear from the log what they have lost.
            self._window = Window(page.start)
            self.epoch += 1
        if page.events or page.cursor != self.head:  # a stream may begin without an event
            self._window.extend(page.events, page.cursor)
        if page.events:
            self.time = page.events[-1].time
            self._note(page.events[0].time, len(page.events))
        self.closed = page.closed and page.at_end
        if page.events or page.truncated or self.closed:
            self._changed()

    def _note(self, oldest: int, count: int) -> None:
        if self._fresh is None or self._pass is None:  # nobody waited for those before
            self._fresh = oldest, count
        else:
            self._fresh = self._fresh[0], self._fresh[1] + count

    def _tell_trouble(self) -> None:
        for subscriber in list(self._live):
            subscriber.trouble()

    # Passes over the live subscribers.

    def _changed(self) -> None:
        self._dirty = True
        if self._pass is None and self._live:
            self._begin_pass()

    def _begin_pass(self) -> None:
        self._dirty = False
        self._passing, self._fresh = self._fresh, None
        began = perf_counter()
        # What comes while a long pass goes on is read: those who are served later have it, too.
        self._due = began + GATHERING_SECONDS
        self._serve(iter(list(self._live)), began)

    def _serve(self, rest: Iterator[Subscriber], began: float) -> None:
        some = list(islice(rest, SLICE))
        for subscriber in some:
            if subscriber in self._live:
                try:
                    subscriber.advance()
                except Exception:  # a defect of one leg must not stop the pass over all others
                    log.exception("a leg of %s failed", self.stream)
                    self.leave(subscriber)
        if len(some) == SLICE:
            self._pass = asyncio.get_running_loop().call_soon(self._serve, rest, began)
        else:
            self._end_pass(began)

    def _end_pass(self, began: float) -> None:
        ended = perf_counter()
        took, events = ended - began, 0
        if self._passing is not None:
            oldest, events = self._passing
            self._tally.latency.observe(1000 * time() - oldest, events)
        spacing = min(SPACING * max(events - 1, 0), WIDEST_SPACING) * took
        if events > 1 or took < GATHERING_SECONDS:
            spacing = max(spacing, GATHERING_SECONDS)
        self._due = ended + spacing
        self._pass = None
        if self._dirty and self._live:
            self._pass = asyncio.get_running_loop().call_later(spacing, self._pass_again)

    def _pass_again(self) -> None:
        # A turn later: a read that was put off until now comes first.
        self._pass = asyncio.get_running_loop().call_soon(self._begin_pass)


class Tails:
    """The tails of one process, by stream. Belongs to one event loop."""

    def __init__(self, store: Store, tally: Tally | None = None) -> None:
        self._store = store
        self._tally = tally or Tally()
        self._tails: dict[str, Tail] = {}
        self._users: dict[Tail, int] = {}
        self._lingering: dict[Tail, asyncio.TimerHandle] = {}

    def use(self, stream: str, extent: Extent | None = None) -> Tail:
        """Return the tail of ``stream``, begun if need be; to be given back by ``release``.

        ``extent``: the stream's outline, if the caller has just read it.
        """
        tail = self._tails.get(stream)
        if tail is None or tail.is_over or tail.is_unwatched:
            tail = self._tails[stream] = Tail(stream, self._store, extent, self._tally)
        self._users[tail] = self._users.get(tail, 0) + 1
        if (timer := self._lingering.pop(tail, None)) is not None:
            timer.cancel()
        return tail

    def release(self, tail: Tail) -> None:
        """Give back a tail; after the last user it stays a while, for those between two legs."""
        if tail not in self._users:
            return  # all were ended with the process
        self._users[tail] -= 1
        if not self._users[tail]:
            loop = asyncio.get_running_loop()
            self._lingering[tail] = loop.call_later(LINGER_SECONDS, self._end, tail)

    def _end(self, tail: Tail) -> None:
        tail.stop()
        self._lingering.pop(tail, None)
        self._users.pop(tail, None)
        if self._tails.get(tail.stream) is tail:
            del self._tails[tail.stream]

    def close(self) -> None:
        """End all tails, at the end of the process."""
        for timer in self._lingering.values():
            timer.cancel()
        for tail in list(self._users):
            self._end(tail)
