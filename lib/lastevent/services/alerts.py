"""Alerts: somebody is told of an incident once, however many servers notice it.

    whoever notices ─► mark ─► put(incident, expect=…) ─► claim ─► POST ─► nothing left to tell
                                  one wins         a crash here ─┴─ or here ─► the sweep

The incident's record says what is still to be told. Who tells it claims it first, in the same
record, for longer than telling takes; a claim that ran out is another's. So a receiver hears of an
incident once, unless an answer was lost: then it hears of it again, under the same ``webhook-id``.
"""

import asyncio
import hashlib
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, time

from lastevent.core.errors import (
    Conflict,
    LastEventError,
    Transient,
    UpstreamLost,
    UpstreamRefused,
)
from lastevent.services.incident import Detail, Incident, plain
from lastevent.services.webhook import Webhook
from lastevent.stores.base import Clock, Record, Store

KIND = "alerts"
UNSETTLED = "alerts-unsettled"
"""Those that are to be told, or go on: the sweep goes by them."""

KEEP_SECONDS = 7 * 24 * 3600
"""How long an incident is remembered after it was last written."""

STALE_SECONDS = 120.0
"""A mark that was set longer ago and leads to nothing is taken off: what was about to be written
when it was set has been written, or never will be."""

ROUND_SECONDS = 20.0
PAUSES = (0.5, 2.0)
"""Seconds between the attempts of one round; three fit in."""

SWEEP_SECONDS = 30.0
"""After so long a sweep begins no other round: what is left is the next one's. A receiver that is
away makes every round as long as it may be, and a sweep has to end within its platform's time."""

MAX_SWEPT = 1000
_PAGE = 100
_ATTEMPTS = 20
_CROWDED = "this alert is written by too many at once"
_LONGEST_KEY = 200
"""Of an incident's key in its record's id; what is longer ends in its digest there."""

log = logging.getLogger("lastevent")


