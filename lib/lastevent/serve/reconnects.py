"""How often clients come back that nobody sent away, over all servers together.

A planned end is a pause on purpose (RULES 21): the client that comes back after it is expected.
So each leg of a client that has a cursor counts one, and each planned end takes one off; what is
left came back after a cut. It is counted in the process, and a process adds its sum to the store's
at most every FLUSH_SECONDS: a client goes from one server to the next, so one server's number alone
may be below zero, and only their sum says anything.

The sum is that of a minute that ends now: the present minute's, and of the last one as much as is
still in it, taken as spread evenly.
"""

import asyncio
import json
import logging
import random
from contextlib import suppress
from time import time

from lastevent.core.bounds import Reason
from lastevent.core.errors import Conflict, Transient
from lastevent.serve.alerts import raise_alert
from lastevent.serve.service import Service
from lastevent.stores.base import Records

KIND = "alert-rates"
ID = "reconnects"
WINDOW_SECONDS = 60
FLUSH_SECONDS = 15.0
FIRST_SECONDS = 1.0
"""How long a process gathers before it tells of anything at all."""

STOP_SECONDS = 2.0
"""How long the process's end waits for what is being told."""

QUIET_SECONDS = 300.0
"""How long the rate has to stay below the limit until that is over."""

_ATTEMPTS = 5

log = logging.getLogger("lastevent")


class Reconnects:
    """The count of one process. Belongs to one event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._flushed = self._loop.time() + FIRST_SECONDS - FLUSH_SECONDS
        self._flushing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begun(self, *, resumed: bool) -> None:
        """Count a leg that begins; ``resumed``: its client has been here before."""
        if resumed:
            self._add(1)

    def ended(self, reason: Reason | None) -> None:
        """Count a leg that is over; None: its client left."""
        if reason is not None and reason.state == "rotate":
            self._add(-1)

    async def rest(self) -> None:
        """Tell what is due, before the process may be frozen."""
        if self._count and self._loop.time() >= self._due:
            self._flush()
        if self._flushing is not None:
            await asyncio.wait([self._flushing])

    async def aclose(self) -> None:
        """Tell everything: the planned ends of this process explain who comes to the others."""
        if (flushing := self._flushing) is not None:
            # A slow receiver does not hold the process: the sweep goes on with telling it.
            await asyncio.wait([flushing], timeout=STOP_SECONDS)
            flushing.cancel()
        left, self._count = self._count, 0
        if self._timer is not None:
            self._timer.cancel()
        if left:
            with suppress(Conflict, Transient):
                await add(self._service.store.records, left, time())

    @property
    def _due(self) -> float:
        return self._flushed + FLUSH_SECONDS

    def _add(self, number: int) -> None:
        self._count += number
        if self._timer is None:
            at = max(self._due, self._loop.time())
            self._timer = self._loop.call_at(at, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._count and self._flushing is None:
            self._flushing = self._loop.create_task(self._tell())
            self._flushing.add_done_callback(self._over)

    def _over(self, _: asyncio.Task[None]) -> None:
        self._flushing = None
        if self._count:
            self._add(0)

    async def _tell(self) -> None:
        """Add what was counted to the store's sum; raise the alert if it is too much."""
        told, self._count = self._count, 0
        self._flushed = self._loop.time()
        try:
            rate = await add(self._service.store.records, told, time())
        except (Conflict, Transient) as error:
            self._count += told
            log.warning("how often clients come back could not be told: %s", error)
            return
        most = self._service.settings.alert_reconnects
        if rate < most:
            return
        try:
            await raise_alert(
                self._service,
                "reconnects",
                "all",
                f"Clients come back {rate} times a minute after cuts that nobody planned",
                {"rate": rate, "limit": most},
                quiet_seconds=QUIET_SECONDS,
            )
        except Transient as error:  # as long as it goes on, the next time says so too
            log.warning("that clients come back too often could not be told: %s", error)


async def add(records: Records, number: int, now: float) -> int:
    """Add to the number of the present minute; return the sum of the minute that ends ``now``.

    Raises Conflict if so many write at once that it did not come about, and Transient.
    """
    for attempt in range(_ATTEMPTS):
        record = await records.get(KIND, ID)
        latest, present, before = (0, 0, 0) if record is None else json.loads(record.value)
        # A clock that is behind by some seconds is of the minute that there is.
        minute, into = divmod(max(now, latest * WINDOW_SECONDS), WINDOW_SECONDS)
        if minute != latest:
            before, present = present if minute == latest + 1 else 0, 0
        present += number
        value = json.dumps([int(minute), present, before])
        with suppress(Conflict):
            await records.put(
                KIND,
                ID,
                value,
                expect=0 if record is None else record.version,
                seconds=3 * WINDOW_SECONDS,
            )
            share = 1 - into / WINDOW_SECONDS
            return max(0, round(present + before * share))
        await asyncio.sleep(random.uniform(0, 0.02 * (attempt + 1)))
    raise Conflict("too many servers tell at once")


def reconnects(service: Service) -> Reconnects | None:
    """Return the count of a process; None where nobody would be told."""
    settings = service.settings
    if settings.alert_url is None or not settings.alert_reconnects:
        return None
    return Reconnects(service)
