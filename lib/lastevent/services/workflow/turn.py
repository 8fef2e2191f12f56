"""A turn: what one invocation does of a run that it has taken.

The work goes on in a task, beside those that keep the record up to date and see whether it has to
end: because somebody wants that, because the run is another's by now, because the process or the
invocation ends. Then the work is cancelled, wherever it is, and the record says where the next turn
goes on.
"""

import asyncio
import logging
from collections.abc import Collection
from time import time
from typing import Literal

from lastevent.core.errors import Fenced
from lastevent.services.workflow.hold import Hold
from lastevent.services.workflow.journal import Journal
from lastevent.services.workflow.records import Found, WorkflowRecords
from lastevent.services.workflow.stage import ActiveRun
from lastevent.services.workflow.transitions import cancelled, failed, left
from lastevent.services.workflow.values import Skipped, Workflow

WAIT_SECONDS = 5.0
"""How long an invocation with a deadline waits for another attempt before it leaves it to the next
one."""

GRACE_SECONDS = 2.0
"""How long work that is cancelled may take to end."""

TIME_UP = "the whole took too long"

Outcome = Literal["over", "left", "later", "elsewhere"]
"""``over``: there is nothing more to do. ``left``: somebody is to go on with it at once; ``later``:
somebody is to, at its ``again_at``. ``elsewhere``: another has it."""

log = logging.getLogger("lastevent")


class Turn:
    """A run that ``hold`` has the lease of.

    ``ends_at``: when it is left at the latest, in the event loop's time; ``leaving``: it is left
    once that is set. ``look_seconds``: how often it is seen whether somebody wants its end.
    """

    def __init__(
        self,
        records: WorkflowRecords,
        found: Found,
        hold: Hold,
        *,
        ends_at: float | None,
        leaving: asyncio.Event | None,
        look_seconds: float,
        patience_seconds: float,
    ) -> None:
        self.journal = Journal(
            records, found, hold.holder, self._cancel, patience_seconds=patience_seconds
        )
        self._records = records
        self._hold = hold
        self._ends_at = ends_at
        self._leaving = leaving or asyncio.Event()
        self._look_seconds = look_seconds
        self._stopping = asyncio.Event()
        self._is_cancelled = False
        self._is_put_off = False
        if found.run.cancelling:
            self._cancel()

    async def run(self, workflow: Workflow | None) -> Outcome:
        """Go on with the run as far as this turn gets; not at all if this process does not know its
        workflow. Raises Transient when the store stays away.

        The record is up to date then, and all that happened is told.
        """
        try:
            async with self._hold.keeping(self._lose):
                spent_ms = 0
                if workflow is None:
                    log.error("the workflow %s is not known here", self.journal.run.workflow)
                    self._is_put_off = True
                elif not self._is_cancelled:
                    spent_ms = await self._proceed(workflow)
                return await self._leave(spent_ms)
        except Fenced:
            return "elsewhere"
        finally:
            self.journal.close()

    async def _proceed(self, workflow: Workflow) -> int:
        """Work until there is nothing to do, or until something ends it; return for how many ms the
        stage at which it stands has been worked on."""
        active = ActiveRun(workflow, self.journal, self._records)
        tasks = [
            asyncio.create_task(it)
            for it in (
                self._work(workflow, active),
                self.journal.keep_up(),
                self._look(),
                _until(self._stopping),
                _until(self._leaving),
            )
        ]
        try:
            await asyncio.wait(
                tasks, timeout=self._seconds_left(), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            await _end(tasks)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()  # or what ended it, if that was trouble
        return active.spent_ms

    async def _leave(self, spent_ms: int) -> Outcome:
        """Write down where the run stands, and tell the rest."""
        journal, now = self.journal, int(time() * 1000)
        if not journal.run.is_over:
            current = journal.run.current
            if self._is_cancelled:
                await journal.write(lambda run: cancelled(run, now))
            elif now >= journal.run.ends_at and current is not None:
                await journal.write(lambda run: failed(run, current.name, TIME_UP, now))
            else:
                await journal.write(lambda run: left(run, spent_ms))
        await journal.settle()
        if journal.run.is_over:
            return "over"
        return "later" if self._is_put_off else "left"

    async def _work(self, workflow: Workflow, active: ActiveRun) -> None:
        """Do stage after stage, and each until it is done; return when the run is over, or when the
        next attempt is to be another turn's."""
        journal = self.journal
        for name in [stage.name for stage in journal.run.stages]:
            while not journal.run.is_over and not journal.run.stage(name).is_done:
                if not await self._is_time():
                    return
                before = journal.run.stage(name).failures
                try:
                    await self._do(workflow, active, name)
                except Exception:
                    after = journal.run.stage(name).failures
                    if journal.is_lost or (after == before and not journal.run.is_over):
                        raise  # it could not even be written down

    async def _do(self, workflow: Workflow, active: ActiveRun, name: str) -> None:
        stage = workflow.stage(name)
        if stage is None:
            why, now = f"there is no stage {name} any more", int(time() * 1000)
            await self.journal.write(lambda run: failed(run, name, why, now))
            return
        async with active.stage(name) as context:
            result = await stage.work(context)
            if isinstance(result, Skipped):
                context.skip(result.reason)
            elif result is not None:
                context.result = result

    async def _is_time(self) -> bool:
        """Wait for the time of the next attempt; return False if that is another turn's."""
        again_at = self.journal.run.again_at
        wait = 0.0 if again_at is None else again_at / 1000 - time()
        if wait > WAIT_SECONDS and self._ends_at is not None:
            self._is_put_off = True
            return False
        await asyncio.sleep(max(wait, 0.0))
        return True

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            await self.journal.look()

    def _seconds_left(self) -> float:
        left = self.journal.run.ends_at / 1000 - time()
        if self._ends_at is not None:
            left = min(left, self._ends_at - asyncio.get_running_loop().time())
        return max(left, 0.0)

    def _cancel(self) -> None:
        self._is_cancelled = True
        self._stopping.set()

    def _lose(self) -> None:
        self.journal.close()
        self._stopping.set()


async def _until(event: asyncio.Event) -> None:
    await event.wait()


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel what still runs, and wait for it as long as it may take."""
    for task in tasks:
        task.cancel()
    _, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
    if late:
        log.warning("%d tasks of a workflow do not end although they were cancelled", len(late))
