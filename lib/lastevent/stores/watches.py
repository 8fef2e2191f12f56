"""What a process knows of the streams it watches, and who waits for them. No task, no command.

The rules stand in ``hints``, which does the work.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping

from lastevent.core.cursor import Cursor
from lastevent.stores.channel import End


class Waiter:
    """One call of wait, begun at ``since`` by the loop's time."""

    __slots__ = ("cursors", "future", "since")

    def __init__(self, cursors: Mapping[str, Cursor]) -> None:
        loop = asyncio.get_running_loop()
        self.cursors = dict(cursors)
        self.since = loop.time()
        self.future: asyncio.Future[frozenset[str]] = loop.create_future()

    def wake(self, streams: Iterable[str]) -> None:
        """Have it return ``streams``, unless it returns already."""
        if not self.future.done():
            self.future.set_result(frozenset(streams))


class Watch:
    """One stream, watched since ``since``.

    ``stands``: messages about it arrive. ``known`` is its newest end, ``told`` the newest that came
    by message or from this process. ``answered``: the cursor with which somebody last came to wait
    although an end was known that it differs from, and that end.
    """

    __slots__ = ("answered", "known", "since", "stands", "told", "waiters")

    def __init__(self, since: float) -> None:
        self.since = since
        self.stands = False
        self.known: End | None = None
        self.told: End | None = None
        self.answered: tuple[Cursor, End] | None = None
        self.waiters: set[Waiter] = set()

    def tell(self, end: End) -> None:
        """Take in a hint, which may be older than what is known."""
        if self.told is None or end.order >= self.told.order:
            self.told = end
        self.learn(end)

    def learn(self, end: End) -> None:
        """Take in an end, unless a later one is known."""
        if self.known is None or end.order >= self.known.order:
            self.known = end

    def was_told(self, end: End) -> bool:
        """Whether a hint told of ``end`` or of a later one."""
        return self.told is not None and self.told.order >= end.order


class Watches:
    """The watched streams of one event loop.

    ``fresh`` are to be looked at once, now: they have just come to stand, or to be watched where
    nothing pushes. ``unsure`` are to be looked at again and again: they do not stand, or a reader
    does not find what he was woken for. ``waiting`` is the number of waiters.
    """

    def __init__(self) -> None:
        self.fresh: set[str] = set()
        self.unsure: set[str] = set()
        self.waiting = 0
        self._by_name: dict[str, Watch] = {}
        self._idle: dict[str, float] = {}  # when their last waiter left, in this order

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def get(self, stream: str) -> Watch | None:
        """Return the watch over ``stream``, if there is one."""
        return self._by_name.get(stream)

    # Waiters.

    def enter(self, waiter: Waiter) -> list[str]:
        """Take in ``waiter``, and wake it if he is late; return streams not watched before."""
        added = []
        moved = []
        for name, cursor in waiter.cursors.items():
            watch = self._by_name.get(name)
            if watch is None:
                watch = self._by_name[name] = Watch(waiter.since)
                self.unsure.add(name)
                added.append(name)
            self._idle.pop(name, None)
            watch.waiters.add(waiter)
            if watch.known is not None and watch.known.moved_from(cursor):
                if watch.answered == (cursor, watch.known):
                    self.unsure.add(name)
                else:
                    watch.answered = cursor, watch.known
                    moved.append(name)
        self.waiting += 1
        if moved:
            waiter.wake(moved)
        return added

    def leave(self, waiter: Waiter, now: float) -> None:
        """Forget ``waiter``; his streams stay watched."""
        self.waiting -= 1
        for name in waiter.cursors:
            watch = self._by_name[name]
            watch.waiters.discard(waiter)
            if not watch.waiters:
                self._idle[name] = now

    def drop(self, idle_since: float, most: int) -> list[str]:
        """Drop streams that nobody has waited for since then; more if there are over ``most``."""
        dropped: list[str] = []
        for name, since in self._idle.items():
            if since > idle_since and len(self._by_name) - len(dropped) <= most:
                break
            dropped.append(name)
        for name in dropped:
            del self._idle[name], self._by_name[name]
            self.fresh.discard(name)
            self.unsure.discard(name)
        return dropped

    # What happens to streams.

    def stand(self, streams: Iterable[str]) -> None:
        """Messages about these arrive from now on; what came before is to be looked up."""
        for name in streams:
            if (watch := self._by_name.get(name)) is not None:
                watch.stands = True
                self.unsure.discard(name)
                self.fresh.add(name)

    def fall(self) -> None:
        """No message arrives any more."""
        for watch in self._by_name.values():
            watch.stands = False
        self.unsure.update(self._by_name)
        self.fresh.clear()

    def tell(self, stream: str, end: End) -> None:
        """Take in a hint, and wake those for whom it is news."""
        if (watch := self._by_name.get(stream)) is not None:
            watch.tell(end)
            for waiter in watch.waiters:
                if end.moved_from(waiter.cursors[stream]):
                    waiter.wake([stream])

    def to_poll(self, stands_by: float | None) -> list[str]:
        """Return who is unsure and waited for.

        ``stands_by``: leave out those watched since then, whose subscription may yet come to stand.
        """
        return [
            name
            for name in self.unsure
            if (watch := self._by_name[name]).waiters
            and (stands_by is None or watch.stands or watch.since <= stands_by)
        ]

    def waited_for(self) -> list[str]:
        """Return the streams that somebody waits for."""
        return [name for name, watch in self._by_name.items() if watch.waiters]

    # A look.

    def begin_look(self, streams: Collection[str]) -> dict[str, End | None]:
        """Return what is known of ``streams`` before they are looked at."""
        self.fresh.difference_update(streams)
        return {name: self._by_name[name].known for name in streams}

    def end_look(
        self, before: Mapping[str, End | None], found: Mapping[str, End], began: float
    ) -> list[str]:
        """Take in what a look has ``found``; wake those for whom it is news.

        Returns the streams that have moved since ``before`` without a hint that told of it.
        """
        moved = []
        for name, known in before.items():
            watch = self._by_name.get(name)
            if watch is None:
                continue
            end = found[name]
            if watch.known is known:
                watch.known = end  # also an earlier one, of a store that has lost something
            else:
                watch.learn(end)  # a hint came meanwhile, and may be newer than the look
            if known is not None and end.order > known.order and not watch.was_told(end):
                moved.append(name)
            if watch.stands:
                self.unsure.discard(name)
            self._compare(name, watch, end, began)
        return moved

    def _compare(self, name: str, watch: Watch, end: End, began: float) -> None:
        for waiter in watch.waiters:
            cursor = waiter.cursors[name]
            # Who came before the look is judged by it alone. Who came since may know better.
            if waiter.since <= began:
                if end.closed or end.cursor != cursor:
                    waiter.wake([name])
            elif end.moved_from(cursor):
                waiter.wake([name])

    def fail_look(self, streams: Iterable[str], fresh: Iterable[str]) -> None:
        """Wake those who wait for ``streams``; those that were ``fresh`` are so again."""
        self.fresh.update(name for name in fresh if name in self._by_name)
        for name in streams:
            if (watch := self._by_name.get(name)) is not None:
                for waiter in watch.waiters:
                    waiter.wake(waiter.cursors)
