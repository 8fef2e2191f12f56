"""Workflows: runs are begun, asked for, cancelled, run again, and found when nobody has them."""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Mapping
from time import time

from lastevent.core.errors import NotFound, Transient
from lastevent.services.workflow.records import MAX_LISTED, Found, WorkflowRecords
from lastevent.services.workflow.runner import OnOver, Runner
from lastevent.services.workflow.transitions import again, cancelling
from lastevent.services.workflow.values import Input, Run, Workflow, key_of
from lastevent.stores.base import Record, Store

STALE_SECONDS = 60.0
"""A mark that was set so long ago says nothing about what is being written just now."""

MAX_AT_ONCE = 16

_LATEST = (1 << 44) - 1

log = logging.getLogger("lastevent")


class Workflows:
    """The workflows of these names in a store, and ``runner``, which runs them in this process.

    Arguments as Runner has them.
    """

    def __init__(
        self,
        store: Store,
        workflows: Mapping[str, Workflow],
        *,
        lease_seconds: float,
        on_over: OnOver | None = None,
    ) -> None:
        self._records = WorkflowRecords(store)
        self._workflows = workflows
        self._quiet_seconds = lease_seconds / 2
        self.runner = Runner(store, workflows, lease_seconds=lease_seconds, on_over=on_over)

    async def begin(self, name: str, merchant: str, input: Input, key: str | None = None) -> Run:
        """Write down a new run of the workflow ``name``; return it. It is to be run then.

        With an idempotency ``key``, a repeated call returns the first one's run for a day. Raises
        KeyReused if that had another input, TooLarge.
        """
        workflow, now = self._workflows[name], _now()
        # Ids sort newest first, as lists are to be.
        made = f"{_LATEST - now:011x}{secrets.token_hex(4)}"
        if key is not None:
            made = await self._records.named(merchant, key, _digest(input), made)
        subject, id = f"{workflow.prefix}_{made}", f"wf_{made}"
        run = Run.new(workflow, merchant, subject, id, input.name, now)
        return await self._records.add(run, input)

    async def get(self, merchant: str, subject: str) -> Run:
        """Return a merchant's run; raise NotFound."""
        found = await self._records.get(key_of(merchant, subject))
        # What is told about it must not wait for the sweep once nobody has it.
        return (await self._records.deliver(found)).run if found.run.is_over else found.run

    async def of_merchant(
        self, merchant: str, after: str = "", limit: int = MAX_LISTED
    ) -> list[Run]:
        """Return a merchant's runs, the newest first, those after the one about ``after``."""
        return await self._records.of_merchant(merchant, after, limit)

    async def cancel(self, merchant: str, subject: str) -> Run:
        """Have a run end; return it. Whoever has it hears of it when it next looks or writes.

        Raises NotFound, and Conflict if it has ended otherwise.
        """
        key, now = key_of(merchant, subject), _now()
        run = await self._records.change(key, lambda run: cancelling(run, now))
        await self.runner.look(key)
        return run

    async def again(self, merchant: str, subject: str) -> Run:
        """Have a run that failed or was cancelled go on where it ended; return it. It is to be run
        then. Raises NotFound, and Conflict for any other."""
        key, now = key_of(merchant, subject), _now()
        run = (await self._records.get(key)).run
        workflow = self._workflows.get(run.workflow)
        if workflow is None:
            raise NotFound(f"there is no workflow {run.workflow} here any more")
        again(run, workflow.seconds, now)  # or it raises: before anything is written
        await self._records.unfinish(key)
        return await self._records.change(key, lambda run: again(run, workflow.seconds, now))

    async def abandoned(self, merchant: str = "") -> list[str]:
        """Return the keys of the runs that nobody seems to go on with, of a merchant or of all.

        What is left to do for those that are over is done. One that fails stops nothing else, and
        the log has what no repetition helps against; raises Transient if one met that and there is
        nothing to return.
        """
        marks = await self._records.unfinished(merchant)
        turns = asyncio.Semaphore(MAX_AT_ONCE)

        async def look(mark: Record) -> str | None:
            async with turns:
                return mark.id if await self._is_abandoned(mark) else None

        looks = await asyncio.gather(*map(look, marks), return_exceptions=True)
        found = [it for it in looks if isinstance(it, str)]
        trouble: Transient | None = None
        for mark, it in zip(marks, looks, strict=True):
            if isinstance(it, Transient):
                trouble = it
            elif isinstance(it, Exception):
                log.error("the run %s cannot be seen to", mark.id, exc_info=it)
            elif isinstance(it, BaseException):
                raise it
        if trouble is not None and not found:
            raise trouble
        return found

    async def _is_abandoned(self, mark: Record) -> bool:
        is_stale = time() - mark.updated / 1000 > STALE_SECONDS
        try:
            found = await self._records.get(mark.id)
        except NotFound:
            if is_stale:  # else it is just about to be written
                await self._records.finish(mark)
            return False
        if not found.run.is_over:
            return mark.id not in self.runner and self._is_quiet(found)
        if is_stale:  # else it may be just about to be run again
            await self.runner.finish(mark)
        else:
            await self._records.deliver(found)
        return False

    def _is_quiet(self, found: Found) -> bool:
        """Whether a run that is not over has not been written for so long that it is worth a try to
        take it. Its lease decides."""
        run, now = found.run, _now()
        if run.again_at is not None and run.again_at > now:
            return False
        return now - found.updated > 1000 * self._quiet_seconds


def _digest(input: Input) -> bytes:
    parts = (input.content_type.encode(), input.name.encode(), input.content)
    joined = b"".join(len(part).to_bytes(8) + part for part in parts)
    return hashlib.blake2b(joined, digest_size=16).digest()


def _now() -> int:
    return int(time() * 1000)
