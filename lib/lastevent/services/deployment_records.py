"""What a store keeps of deployments and of the projects that they are of."""

import json
from collections.abc import Callable
from contextlib import suppress

from lastevent.core.errors import Conflict, Transient
from lastevent.services.deployment import Deployment
from lastevent.sources.vercel.progress import Took
from lastevent.sources.vercel.snapshot import Snapshot
from lastevent.stores.base import Record, Store

KIND = "deployments"
UNSETTLED = "deployments-unsettled"
"""Deployments that go on, or whose log is still there: the sweep goes by them."""

PROJECTS = "projects"

FOLLOWED_SECONDS = 30 * 24 * 3600
"""How long the record of a deployment is kept that was not published here."""

UNSETTLED_SECONDS = 7 * 24 * 3600
PROJECT_SECONDS = 90 * 24 * 3600
MAX_UNSETTLED = 1000


class DeploymentRecords:
    """The records; sources.vercel.logs.Ledger for those who read a log."""

    def __init__(self, store: Store) -> None:
        self._records = store.records

    async def get(self, id: str) -> Record | None:
        """Return a deployment's record, None if there is none."""
        return await self._records.get(KIND, id)

    async def put(self, deployment: Deployment, expect: int | None = None) -> None:
        """Write a deployment's record; raise Conflict unless ``expect`` is its version."""
        # What was published here stays: who published it asks for it some day.
        seconds = None if deployment.publisher else FOLLOWED_SECONDS
        await self._records.put(
            KIND, deployment.id, deployment.text, expect=expect, seconds=seconds
        )

    async def change(
        self, id: str, change: Callable[[Deployment], Deployment]
    ) -> Deployment | None:
        """Write the record anew; return it, None if there is none. Others may write meanwhile."""
        while True:
            record = await self.get(id)
            if record is None:
                return None
            before = Deployment.parse(record.value)
            after = change(before)
            if after == before:
                return after
            with suppress(Conflict):
                await self.put(after, record.version)
                return after

    async def see(self, now: Snapshot) -> Deployment:
        """Bring the record up to what the deployment looks like now; return it."""
        while True:
            changed = await self.change(now.id, lambda it: it.seen(now))
            if changed is not None:
                return changed
            deployment = Deployment.of(now)
            with suppress(Conflict):
                await self.unsettle(now.id)
                await self.put(deployment, 0)
                return deployment

    async def unsettle(self, id: str) -> None:
        """Have the sweep look after a deployment."""
        if await self._records.get(UNSETTLED, id) is None:
            await self._records.put(UNSETTLED, id, "", seconds=UNSETTLED_SECONDS)

    async def settle(self, id: str) -> None:
        """Have the sweep look after it no more."""
        await self._records.delete(UNSETTLED, id)

    async def unsettled(self) -> list[str]:
        """Return the ids of the deployments that the sweep is to look after."""
        return [record.id for record in await self._records.query(UNSETTLED, limit=MAX_UNSETTLED)]

    # The Ledger: what it cannot write down now is no reason to stop reading.

    async def note(self, now: Snapshot) -> None:
        """Write down what a deployment looks like now."""
        with suppress(Transient):
            await self.see(now)

    async def last_took(self, project: str) -> Took | None:
        """Return what the project's last successful build took."""
        with suppress(Transient):
            record = await self._records.get(PROJECTS, project)
            if record is not None:
                return Took(*json.loads(record.value))
        return None

    async def note_took(self, project: str, took: Took) -> None:
        """Write down what a successful build took."""
        with suppress(Transient):
            await self._records.put(PROJECTS, project, json.dumps(took), seconds=PROJECT_SECONDS)
