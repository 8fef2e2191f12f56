"""A log in one backend, woken through another: LASTEVENT_WAKEUP_URL.

DynamoDB, for example, keeps events well and tells nobody of them; Upstash tells at once. What is
appended here is announced there, after it has been written and in one attempt: an announcement
that fails is a hint that is missing, which costs time and no event. The readers' own looks at the
log find it, within a minute at the latest (hints).
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from lastevent.core.cursor import Cursor
from lastevent.core.errors import ConfigError, Transient
from lastevent.core.event import NewEvent
from lastevent.core.extent import Extent
from lastevent.stores.base import Appended, EventLog, Page, Store
from lastevent.stores.channel import Announcer, End, Ends
from lastevent.stores.hints import Hints, Timing

log = logging.getLogger("lastevent")

ANNOUNCE_SECONDS = 1.0
"""What an append waits for its announcement. It does wait: a function may be frozen with its last
byte, and what it has left undone then stays undone. While announcements fail, none waits."""

MAX_ANNOUNCING = 1000
"""Streams announced at a time; beyond it, announcements are left out."""


def combine(store: Store, wakeup_store: Store, *, timing: Timing = Timing()) -> Store:
    """Return ``store`` with wake-ups through ``wakeup_store``.

    Raises ConfigError if that one has no channel. Both are prepared and closed as one.
    """
    channel = wakeup_store.channel
    if channel is None:
        raise ConfigError(
            f"the store {wakeup_store.name} cannot tell of another's events: "
            "write upstash://, redis:// or rediss:// for the wake-up"
        )
    announcements = _Announcements(channel.announcer)
    own_ends = store.wakeup.ends if isinstance(store.wakeup, Hints) else _Described(store.log)
    ends = _PingingEnds(own_ends, channel.announcer)
    hints = Hints(ends, channel.push, timing=timing)

    async def prepare() -> None:
        await store.prepare()
        await wakeup_store.prepare()

    async def close() -> None:
        await hints.close()
        await announcements.close()
        await store.close()
        await wakeup_store.close()

    def usage() -> Mapping[str, float]:
        used = [each.usage() for each in (store, wakeup_store) if each.usage is not None]
        return {name: sum(one.get(name, 0) for one in used) for name in set().union(*used)}

    return store._replace(
        name=f"{store.name}+{wakeup_store.name}",
        log=AnnouncedLog(store.log, announcements, hints),
        wakeup=hints,
        prepare=prepare,
        close=close,
        channel=None,
        usage=usage,
    )


class AnnouncedLog:
    """base.EventLog: another log, of which it tells."""

    def __init__(self, inner: EventLog, announcements: "_Announcements", hints: Hints) -> None:
        self._inner = inner
        self._announcements = announcements
        self._hints = hints

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
        appended = await self._inner.append(
            stream,
            events,
            key=key,
            expect=expect,
            fence=fence,
            close=close,
            bookmark=bookmark,
        )
        # A first answer that is given again may be one that nobody was told of.
        await self._tell(stream, End(appended.cursor, appended.closed))
        return appended

    async def read(self, stream: str, after: Cursor | None, limit: int = 500) -> Page:
        return await self._inner.read(stream, after, limit)

    async def describe(self, stream: str) -> Extent:
        return await self._inner.describe(stream)

    async def delete(self, stream: str) -> bool:
        existed = await self._inner.delete(stream)
        if existed:
            with suppress(Transient):
                extent = await self._inner.describe(stream)
                await self._tell(stream, End(extent.head, extent.closed))
        return existed

    async def _tell(self, stream: str, end: End) -> None:
        self._hints.moved(stream, end)
        await self._announcements.tell(stream, end)


class _Announcements:
    """One announcement a stream at a time; what comes meanwhile is told by its newest end."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._newest: dict[str, End] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failing = False

    async def tell(self, stream: str, end: End) -> None:
        """Announce ``end``, or give up after ANNOUNCE_SECONDS. Raises nothing."""
        self._come_to_this_loop()
        newest = self._newest.get(stream)
        if newest is None or end.order >= newest.order:
            self._newest[stream] = end
        task = self._tasks.get(stream)
        if task is None:
            if len(self._tasks) >= MAX_ANNOUNCING:
                del self._newest[stream]
                return
            task = asyncio.create_task(self._announce(stream), name="lastevent announcement")
            self._tasks[stream] = task
        # Who is cancelled here leaves the announcement to those who wait for it too.
        await asyncio.wait([task], timeout=0 if self._failing else ANNOUNCE_SECONDS)

    async def close(self) -> None:
        """Give what is on its way the time that it has."""
        self._come_to_this_loop()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=ANNOUNCE_SECONDS)
        for task in self._tasks.values():
            task.cancel()

    async def _announce(self, stream: str) -> None:
        try:
            while (end := self._newest.pop(stream, None)) is not None:
                async with asyncio.timeout(ANNOUNCE_SECONDS):
                    await self._announcer.announce(stream, end)
                self._failing = False
        except (Transient, TimeoutError) as error:
            if not self._failing:
                log.warning("events are not announced, and found later: %s", error)
            self._failing = True
        except Exception:
            log.exception("the announcement of events failed")
        finally:
            self._newest.pop(stream, None)
            self._tasks.pop(stream, None)

    def _come_to_this_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # What the former loop was about to tell ended with it.
            self._loop = loop
            self._newest, self._tasks = {}, {}


class _PingingEnds:
    """channel.Ends: of the log, with pings through the announcer."""

    def __init__(self, ends: Ends, announcer: Announcer) -> None:
        self._ends = ends
        self._announcer = announcer

    async def __call__(
        self, streams: Collection[str], ping: Collection[str] = ()
    ) -> Mapping[str, End]:
        found, _ = await asyncio.gather(self._ends(streams), self._ping(ping))
        return found

    async def _ping(self, channels: Collection[str]) -> None:
        if channels:
            with suppress(Transient):  # a ping that does not arrive tells as much
                await self._announcer.ping(channels)


class _Described:
    """channel.Ends of a log that has no such look of its own."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def __call__(
        self, streams: Collection[str], ping: Collection[str] = ()
    ) -> Mapping[str, End]:
        names = list(streams)
        extents = [await self._log.describe(name) for name in names]
        return {
            name: End(extent.head, extent.closed)
            for name, extent in zip(names, extents, strict=True)
        }
