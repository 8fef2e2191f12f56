"""What this process counts, told to the store once a minute while there is something to tell.

    legs, tally, pages ─► the present minute's bucket ─► (over) ─► waiting ─► the store's minute
                                                                        └──► Lambda's log

A process to which nobody is connected, and that publishes nothing, tells nothing and asks the store
for nothing. One that may be frozen tells what is over before it rests, and what is not, when it
wakes. What the store does not take waits, and is lost after LATE_MINUTES.
"""

import asyncio
import logging
import random
import secrets
import sys
from collections.abc import Sequence
from time import time

from lastevent.core.bounds import Reason
from lastevent.core.errors import Conflict, Transient
from lastevent.serve.service import Service
from lastevent.services.metrics.bucket import DELIVERY, LEFT, Bucket
from lastevent.services.metrics.histogram import Histogram
from lastevent.services.metrics.minutes import LATE_MINUTES, Minutes
from lastevent.stores.base import Clock

SPREAD_SECONDS = 10.0
"""The servers tell of a minute within so long after it, each at another time."""

SETTLED_SECONDS = 20.0
"""A minute that ended so long ago has been told of, by and large."""

STOP_SECONDS = 2.0
"""How long the process's end waits for what is being told."""

log = logging.getLogger("lastevent")


class Metrics:
    """The counts of one process. Belongs to one event loop."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self.minutes = Minutes(service.store.records, secrets.token_hex(4))
        self._service = service
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._bucket = Bucket()
        self._minute = 0
        self._open = 0
        self._counted_to = 0.0  # Unix seconds: until then open connections are in the bucket
        self._seen = _Seen()
        self._rolled = 0
        self._waiting: list[tuple[int, Bucket]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        service.tally.touched = self._wake

    def begun(self, *, resumed: bool) -> None:
        """Count a leg that begins; ``resumed``: its client has been here before."""
        self._wake()
        self._integrate(self._clock())
        self._open += 1
        self._bucket.counts["opened"] += 1
        self._bucket.counts["resumed"] += resumed

    def ended(self, reason: Reason | None) -> None:
        """Count a leg that is over; None: its client left."""
        self._wake()
        self._integrate(self._clock())
        self._open -= 1
        self._bucket.counts[f"ended.{LEFT if reason is None else reason.name.lower()}"] += 1

    def told(
        self, user: str, transport: str, latencies: Sequence[float], counts: dict[str, int]
    ) -> None:
        """Count what a page of a user's has measured."""
        self._wake()
        self._bucket.user(transport).add(user)
        for ms in latencies:
            self._bucket.latency(transport).observe(ms)
        for name, count in counts.items():
            self._bucket.counts[f"{transport}.{name}"] += count

    async def roll_up(self) -> None:
        """Make hours of minutes, if this process has not looked for such in this hour yet."""
        now = self._clock()
        if self._rolled < now // 3600:
            await self.minutes.roll_up(now)
            self._rolled = int(now // 3600)

    async def rest(self) -> None:
        """Tell what is over, before the process may be frozen."""
        self._turn()
        if self._waiting:
            self._tell()
        if self._writing is not None:
            await asyncio.wait([self._writing])

    async def aclose(self) -> None:
        """Tell everything, the minute that is not over too."""
        for timer in (self._timer, self._telling):
            if timer is not None:
                timer.cancel()
        self._close(self._clock())
        self._tell()
        if (writing := self._writing) is not None:
            await asyncio.wait([writing], timeout=STOP_SECONDS)
            writing.cancel()

    # The turn of a minute.

    def _wake(self) -> None:
        """See to it that what is counted from now on is told."""
        now = self._clock()
        if self._timer is not None and now >= 60 * (self._minute + 1):
            self._turn()
        if self._timer is None:
            self._minute = int(now // 60)
            self._counted_to = now
            self._seen.commands = self._commands()  # what an idle process asked for is not told
            self._arm()

    def _arm(self) -> None:
        left = 60 * (self._minute + 1) - self._clock()
        # A clock that was set back is looked at again.
        self._timer = self._loop.call_later(min(max(0.0, left), 60.0) + 0.01, self._turn)

    def _turn(self) -> None:
        """Put away the bucket of a minute that is over, and begin that of the present one."""
        now = self._clock()
        minute = int(now // 60)
        if self._timer is None or minute <= self._minute:
            if self._timer is not None:
                self._timer.cancel()
                self._arm()
            return
        self._timer.cancel()
        self._timer = None
        if minute - self._minute <= LATE_MINUTES:
            self._close(60.0 * (self._minute + 1))
        else:  # it was frozen, and what it told now of that minute would be overlooked
            self._collect(self._bucket)
        if self._waiting and self._telling is None:
            delay = random.uniform(0, SPREAD_SECONDS)
            self._telling = self._loop.call_later(delay, self._tell)
        self._minute = minute
        self._counted_to = max(self._counted_to, 60.0 * minute)
        if self._open or self._waiting or not self._bucket.is_empty:
            self._arm()

    def _close(self, end: float) -> None:
        """End the bucket at ``end``, in Unix seconds; one in which nothing is, is not told."""
        self._integrate(end)
        bucket, self._bucket = self._bucket, Bucket()
        self._collect(bucket)
        if bucket.is_empty:
            return
        self._waiting.append((self._minute, bucket))
        if (name := self._service.settings.lambda_function) is not None:
            from lastevent.services.metrics.embedded import line

            # Past the log's handlers, which put words before it: a line has to be JSON as a whole.
            sys.stdout.write(line(self._minute, bucket, {"FunctionName": name}) + "\n")
            sys.stdout.flush()

    def _integrate(self, now: float) -> None:
        """Count how long connections have been open."""
        if now > self._counted_to:
            if self._open:
                ms = round(self._open * (now - self._counted_to) * 1000)
                self._bucket.counts["connected"] += ms
            self._counted_to = now

    def _collect(self, bucket: Bucket) -> None:
        """Take in what the tally and the store have counted since the last time."""
        tally, seen = self._service.tally, self._seen
        for name in ("published", "delivered", "polls"):
            count = getattr(tally, name)
            bucket.counts[name] += count - getattr(seen, name)
            setattr(seen, name, count)
        if tally.latency.count:
            bucket.latency(DELIVERY).add(tally.latency)
            tally.latency = Histogram()
        if (commands := self._commands()) is not None:
            bucket.counts["commands"] += commands - (seen.commands or 0)
            seen.commands = commands

    def _commands(self) -> int | None:
        """What the store was asked for; None if it does not count."""
        usage = self._service.store.usage
        if usage is None:
            return None
        return int(sum(count for name, count in usage().items() if not name.endswith("_units")))

    # Telling.

    def _tell(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
        self._telling = None
        if self._waiting and self._writing is None:
            self._writing = self._loop.create_task(self._write())
            self._writing.add_done_callback(self._written)

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("what was counted could not be told", exc_info=error)

    async def _write(self) -> None:
        oldest = int(self._clock() // 60) - LATE_MINUTES
        late = [minute for minute, _ in self._waiting if minute < oldest]
        if late:
            log.warning("what was counted in %d minutes could not be told, and is lost", len(late))
            del self._waiting[: len(late)]
        while self._waiting:
            minute, bucket = self._waiting[0]
            try:
                await self.minutes.add(minute, bucket)
            except (Conflict, Transient) as error:
                log.warning("what was counted could not be told yet: %s", error)
                return
            del self._waiting[0]


class _Seen:
    """The numbers that were looked at last."""

    def __init__(self) -> None:
        self.published = self.delivered = self.polls = 0
        self.commands: int | None = None


def metrics_of(service: Service) -> Metrics | None:
    """Return the counts of a process; None where they are switched off."""
    return Metrics(service, time) if service.settings.metrics else None


async def sweep(service: Service) -> None:
    """Roll up the hours that are over, once an hour and process."""
    metrics = service.part(metrics_of)
    if metrics is not None:
        await metrics.roll_up()
