"""A run's record, as its one runner writes it; and what is told of it, in the order of the writes.

Each write is a compare-and-set. Where it meets what another wrote, the record's ``runner`` says
what that means: if it is still this one, somebody else has asked for the end or has told letters,
and the change is made anew on top; if not, this runner is late, and writes nothing more (RULES 14).

What is told is written first, and taken off with the next write.
"""

import asyncio
import secrets
from collections.abc import Callable
from time import time

from lastevent.core.errors import Conflict, Fenced, NotFound
from lastevent.services.outbox import Letter
from lastevent.services.workflow.records import Found, WorkflowRecords, addressed
from lastevent.services.workflow.transitions import Step, Transition, advanced
from lastevent.services.workflow.values import Run
from lastevent.sources.lease import patiently

PACE_SECONDS = 0.2
"""Progress is written, and told, at most so often."""


class Journal:
    """The journal of a run that ``runner`` has.

    ``patience_seconds``: how long a store that is away is waited for. ``on_cancel`` is called when
    somebody is seen to want the run's end.
    """

    def __init__(
        self,
        records: WorkflowRecords,
        found: Found,
        runner: str,
        on_cancel: Callable[[], object],
        *,
        patience_seconds: float,
    ) -> None:
        self.run = found.run
        self.is_lost = False
        """Whether another has the run, or this one is to write no more."""
        self._records = records
        self._version = found.version
        self._runner = runner
        self._on_cancel = on_cancel
        self._patience = patience_seconds
        self._told: tuple[Letter, ...] = ()
        self._noted: tuple[str, int, str | None, int] | None = None
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()

    async def write(self, transition: Transition) -> Run:
        """Write the run as it is after a transition, and tell of it; return it.

        Raises Fenced when another has the run, Transient when the store stays away, TooLarge, and
        what the transition does.
        """
        key = secrets.token_hex(16)
        async with self._writing:
            noted = self._noted
            while True:
                before = self.run.having_told(self._told)
                after = addressed(_after(before, noted).then(transition), key)
                if after == before:
                    break
                try:
                    await self._put(after)
                except Conflict:
                    await self._read()
                    continue
                break
            if self._noted is noted:
                self._noted = None
            await self._tell()
            return self.run

    def note(self, stage: str, percent: int, message: str | None) -> None:
        """Have a stage's progress written with the next write, or soon."""
        self._noted = (stage, percent, message, int(time() * 1000))
        self._news.set()

    async def keep_up(self) -> None:
        """Write what is noted, as long as this runs. Raises as ``write`` does."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._noted is not None:
                await self.write(Step)
                await asyncio.sleep(PACE_SECONDS)

    async def look(self) -> None:
        """See whether somebody wants the run's end. Raises as ``write`` does."""
        async with self._writing:
            await self._read()

    async def settle(self) -> None:
        """Take off what is told, so that nobody tells it again."""
        async with self._writing:
            after = self.run.having_told(self._told)
            if after != self.run:
                try:
                    await self._put(after)
                except Conflict:
                    self.is_lost = True  # whoever wrote it sees to the rest

    def close(self) -> None:
        """Have it write no more, whatever a stage still does that should have ended."""
        self.is_lost = True

    async def _put(self, run: Run) -> None:
        self._must_be_ours()
        version = self._version
        put = await patiently(lambda: self._records.put(run, version), self._patience)
        self.run, self._version = run, put.version

    async def _read(self) -> None:
        self._must_be_ours()
        try:
            found = await patiently(lambda: self._records.get(self.run.key), self._patience)
        except NotFound:
            found = None
        if found is None or found.run.runner != self._runner:
            self.is_lost = True
            self._must_be_ours()
        else:
            self.run, self._version = found.run, found.version
            if self.run.cancelling:
                self._on_cancel()

    async def _tell(self) -> None:
        new = tuple(it for it in self.run.outbox if it not in self._told)
        if new:
            await patiently(lambda: self._records.tell(new), self._patience)
        self._told = self.run.outbox

    def _must_be_ours(self) -> None:
        if self.is_lost:
            raise Fenced("another has this run")


def _after(run: Run, noted: tuple[str, int, str | None, int] | None) -> Step:
    return Step(run) if noted is None else advanced(run, *noted)
