"""What the work of a stage gets, and how a run reports its stages.

    async with run.stage("ai_parsing") as stage:
        await stage.progress(40, "Read 12 of 30 lines")
        stage.result = {"lineItems": 30, "confidence": 95}

The stage is begun and told of on the way in; on the way out it is completed with its result,
skipped, put off to another attempt, or failed, and what its work raised goes on to the caller.
"""

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import time
from typing import Any

from lastevent.core.errors import InvalidRequest, LastEventError, Transient, UpstreamLost
from lastevent.services.workflow.journal import Journal
from lastevent.services.workflow.records import WorkflowRecords
from lastevent.services.workflow.transitions import (
    Transition,
    checkpointed,
    completed,
    delayed,
    failed,
    skipped,
    started,
)
from lastevent.services.workflow.values import Input, Run, Stage, StageState, Workflow

LONGEST_KEY = 255
DEFECT = "something went wrong here; it has been logged"

log = logging.getLogger("lastevent")


class StageContext:
    """A stage as its work sees it. Its ``result`` is what it is completed with."""

    def __init__(self, journal: Journal, records: WorkflowRecords, name: str) -> None:
        self.name = name
        self.result: Mapping[str, Any] = {}
        self.skipped: str | None = None
        self._journal = journal
        self._records = records
        self.attempt = self._state.failures + 1

    @property
    def run(self) -> Run:
        """The run as it was written last."""
        return self._journal.run

    @property
    def merchant(self) -> str:
        """Whose run it is."""
        return self.run.merchant

    @property
    def subject(self) -> str:
        """What the run is about: a purchase order's id."""
        return self.run.subject

    @property
    def results(self) -> Mapping[str, Mapping[str, Any]]:
        """What the stages before it have found, by their names."""
        return self.run.results

    async def input(self) -> Input:
        """Return what the run works on; raise NotFound when that is kept no more."""
        return await self._records.input(self.run.key)

    async def progress(self, percent: float, message: str | None = None) -> None:
        """Say how far the stage is, 0 to 100, and what it does.

        May be called as often as one likes: the newest is told, some times a second. Never waits
        for the store, but lets others run.
        """
        self._journal.note(self.name, int(percent), message)
        await asyncio.sleep(0)

    async def checkpoint(self, key: str, value: Any = True) -> None:
        """Write down that something is done, and what came of it, as JSON; return when it is.

        Whoever does this stage again, in whatever process, gets the value from ``done``.
        """
        await self._journal.write(lambda run: checkpointed(run, self.name, key, value))

    def done(self, key: str) -> Any:
        """Return what was written down under ``key``, None if nothing was."""
        return self._state.checkpoints.get(key)

    def key(self, name: str) -> str:
        """Return an idempotency key for an effect: the same whenever this stage is done again."""
        text = f"{self.run.id}:{self.name}:{name}"
        if len(text) <= LONGEST_KEY and text.isascii() and text.isprintable():
            return text
        return f"{self.run.id}:{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"

    def skip(self, reason: str) -> None:
        """Have the stage end as skipped; the reason is shown."""
        self.skipped = reason

    @property
    def _state(self) -> StageState:
        return self.run.stage(self.name)


class ActiveRun:
    """A run in the hands of its runner."""

    def __init__(self, workflow: Workflow, journal: Journal, records: WorkflowRecords) -> None:
        self._workflow = workflow
        self._journal = journal
        self._records = records
        self._began = asyncio.get_running_loop().time()

    @property
    def spent_ms(self) -> int:
        """How long ago the present stage was begun, or gone on with, here."""
        return int(1000 * (asyncio.get_running_loop().time() - self._began))

    @asynccontextmanager
    async def stage(self, name: str) -> AsyncIterator[StageContext]:
        """Report a stage, whose work is done while this is held.

        Its time limit holds for what is done within. Raises InvalidRequest for a stage that the
        workflow does not have; Fenced when another has the run.
        """
        definition = self._workflow.stage(name)
        if definition is None:
            raise InvalidRequest(f"the workflow {self._workflow.name} has no stage {name}")
        run = await self._journal.write(lambda run: started(run, name, _now()))
        self._began = asyncio.get_running_loop().time()
        context = StageContext(self._journal, self._records, name)
        left = definition.seconds - run.stage(name).spent_ms / 1000
        try:
            async with asyncio.timeout(max(left, 0.0)) as limit:
                yield context
            await self._journal.write(_end(context))
        except Exception as error:
            if not self._journal.is_lost:
                why = error
                if isinstance(error, TimeoutError) and limit.expired():
                    why = Transient(f"it took longer than {definition.seconds:g} seconds")
                await self._journal.write(_failure(context, definition, why))
            raise


def _end(context: StageContext) -> Transition:
    name, reason, result, now = context.name, context.skipped, context.result, _now()
    if reason is not None:
        return lambda run: skipped(run, name, reason, now)
    return lambda run: completed(run, name, result, now)


def _failure(context: StageContext, definition: Stage, error: Exception) -> Transition:
    """Return what becomes of a stage by what its work raised."""
    name, now = context.name, _now()
    told = isinstance(error, LastEventError)
    sentence = str(error) if told else DEFECT
    if not told:
        log.error("the stage %s of %s failed", name, context.run.key, exc_info=error)
    final = told and not isinstance(error, Transient)
    if final or context.attempt > definition.retries:
        return lambda run: failed(run, name, sentence, now)
    pause = definition.backoff_seconds * 2 ** (context.attempt - 1)
    pause = min(pause, definition.longest_backoff_seconds) * random.uniform(0.5, 1.0)
    if isinstance(error, UpstreamLost) and error.retry_after is not None:
        pause = max(pause, error.retry_after)
    message = f"Attempt {context.attempt} failed: {sentence}"
    return lambda run: delayed(run, name, context.attempt, message, now + int(1000 * pause), now)


def _now() -> int:
    return int(time() * 1000)
