"""Buckets in a store's records: minutes that servers add to, hours that they are rolled up into.

A server writes a minute once, when that is over. The first write of a slot needs no read before it;
there are SLOTS for each minute, and a server that meets another in its slot takes another one from
then on. So a few servers write once a minute each, without one waiting for the other, and a
thousand make no more records than eight do.

    minute 29389214/3   kept for MINUTES_SECONDS
    hour   489820       its 60 minutes; kept for HOURS_SECONDS
    total               all hours up to ``through``; for counters that only grow

An hour is rolled up ROLL_SECONDS after it ended, by whoever comes first. Nobody adds to a minute so
late, so to do it twice makes the same of it. A minute that its server could not tell within
LATE_MINUTES is lost.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from lastevent.core.errors import Conflict
from lastevent.services.metrics.bucket import Bucket
from lastevent.stores.base import Record, Records

MINUTES, HOURS, TOTAL = "metrics-minutes", "metrics-hours", "metrics-total"
SLOTS = 8
LATE_MINUTES = 30
ROLL_SECONDS = 3600
MINUTES_SECONDS = 26 * 3600
"""A day, and time for a sweep that comes once a day."""

HOURS_SECONDS = 31 * 24 * 3600
_ALL = "all"
_PAGE = 500
_ATTEMPTS = 12


@dataclass(frozen=True, slots=True)
class _Total:
    """Everything that was counted, up to and with hour ``through``. ``record``: where it stands."""

    through: int
    bucket: Bucket
    record: Record | None


class Minutes:
    """The buckets of all servers; ``server`` is the name of this one."""

    def __init__(self, records: Records, server: str) -> None:
        self._records = records
        self._server = server
        self._slot = 0

    async def add(self, minute: int, bucket: Bucket) -> None:
        """Add what this server counted in a minute, for the only time.

        After an error it may be called again with the same: what was written nevertheless is not
        written twice. Raises Conflict if too many write at once, and Transient.
        """
        bucket.servers = {self._server}
        slot, before, whole = self._slot, None, bucket
        for attempt in range(_ATTEMPTS):
            id = f"{minute}/{self._slot}"
            expect = 0 if before is None else before.version
            try:
                await self._records.put(
                    MINUTES, id, whole.text, expect=expect, seconds=MINUTES_SECONDS
                )
                break
            except Conflict:
                if attempt:
                    await asyncio.sleep(random.uniform(0, 0.01 * 2 ** min(attempt, 6)))
            slot = random.randrange(SLOTS)  # not before this is written: it is to be recognised
            before = await self._records.get(MINUTES, id)
            whole = Bucket() if before is None else Bucket.parse(before.value)
            if self._server in whole.servers:
                break
            whole.join(bucket)
        else:
            raise Conflict("too many servers tell of a minute at once")
        self._slot = slot

    async def minutes(self, first: int, last: int) -> dict[int, Bucket]:
        """Return the buckets of the minutes that there are, both ends included, by their number."""
        found: dict[int, Bucket] = {}
        async for record in self._between(MINUTES, first, last):
            minute = int(record.id.partition("/")[0])
            found.setdefault(minute, Bucket()).join(Bucket.parse(record.value))
        return found

    async def hours(self, first: int, last: int) -> dict[int, Bucket]:
        """Return the buckets of the hours that there are, those that are not rolled up yet too."""
        found = {
            int(record.id): Bucket.parse(record.value)
            async for record in self._between(HOURS, first, last)
        }
        begin = max(first, (await self._total(last)).through + 1)
        return found | _by_hours(await self.minutes(begin * 60, last * 60 + 59))

    async def total(self, now: int) -> Bucket:
        """Return everything that was counted up to a minute, apart from what is too old to know."""
        total = await self._total(now // 60)
        for minute in (await self.minutes((total.through + 1) * 60, now)).values():
            total.bucket.follow(minute)
        return total.bucket

    async def roll_up(self, now: float) -> int:
        """Make hours of the minutes that nobody adds to any more; return how many were new.

        Raises Transient. Costs a read if there is nothing to do.
        """
        last = int((now - ROLL_SECONDS) // 3600) - 1
        total = await self._total(last)
        begin = max(total.through + 1, int((now - MINUTES_SECONDS) // 3600) + 1)
        if begin > last:
            return 0
        hours = _by_hours(await self.minutes(begin * 60, last * 60 + 59))
        for hour, bucket in hours.items():
            bucket.servers.clear()  # on a platform of functions they are without number
            await self._records.put(HOURS, str(hour), bucket.text, seconds=HOURS_SECONDS)
            total.bucket.follow(bucket)
        value = json.dumps([last, total.bucket.text])
        expect = 0 if total.record is None else total.record.version
        with suppress(Conflict):  # another has done the same
            await self._records.put(TOTAL, _ALL, value, expect=expect)
        return len(hours)

    async def _total(self, hour: int) -> _Total:
        record = await self._records.get(TOTAL, _ALL)
        if record is None:
            return _Total(hour - MINUTES_SECONDS // 3600, Bucket(), None)
        through, text = json.loads(record.value)
        bucket = Bucket.parse(text)
        bucket.users.clear()
        return _Total(through, bucket, record)

    async def _between(self, kind: str, first: int, last: int) -> AsyncIterator[Record]:
        after = f"{first - 1}~"  # behind the slots of the one before
        while True:
            records = await self._records.query(kind, after=after, limit=_PAGE)
            for record in records:
                if int(record.id.partition("/")[0]) > last:
                    return
                yield record
            if len(records) < _PAGE:
                return
            after = records[-1].id


def _by_hours(minutes: Mapping[int, Bucket]) -> dict[int, Bucket]:
    hours: dict[int, Bucket] = {}
    for minute, bucket in minutes.items():
        hours.setdefault(minute // 60, Bucket()).follow(bucket)
    return hours
