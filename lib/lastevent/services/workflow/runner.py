"""Runs a run in this invocation: from where the last one left it, as far as it gets.

    lease ─► take the record ─► stage by stage, what is done is not done again ─► the end is told
                 ▲                     │ deadline, shutdown, a later attempt
                 └── the next one ◄────┴─ what is done is written, the record left, the lease let go

A run whose process dies is as its record says; when the lease has run out, the next one takes it.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from time import time

from lastevent.core.errors import Conflict, Fenced, Transient
from lastevent.services.workflow.hold import Hold
from lastevent.services.workflow.journal import Journal
from lastevent.services.workflow.records import Found, WorkflowRecords, addressed
from lastevent.services.workflow.transitions import taken
from lastevent.services.workflow.turn import WAIT_SECONDS, Outcome, Turn
from lastevent.services.workflow.values import Run, Workflow
from lastevent.sources.lease import PATIENCE_SECONDS
from lastevent.stores.base import Record, Store

MARGIN_SECONDS = 8.0
"""How long before its deadline an invocation leaves a run; a third of its time, if that is less."""

SHORTEST_SECONDS = 2.0
"""In less time than this a run is not gone on with."""

OnOver = Callable[[Run], Awaitable[None]]

log = logging.getLogger("lastevent")


class Runner:
    """Runs the runs of these workflows, by their names. Belongs to one event loop.

    ``lease_seconds``: how long after a process's death another goes on with its runs.
    ``patience_seconds``: how long a store that is away is waited for. ``on_over`` is awaited for
    each run that is over, at least once.
    """

    def __init__(
        self,
        store: Store,
        workflows: Mapping[str, Workflow],
        *,
        lease_seconds: float,
        patience_seconds: float = PATIENCE_SECONDS,
        on_over: OnOver | None = None,
    ) -> None:
        self._leases = store.leases
        self._records = WorkflowRecords(store)
        self._workflows = workflows
        self._lease_seconds = lease_seconds
        self._patience = patience_seconds
        self._on_over = on_over
        self._here: dict[str, Journal] = {}
        self._busy: set[str] = set()

    def __contains__(self, key: str) -> bool:
        """Whether this process has the run, or tries to."""
        return key in self._busy

    async def run(
        self, key: str, deadline: float | None = None, leaving: asyncio.Event | None = None
    ) -> Outcome:
        """Go on with a run; return when it is over, or when this invocation has to leave it.

        ``deadline`` is in the event loop's time; it is also left once ``leaving`` is set. A run
        that another has is waited for as long as a lease lasts, since its process may be dead.
        Raises NotFound, and Transient when the store stays away.
        """
        if not await self._is_free(key):
            return "elsewhere"
        self._busy.add(key)
        try:
            # Read before the run: who has it go on anew sets its mark anew first.
            mark = await self._records.mark(key)
            outcome = await self._run(key, deadline, leaving)
        finally:
            self._busy.discard(key)
        if outcome == "over" and mark is not None:
            try:
                await self.finish(mark)
            except Transient as error:
                log.warning("the end of %s is not seen to yet: %s", key, error)
        return outcome

    async def finish(self, mark: Record) -> None:
        """See to what is left to do for a run that is over, and forget that it was unfinished."""
        found = await self._records.deliver(await self._records.get(mark.id))
        if found.run.is_over:
            if self._on_over is not None:
                await self._on_over(found.run)
            await self._records.finish(mark)

    async def look(self, key: str) -> None:
        """See now, if this process has the run, whether somebody wants its end."""
        journal = self._here.get(key)
        if journal is not None:
            with contextlib.suppress(Fenced, Transient):
                await journal.look()

    async def _run(
        self, key: str, deadline: float | None, leaving: asyncio.Event | None
    ) -> Outcome:
        ends_at = None
        if deadline is not None:
            seconds = deadline - asyncio.get_running_loop().time()
            if seconds < SHORTEST_SECONDS:
                return "later"
            ends_at = deadline - min(MARGIN_SECONDS, seconds / 3)
            again_at = (await self._records.get(key)).run.again_at
            if again_at is not None and again_at / 1000 - time() > WAIT_SECONDS:
                return "later"
        hold = Hold(
            self._leases,
            f"workflow:{key}",
            seconds=self._lease_seconds,
            patience_seconds=self._patience,
        )
        try:
            if not await self._acquired(key, hold, ends_at):
                return "elsewhere"
            return await self._turn(key, hold, ends_at, leaving)
        finally:
            await hold.release()

    async def _is_free(self, key: str) -> bool:
        """Wait for this process's own turn with a run to end, which it may just be about to."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._lease_seconds
        while key in self._busy:
            if loop.time() > until:
                return False
            await asyncio.sleep(self._lease_seconds / 20)
        return True

    async def _acquired(self, key: str, hold: Hold, ends_at: float | None) -> bool:
        """Take a run's lease; return False if another has it, and lives."""
        loop = asyncio.get_running_loop()
        until = loop.time() + 1.25 * self._lease_seconds
        if ends_at is not None:
            until = min(until, ends_at)
        while not await hold.acquire():
            if loop.time() > until or (await self._records.get(key)).run.is_over:
                return False
            await asyncio.sleep(self._lease_seconds / 5)
        return True

    async def _turn(
        self, key: str, hold: Hold, ends_at: float | None, leaving: asyncio.Event | None
    ) -> Outcome:
        found = await self._taken(key, hold.holder)
        if found.run.is_over:
            return "over"
        turn = Turn(
            self._records,
            found,
            hold,
            ends_at=ends_at,
            leaving=leaving,
            look_seconds=self._lease_seconds / 3,
            patience_seconds=self._patience,
        )
        self._here[key] = turn.journal
        try:
            return await turn.run(self._workflows.get(found.run.workflow))
        finally:
            del self._here[key]

    async def _taken(self, key: str, holder: str) -> Found:
        """Write into a run's record who has it now; return it, perhaps over."""
        letter = secrets.token_hex(16)
        while True:
            found = await self._records.get(key)
            after = addressed(taken(found.run, holder, int(time() * 1000)), letter)
            if after == found.run:
                return found
            with contextlib.suppress(Conflict):
                return await self._records.put(after, found.version)
