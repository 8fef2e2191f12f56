"""The API of one deployment, played in the event loop's time: an hour of it passes at once.

What the deployment says, and what is wrong with how it says it, is the local server's own.
"""

import asyncio
from random import Random
from typing import Any

from infra.local.vercel_api.builds import BUILDS
from infra.local.vercel_api.chaos import Chaos
from infra.local.vercel_api.deployment import Deployment, Project, Selection
from infra.local.vercel_api.script import Script
from lastevent.core.errors import UpstreamLost
from lastevent.sources.vercel.api import VercelApi
from lastevent.sources.vercel.progress import Took
from lastevent.sources.vercel.snapshot import Snapshot

BEGAN = 1_900_000_000_000
"""In Unix ms: so late that nothing here was over long ago, unless a test says so."""


class PlayedApi(VercelApi):
    """``trouble`` is the probability that a call fails, before or after it reached the API."""

    def __init__(
        self,
        script: str | Script,
        chaos: Chaos,
        *,
        seed: int = 0,
        trouble: float = 0.0,
        began: int = BEGAN,
    ) -> None:
        super().__init__("played-token")
        project = Project(id="prj_a", name="shop", owner="u", created=began)
        if isinstance(script, str):
            script = BUILDS[script]
        self.played = Deployment(
            f"dpl_{seed}", project, script, begun=began, chaos=chaos, scope="local"
        )
        self.calls = 0
        self.polls = 0
        self._trouble = trouble
        self._chance = Random(seed)
        self._began = began
        self._loop = asyncio.get_running_loop()
        self._loop_began = self._loop.time()

    @property
    def now(self) -> float:
        """The time in Unix ms."""
        return self._began + (self._loop.time() - self._loop_began) * 1000

    @property
    def ids(self) -> list[str]:
        """The ids of what is to be read in the end, in order."""
        return [entry.id for entry in self.played.lines()]

    async def deployment(self, id: str) -> Snapshot:
        self.calls += 1
        await self._travel()
        answer = self.played.document({"id": "u", "username": "u"}, self.now)
        await self._travel()
        return Snapshot.parse(answer)

    async def events(self, id: str, since: int = 0) -> list[Any]:
        self.polls += 1
        await self._travel()
        if self.played.gone(self.now):
            return []
        answer = self.played.events(Selection(since=since or None, limit=-1), self.now)
        await self._travel()
        return answer

    async def _travel(self) -> None:
        await asyncio.sleep(self._chance.uniform(0.01, 0.1))
        if self._chance.random() < self._trouble:
            raise UpstreamLost("the answer was lost")


class Notes:
    """A Ledger that remembers."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.took: list[Took] = []

    async def note(self, now: Snapshot) -> None:
        self.states.append(now.ready_state)

    async def last_took(self, project: str) -> Took | None:
        return self.took[-1] if self.took else None

    async def note_took(self, project: str, took: Took) -> None:
        self.took.append(took)
