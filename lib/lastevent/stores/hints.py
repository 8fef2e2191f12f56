"""Wake-ups of stores that lie behind a network: by push where there is one, else by looking.

The rules, for each stream that somebody waits for:

- It is *watched*: a subscription is asked for. When that *stands*, the stream's end is looked up,
  since no message tells what came before (RULES 13: confirm, read, then wait). One look serves all
  that came to stand together.
- While it stands, who comes to wait is compared with the newest end known: from messages, from this
  process's own appends, from looks. That costs no command.
- While it does not stand - the subscription is lost, refused, or there is none - it is looked at
  with all others of its kind: soon after a movement, then ever more seldom.
- What stands is looked at once a minute, all at once. The look sends a ping through the
  subscription. When the ping does not arrive, or the look finds a movement that no message told,
  the subscription is dead without saying so, and is made anew.
- A process that was frozen finds its clocks jumped: nothing stands any more.
- A look that fails wakes those who wait, so that they meet the trouble in their own read.
- Who does not find what he was woken for is not woken at once by the same again: looks decide, with
  growing pauses. What a message told may have been lost by a store that failed over.
- A stream stays watched for a while after its last waiter, who as a rule has only gone to read.
  When none is watched, there is no task and no subscription.
"""

import asyncio
import time
from collections.abc import Mapping

from lastevent.core.cursor import Cursor
from lastevent.stores.base import Clock
from lastevent.stores.channel import End, Ends, Push
from lastevent.stores.watcher import Timing, Watcher
from lastevent.stores.watches import Waiter

__all__ = ["End", "Ends", "Hints", "Timing"]


class Hints:
    """base.Wakeup. Belongs to one event loop at a time; in another it begins anew.

    ``ends`` looks at the log, ``push`` subscribes to its channels; ``wall`` gives Unix seconds.
    """

    def __init__(
        self,
        ends: Ends,
        push: Push | None = None,
        *,
        timing: Timing = Timing(),
        wall: Clock = time.time,
    ) -> None:
        self.ends = ends
        self._push = push
        self._timing = timing
        self._wall = wall
        self._watcher: Watcher | None = None
        self._closed = False

    async def wait(self, cursors: Mapping[str, Cursor], timeout: float) -> frozenset[str]:
        waiter = Waiter(cursors)
        watcher = self._begin()
        if watcher is not None:
            watcher.enter(waiter)
        try:
            async with asyncio.timeout(timeout):
                return await waiter.future
        except TimeoutError:
            return frozenset()
        finally:
            if watcher is not None:
                watcher.watches.leave(waiter, watcher.loop.time())

    def moved(self, stream: str, end: End) -> None:
        """Take in the end that an append, a close or a deletion of this process has made."""
        if (watcher := self._here()) is not None:
            watcher.moved(stream, end)

    def known(self, stream: str) -> End | None:
        """Return the newest end that is known of ``stream``, if it is watched."""
        watcher = self._here()
        watch = None if watcher is None else watcher.watches.get(stream)
        return None if watch is None else watch.known

    async def rest(self) -> None:
        watcher, self._watcher = self._here(), None
        if watcher is not None:
            await watcher.close()

    async def close(self) -> None:
        """End the tasks and the subscription; who waits then waits for the end of his time."""
        self._closed = True
        await self.rest()

    def _here(self) -> "Watcher | None":
        """Return this loop's watcher. What another loop had begun is no longer of use."""
        watcher = self._watcher
        if watcher is not None and watcher.loop is asyncio.get_running_loop():
            return watcher
        return None

    def _begin(self) -> "Watcher | None":
        if self._closed:
            return None
        if (watcher := self._here()) is None:
            watcher = self._watcher = Watcher(self.ends, self._push, self._timing, self._wall)
        return watcher
