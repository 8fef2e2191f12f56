"""The ledger: the records of the runs of one kind, and what their logs say of them.

The log is the truth; a record says what lists show, and follows from the log. The process that has
a run holds its stream's lease. When that process dies its work dies too, and nobody is left to say
so: whoever looks at the run next, in a list or at its log, finds the lease free and ends the log
with a ``failure`` (RULES 16). Should that one die in between, the next does the rest.
"""

import contextlib
from collections.abc import Callable, Container
from time import time

from lastevent.core.errors import Conflict, NotFound, StreamClosed
from lastevent.services.run import Run
from lastevent.sources.host import Host
from lastevent.sources.pump import failure
from lastevent.stores.base import Store

RECORD_SECONDS = 7 * 24 * 3600
"""How long the record of an ended run is kept: as long as events are by default."""

CLAIM_SECONDS = 60.0
"""How long an announced run waits for its invocation: far longer than a cold start."""

MAX_LISTED = 100
MAX_SWEPT = 1000

GONE = "The server that ran this is gone, and its work with it. Start it again."
NOT_CLAIMED = "It never began: the invocation that was to run it did not come. Start it again."
STOPPED_BEFORE = "It was stopped before it began."


class Ledger[R: Run]:
    """The runs of one kind in a store.

    ``kind`` names their records, ``parse`` reads one. Those in ``here``, by their ids, are this
    process's own, and known to live. ``lease_seconds``: for how long a log is taken to be ended.
    """

    def __init__(
        self,
        store: Store,
        kind: str,
        parse: Callable[[str], R],
        here: Container[str],
        lease_seconds: float,
    ) -> None:
        self._store = store
        self._kind = kind
        self._parse = parse
        self._here = here
        self._lease_seconds = lease_seconds

    async def add(self, run: R) -> R:
        """Write down a new run; return it. Raises Conflict if it is there already."""
        try:
            await self._store.records.put(self._kind, run.id, run.text, expect=0)
        except Conflict as error:
            raise Conflict(f"{run.stream} is there already") from error
        return run

    async def read(self, id: str) -> R:
        """Return a run as it was written last; raise NotFound."""
        return (await self._read(id))[0]

    async def get(self, id: str) -> R:
        """Return a run as it truly is; raise NotFound."""
        return await self.truth(await self.read(id))

    async def list(self) -> list[R]:
        """Return the runs whose ids sort first, at most MAX_LISTED, as they truly are."""
        records = await self._store.records.query(self._kind, limit=MAX_LISTED)
        return [await self.truth(self._parse(record.value)) for record in records]

    async def sweep(self) -> tuple[R, ...]:
        """Look at MAX_SWEPT of them; return those that were found to be over only now."""
        found = []
        after = ""
        for _ in range(0, MAX_SWEPT, MAX_LISTED):
            records = await self._store.records.query(self._kind, after=after, limit=MAX_LISTED)
            for run in (self._parse(record.value) for record in records):
                if run.is_active and not (true := await self.truth(run)).is_active:
                    found.append(true)
            if len(records) < MAX_LISTED:
                break
            after = records[-1].id
        return tuple(found)

    async def truth(self, run: R) -> R:
        """Return ``run``, or its end if nobody holds its lease who should."""
        if not run.is_active or run.id in self._here:
            return run
        if run.is_waiting and run.waited_ms(_now()) < CLAIM_SECONDS * 1000:
            return run
        host = Host(
            self._store, run.stream, lease_seconds=self._lease_seconds, patience_seconds=0.0
        )
        extent = await host.acquire()
        if extent is None:
            return run
        try:
            return await self.settle(host, run.id, extent.closed)
        finally:
            await host.release()

    async def settle(self, host: Host, id: str, closed: bool) -> R:
        """End the log, unless it is ``closed``, and the record; return it.

        ``host`` has the lease, so that whoever had the run has it no more.
        """
        run = await self.read(id)
        if not run.is_active:
            return run
        if not closed:  # else only its record is not up to date
            reason = GONE
            if not run.host:
                reason = STOPPED_BEFORE if run.state == "stopping" else NOT_CLAIMED
            with contextlib.suppress(StreamClosed):
                await host.append([failure(reason, _now())], close=True)
        return await self.catch_up(id)

    async def catch_up(self, id: str) -> R:
        """Bring the record to the end that the log has; return it."""
        stream = (await self.read(id)).stream
        extent = await self._store.log.describe(stream)
        page = await self._store.log.read(stream, extent.newest(1))
        if not page.events:  # it expired
            return await self.change(id, lambda it: it.failed(_now()))
        return await self.change(id, lambda it: it.ended(page.events[-1]))

    async def change(self, id: str, change: Callable[[R], R]) -> R:
        """Write the record anew; return it. Others may write it meanwhile: ``change`` is asked
        again, and what it raises is raised. Raises NotFound."""
        while True:
            before, version = await self._read(id)
            after = change(before)
            if after == before:
                return after
            # What is active stays, however long it runs: somebody will find its end.
            seconds = None if after.is_active else RECORD_SECONDS
            with contextlib.suppress(Conflict):
                await self._store.records.put(
                    self._kind, id, after.text, expect=version, seconds=seconds
                )
                return after

    async def _read(self, id: str) -> tuple[R, int]:
        record = await self._store.records.get(self._kind, id)
        if record is None:
            raise NotFound(f"there is nothing named {id[:80]!r} among the {self._kind}")
        return self._parse(record.value), record.version


def _now() -> int:
    return int(time() * 1000)
