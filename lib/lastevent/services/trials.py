"""Trials of connections: begun, fed with numbers, and asked for faults, by their owners.

All that is known of one is a record and its stream, so any process serves it. How much anybody may
do is bounded: trials by a rate, numbers since each is appended once, faults by a count, and all of
it by time, after which nothing is left.
"""

import asyncio
import json
import random
from time import time

from lastevent.core.errors import Conflict, NotFound
from lastevent.core.event import NewEvent
from lastevent.services.rates import Rate, Rates
from lastevent.services.trial import FAULT, NUMBER, TRIAL_SECONDS, Fault, Trial, base_of, trial_id
from lastevent.stores.base import Record, Store

KIND = "trials"
RATE = Rate(20, 600.0)
"""Of one user, over all servers together."""

_ATTEMPTS = 6


class Trials:
    """The trials of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rates = Rates(store.records)

    async def begin(self, owner: str) -> Trial:
        """Begin a trial; raise TooManyRequests for one too many."""
        await self._rates.take("trials", owner, RATE)
        trial = Trial.new(owner, _now())
        await self._store.records.put(
            KIND, trial.stream, trial.render(), expect=0, seconds=TRIAL_SECONDS
        )
        return trial

    async def get(self, owner: str, id: str) -> Trial:
        """Return a trial; raise NotFound for one that is over."""
        return Trial.parse((await self._record(owner, id)).value)

    async def publish(self, trial: Trial, number: int) -> str:
        """Append a number, unless that has been done; return its event's id."""
        event = NewEvent(NUMBER, json.dumps({"n": number}, separators=(",", ":")))
        appended = await self._store.log.append(trial.stream, [event], key=f"{NUMBER}/{number}")
        return appended.ids[0]

    async def ask(self, owner: str, id: str, fault: Fault) -> str:
        """Have the responses that are open obey ``fault``; return its event's id.

        Raises TooManyRequests when the trial had enough, Conflict if too many ask at once.
        """
        for _ in range(_ATTEMPTS):
            record = await self._record(owner, id)
            now = _now()
            trial = Trial.parse(record.value).asked(fault, now)
            if not await self._put(record, trial, now):
                continue
            # What the next request is answered is known before anybody is sent to ask.
            event = NewEvent(FAULT, json.dumps({"fault": fault}, separators=(",", ":")))
            key = f"{FAULT}/{trial.faults}"
            return (await self._store.log.append(trial.stream, [event], key=key)).ids[0]
        raise Conflict("too many faults are asked for at once")

    async def met(self, owner: str, id: str, reader: str) -> tuple[Trial, Fault | None]:
        """Return a trial, and what a request of ``reader`` is refused with, None if it is served.

        A refusal that was asked for is met once by each reader. Raises NotFound for a trial that is
        over, Conflict if too many requests meet one at once.
        """
        for _ in range(_ATTEMPTS):
            record = await self._record(owner, id)
            now = _now()
            trial = Trial.parse(record.value)
            fault = trial.answer(reader, now)
            if fault is None or await self._put(record, trial.told(reader), now):
                return trial, fault
        raise Conflict("too many requests meet a refusal at once")

    async def _record(self, owner: str, id: str) -> Record:
        stream = f"{base_of(owner)}:{trial_id(id)}"
        record = await self._store.records.get(KIND, stream)
        if record is None:
            raise NotFound("there is no such trial, or it is over: begin another")
        return record

    async def _put(self, record: Record, trial: Trial, now: int) -> bool:
        """Write it, for as long as it lasts; return False if another did before."""
        left = max(1.0, (trial.expires - now) / 1000)
        try:
            await self._store.records.put(
                KIND, record.id, trial.render(), expect=record.version, seconds=left
            )
        except Conflict:
            await asyncio.sleep(random.uniform(0, 0.05))
            return False
        return True


def _now() -> int:
    return int(time() * 1000)
