"""What a store keeps of workflows: runs, what they work on, and which are unfinished."""

import base64
import hashlib
import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from lastevent.core.errors import Conflict, KeyReused, NotFound, TooLarge
from lastevent.services.outbox import Letter, tell
from lastevent.services.workflow.transitions import Step, Transition
from lastevent.services.workflow.values import Input, Run
from lastevent.stores.base import KEY_SECONDS, Record, Store

KIND = "workflows"
UNFINISHED = "workflows-unfinished"
"""Runs that are not known to be over and told of: the sweep goes by them."""

INPUTS = "workflow-inputs"
KEYS = "workflow-keys"

INPUT_SECONDS = 30 * 24 * 3600
"""How long what a run works on is kept: it can be run again as long."""

MAX_INPUT_BYTES = 256 * 1024
"""Some stores' documents have at most 380 KB, and base64 adds a third."""

MAX_LISTED = 100
MAX_UNFINISHED = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """A run as a store has it; ``updated``: when it was last written, in Unix ms."""

    run: Run
    version: int
    updated: int


class WorkflowRecords:
    """The records of workflows in a store."""

    def __init__(self, store: Store) -> None:
        self._records = store.records
        self._streams = store.log

    async def add(self, run: Run, input: Input) -> Run:
        """Write down a new run and what it works on; return it, or the one that is there."""
        if len(input.content) > MAX_INPUT_BYTES:
            raise TooLarge(f"a file has at most {MAX_INPUT_BYTES // 1024} KB")
        value = {
            "content": base64.b64encode(input.content).decode(),
            "type": input.content_type,
            "name": input.name,
        }
        # The run last: who finds it finds the rest.
        await self.unfinish(run.key)
        await self._records.put(INPUTS, run.key, json.dumps(value), seconds=INPUT_SECONDS)
        with suppress(Conflict):
            await self.put(run, 0)
            return run
        return (await self.get(run.key)).run

    async def named(self, merchant: str, key: str, digest: bytes, name: str) -> str:
        """Return the name that the first call with this idempotency key gave; of a day.

        ``digest`` says what the key came with. Raises KeyReused if that was something else.
        """
        id = f"{merchant}/{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"
        value = json.dumps([digest.hex(), name])
        try:
            await self._records.put(KEYS, id, value, expect=0, seconds=KEY_SECONDS)
        except Conflict:
            record = await self._records.get(KEYS, id)
            if record is not None:
                before, first = json.loads(record.value)
                if before != digest.hex():
                    raise KeyReused("this Idempotency-Key came with another upload") from None
                return str(first)
        return name

    async def get(self, key: str) -> Found:
        """Return a run; raise NotFound."""
        record = await self._records.get(KIND, key)
        if record is None:
            raise NotFound(f"there is no {key.partition('/')[2][:80]!r} here")
        return Found(Run.parse(record.value), record.version, record.updated)

    async def put(self, run: Run, expect: int) -> Found:
        """Write a run; return it as it is there then. Raises Conflict unless ``expect`` is the
        version that it has now."""
        record = await self._records.put(KIND, run.key, run.text, expect=expect)
        return Found(run, record.version, record.updated)

    async def of_merchant(
        self, merchant: str, after: str = "", limit: int = MAX_LISTED
    ) -> list[Run]:
        """Return a merchant's runs by their subjects, which sort newest first, after ``after``."""
        prefix = f"{merchant}/"
        records = await self._records.query(
            KIND, prefix=prefix, after=f"{prefix}{after}" if after else "", limit=limit
        )
        return [Run.parse(record.value) for record in records]

    async def input(self, key: str) -> Input:
        """Return what a run works on; raise NotFound when it is kept no more."""
        record = await self._records.get(INPUTS, key)
        if record is None:
            raise NotFound("the file of this is not kept any more: send it again")
        value = json.loads(record.value)
        return Input(base64.b64decode(value["content"]), value["type"], value["name"])

    async def change(self, key: str, transition: Transition) -> Run:
        """Write a run anew, and tell of it; return it. Raises NotFound and what the transition
        does. Others may write it meanwhile: the transition is asked again."""
        letter = secrets.token_hex(16)
        while True:
            found = await self.get(key)
            after = addressed(transition(found.run), letter)
            if after == found.run:
                return after
            with suppress(Conflict):
                return (await self.deliver(await self.put(after, found.version))).run

    async def deliver(self, found: Found) -> Found:
        """Tell what is left to tell in a run's record, and take it off."""
        while found.run.outbox:
            await tell(self._streams, found.run.outbox)
            after = found.run.having_told(found.run.outbox)
            try:
                found = await self.put(after, found.version)
            except Conflict:
                found = await self.get(after.key)
        return found

    async def tell(self, letters: Sequence[Letter]) -> None:
        """Tell letters, as outbox.tell does."""
        await tell(self._streams, letters)

    async def unfinish(self, key: str) -> None:
        """Have the sweep look after a run; to be called before what makes that necessary."""
        await self._records.put(UNFINISHED, key, "")

    async def unfinished(self, merchant: str = "") -> list[Record]:
        """Return the marks of the runs that are not over, of one merchant or of all."""
        found: list[Record] = []
        prefix = f"{merchant}/" if merchant else ""
        while len(found) < MAX_UNFINISHED:
            page = await self._records.query(
                UNFINISHED,
                prefix=prefix,
                after=found[-1].id if found else "",
                limit=MAX_LISTED,
            )
            found += page
            if len(page) < MAX_LISTED:
                break
        return found

    async def mark(self, key: str) -> Record | None:
        """Return the mark of an unfinished run, None if there is none."""
        return await self._records.get(UNFINISHED, key)

    async def finish(self, mark: Record) -> None:
        """Take a mark off, unless it was set anew since it was read."""
        with suppress(Conflict):
            await self._records.delete(UNFINISHED, mark.id, expect=mark.version)


def addressed(step: Step, key: str) -> Run:
    """Return a step's run with its events as a letter of this key, to the merchant's stream."""
    if not step.events:
        return step.run
    return step.run.telling(Letter(step.run.stream, step.events, key))