@dataclass(frozen=True, slots=True)
class Alerts:
    """The incidents in a store, and the webhook that is told of them."""

    store: Store
    webhook: Webhook
    clock: Clock = time

    async def notice(
        self,
        kind: str,
        key: str,
        title: str,
        details: Mapping[str, Detail],
        quiet_seconds: float | None = None,
    ) -> bool:
        """Have the incident that ``kind`` and ``key`` name told; return whether it is a new one.

        Of what goes on, with ``quiet_seconds``, every sighting is to be noticed: it is over after
        so long without one, and is then told of anew when it comes back. What only happens is
        told once in KEEP_SECONDS. Returns when that is certain, and the first round of telling is
        over: within ROUND_SECONDS, and as a rule at once. Raises Transient if it could not be
        written down.
        """
        key = plain(key)
        id = _id(kind, key)
        for attempt in range(_ATTEMPTS):
            record = await self.store.records.get(KIND, id)
            now = self._now()
            before = None if record is None else Incident.parse(record.value)
            if before is not None and before.has_gone_quiet(now):
                await self._end(id)
                continue
            is_new = before is None or before.over is not None
            if before is None or is_new:
                await self.store.records.put(UNSETTLED, id, "", seconds=KEEP_SECONDS)
                quiet_ms = None if quiet_seconds is None else int(quiet_seconds * 1000)
                after = Incident.new(kind, key, title, details, quiet_ms, now)
            else:
                after = before.seen_again(now)
            if after == before:
                return False
            if await self._put(id, after, record, attempt):
                if is_new:
                    await self._tell(id)
                return is_new
        raise Transient(_CROWDED)

    async def sweep(self) -> list[Incident]:
        """Tell what is left to tell, and end what has gone quiet; return those that were.

        One that fails stops nothing else; raises Transient at the end if the store was away.
        """
        until = monotonic() + SWEEP_SECONDS
        found: list[Incident] = []
        failed: LastEventError | None = None
        after = ""
        for _ in range(0, MAX_SWEPT, _PAGE):
            marks = await self.store.records.query(UNSETTLED, after=after, limit=_PAGE)
            for mark in marks:
                if monotonic() > until:
                    break
                try:
                    incident = await self._settle(mark)
                except Transient as error:
                    failed = error
                else:
                    found += [] if incident is None else [incident]
            if len(marks) < _PAGE or monotonic() > until:
                break
            after = marks[-1].id
        if failed is not None:
            raise Transient(f"not all alerts could be seen to: {failed}") from failed
        return found

    async def going_on(self, limit: int) -> list[Incident]:
        """Return incidents that are not over, or of which there is still to be told."""
        found = []
        for mark in await self.store.records.query(UNSETTLED, limit=limit):
            record = await self.store.records.get(KIND, mark.id)
            incident = None if record is None else Incident.parse(record.value)
            if incident and not incident.is_settled and not incident.has_gone_quiet(self._now()):
                found.append(incident)
        return found

    async def _settle(self, mark: Record) -> Incident | None:
        record = await self.store.records.get(KIND, mark.id)
        now = self._now()
        incident = None if record is None else Incident.parse(record.value)
        if incident is None or incident.is_settled:
            if now / 1000 - mark.updated / 1000 > STALE_SECONDS:
                with suppress(Conflict):  # it was set anew
                    await self.store.records.delete(UNSETTLED, mark.id, expect=mark.version)
            return None
        if incident.has_gone_quiet(now):
            return await self._end(mark.id)
        return await self._tell(mark.id)

    async def _end(self, id: str) -> Incident | None:
        """End an incident that has gone quiet, and tell that."""
        now = self._now()
        await self._change(id, lambda it: it.ended(now) if it.has_gone_quiet(now) else it)
        return await self._tell(id)

    async def _tell(self, id: str) -> Incident | None:
        """Tell what is due, unless somebody else does; return it, None if that was nothing."""
        now = self._now()
        mine = await self._change(id, lambda it: it.claimed(now) if it.is_due(now) else it)
        if mine is None:
            return None
        try:
            await self._round(mine)
        except (UpstreamLost, UpstreamRefused) as error:
            log.warning("%s cannot be told of now: %s", mine.id, error)
            wait = error.retry_after if isinstance(error, UpstreamLost) else None
            later = self._now()
            after = await self._change(id, _same(mine, lambda it: it.put_off(later, wait)))
            if after is not None and after.untold is None:
                log.error("%s is given up, untold: %s", mine.id, mine.title)
        else:
            log.info("%s told: %s", mine.message_id, mine.title)
            await self._change(id, _same(mine, Incident.told))
        return mine

    async def _round(self, incident: Incident) -> None:
        """Post the message, in some attempts; raise what the last one met."""
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                for pause in PAUSES:
                    try:
                        return await self.webhook.post(incident.message_id, incident.message)
                    except UpstreamLost as error:
                        if (error.retry_after or 0.0) > pause:
                            raise
                    await asyncio.sleep(pause)
                await self.webhook.post(incident.message_id, incident.message)
        except TimeoutError as error:
            raise UpstreamLost("the webhook's receiver does not answer in time") from error

    async def _change(self, id: str, change: Callable[[Incident], Incident]) -> Incident | None:
        """Write the record anew; return it, None if there was nothing to change."""
        for attempt in range(_ATTEMPTS):
            record = await self.store.records.get(KIND, id)
            if record is None:
                return None
            before = Incident.parse(record.value)
            after = change(before)
            if after == before:
                return None
            if await self._put(id, after, record, attempt):
                return after
        raise Transient(_CROWDED)

    async def _put(self, id: str, incident: Incident, record: Record | None, attempt: int) -> bool:
        """Write an incident over a record; return False, after a pause, if others were quicker."""
        expect, text = 0 if record is None else record.version, incident.text
        try:
            await self.store.records.put(KIND, id, text, expect=expect, seconds=KEEP_SECONDS)
        except Conflict:
            await asyncio.sleep(random.uniform(0, 0.005 * (attempt + 1)))
            return False
        return True

    def _now(self) -> int:
        return int(self.clock() * 1000)


def _id(kind: str, key: str) -> str:
    if len(key) > _LONGEST_KEY:
        key = f"{key[:_LONGEST_KEY]}~{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"
    return f"{kind}/{key}"


def _same(mine: Incident, change: Callable[[Incident], Incident]) -> Callable[[Incident], Incident]:
    """Have ``change`` made only while there is to be told what was claimed, by who claimed it."""

    def changed(now: Incident) -> Incident:
        same = (now.id, now.untold, now.rounds) == (mine.id, mine.untold, mine.rounds)
        return change(now) if same else now

    return changed
