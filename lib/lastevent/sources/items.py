"""What an async iterator gives, as events: a model's answer, an export, a report.

    message      a str as it is, anything else as compact JSON; a NewEvent is taken as it is
    done         {"time"}: the iterator is at its end
    cancelled    {"time"}: it was stopped
    failure      {"error", "time"}: it raised, or was stopped for a reason worth telling

One of the latter three is the last. ``time`` is in Unix ms.

The iterator is asked for more while the last batch is being stored, up to AHEAD_EVENTS or
AHEAD_BYTES; then it waits. What came meanwhile is the next batch: a slow store makes larger
batches, and a quick one has each item at once.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable
from time import time
from typing import Any

from lastevent.core.errors import InvalidEvent, LastEventError, TooLarge
from lastevent.core.event import MESSAGE, NewEvent
from lastevent.sources.base import MAX_BATCH_BYTES, Batch, Replays

type Item = NewEvent | str | dict[str, Any] | list[Any]

AHEAD_EVENTS = 256
AHEAD_BYTES = MAX_BATCH_BYTES
MAX_ITEM_BYTES = MAX_BATCH_BYTES

CLOSE_SECONDS = 2.0
"""How long an iterator has to leave its present item when it is stopped, and again to close."""

DEFECT = "It failed in a way that nobody foresaw; that has been logged."

log = logging.getLogger("lastevent")


class Items:
    """A source (base.Source): start it once, read it once; stop it at any time.

    ``type`` is that of the events of items that do not say. ``close_seconds``: as CLOSE_SECONDS.
    However it ends, the iterator is closed, if it can be (``aclose``). Raises InvalidEvent for a
    type that no event can have.
    """

    replays: Replays = "none"

    def __init__(
        self,
        items: AsyncIterable[Item],
        *,
        type: str = MESSAGE,
        close_seconds: float = CLOSE_SECONDS,
    ) -> None:
        self._sample = NewEvent(type, "")
        self._iterator = aiter(items)
        self._close_seconds = close_seconds
        self._waiting: list[NewEvent] = []
        self._bytes = 0
        self._stirred = asyncio.Event()
        self._has_room = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._end: NewEvent | None = None

    async def start(self) -> None:
        """Begin to ask the iterator."""
        if self._stopping is None:
            self._asking = asyncio.create_task(self._ask())

    async def read(self, position: str | None = None) -> AsyncGenerator[Batch]:
        """Yield all items in batches; the last says that it is over.

        Who stops reading stops the iterator. ``position`` says nothing: it cannot begin anew.
        """
        try:
            over = False
            while not over:
                await self._stirred.wait()
                self._stirred.clear()
                events, self._waiting, self._bytes = self._waiting, [], 0
                self._has_room.set()
                if self._end is not None:
                    events.append(self._end)
                    over = True
                yield Batch(events, over=over)
        finally:
            await self.stop()

    async def stop(self, reason: str | None = None) -> None:
        """Stop and close the iterator; return when that is done, in bounded time.

        Its reader is given everything that it gave before. ``reason``: a sentence that is told as a
        failure.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(reason))
        await asyncio.wait([self._stopping])

    async def _stop(self, reason: str | None) -> None:
        if self._asking is not None:
            await self._bounded(self._asking, cancel=True)
        if hasattr(self._iterator, "aclose"):
            await self._bounded(asyncio.create_task(self._close(self._iterator.aclose())))
        self._finish(_event("cancelled") if reason is None else _failure(reason))

    async def _bounded(self, task: asyncio.Task[None], *, cancel: bool = False) -> None:
        if cancel:
            task.cancel()
        await asyncio.wait([task], timeout=self._close_seconds)
        if not task.done():
            log.error("an iterator does not let go: %s", type(self._iterator).__qualname__)
            task.cancel()

    async def _close(self, closing: Awaitable[None]) -> None:
        try:
            await closing
        except Exception:
            log.exception("an iterator could not be closed")

    async def _ask(self) -> None:
        try:
            async for item in self._iterator:
                if self._stopping is not None:  # it takes no notice of being cancelled
                    return
                await self._take(self._event_of(item))
            end = _event("done")
        except LastEventError as error:
            end = _failure(str(error))
        except Exception:
            log.exception("an iterator failed")
            end = _failure(DEFECT)
        if self._stopping is None:
            self._finish(end)

    async def _take(self, event: NewEvent) -> None:
        self._waiting.append(event)
        self._bytes += event.size
        self._stirred.set()
        if len(self._waiting) >= AHEAD_EVENTS or self._bytes >= AHEAD_BYTES:
            self._has_room.clear()
            await self._has_room.wait()

    def _event_of(self, item: Item) -> NewEvent:
        if isinstance(item, NewEvent):
            event = item
        elif isinstance(item, str):
            event = NewEvent(self._sample.type, item)
        else:
            event = NewEvent(self._sample.type, _json(item))
        if event.size > MAX_ITEM_BYTES:
            raise TooLarge(f"an item has {event.size} bytes; {MAX_ITEM_BYTES} are the most")
        return event

    def _finish(self, end: NewEvent) -> None:
        if self._end is None:
            self._end = end
            self._stirred.set()


def _json(item: object) -> str:
    try:
        return json.dumps(item, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise InvalidEvent(f"an item cannot be written as JSON: {error}") from error


def _failure(error: str) -> NewEvent:
    return _event("failure", error=error)


def _event(type: str, **said: str) -> NewEvent:
    return NewEvent(type, _json({**said, "time": int(time() * 1000)}))
