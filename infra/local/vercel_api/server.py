"""`VercelApi`: the server as a process of its own, and what a test can do to it."""

import secrets
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from infra.local.child import HOST, Child
from infra.local.controlled import Faulty, faulting
from infra.local.vercel_api.account import TEAM, Play
from infra.local.vercel_api.chaos import ORDERLY, Chaos
from infra.local.vercel_api.control import PREFIX
from infra.local.vercel_api.faults import Rule
from infra.local.vercel_api.script import Script


@dataclass(frozen=True, slots=True)
class Made:
    """A deployment that was made: its id, its host, its project's id."""

    id: str
    url: str
    project: str


@dataclass(frozen=True, slots=True)
class TrueLine:
    """A log line as it must arrive. ``date`` and ``visible`` (since when) are in Unix ms."""

    id: str
    date: int
    serial: str
    visible: float
    type: str
    text: str
    step: str | None
    entrypoint: str | None
    level: str | None


@dataclass(frozen=True, slots=True)
class Truth:
    """What is to be read of a deployment in the end, by date and serial, and its state now.

    It is ``over`` and its log ``drained`` (all visible) at these times, in Unix ms; None: never.
    """

    lines: tuple[TrueLine, ...]
    state: str
    over: int | None
    drained: float | None

    @property
    def ids(self) -> list[str]:
        """The lines' ids, in their order."""
        return [line.id for line in self.lines]


@dataclass(frozen=True, slots=True)
class CallReport:
    """Calls so far and the most at once, by operation: `events`, `deployment`, `create`, …"""

    counts: Mapping[str, int]
    most_at_once: Mapping[str, int]


class VercelApi(Faulty):
    """The API in another process, on a free port; a context manager of both kinds.

    ``directory`` is where its log goes. ``play`` is how deployments go that are made through it.
    """

    prefix = PREFIX
    fault = faulting(Rule)
    team = TEAM

    def __init__(
        self, directory: Path, play: Play | None = None, *, seed: int = 0, port: int = 0
    ) -> None:
        super().__init__(port)
        self.token = secrets.token_hex(12)
        self.stranger_token = secrets.token_hex(12)
        """The token of one who may see nothing of it."""
        self._directory = directory
        self._play = play or Play()
        self._seed = seed

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which clients find it; the deployments are then the user's own."""
        return {"VERCEL_API_URL": self.url, "VERCEL_TOKEN": self.token}

    def start(self) -> None:
        """Start it, without any deployment; return when it serves. Raises ServerFailed."""
        self._child = Child(
            [
                *(sys.executable, "-m", "infra.local.vercel_api"),
                *("--host", HOST, "--port", str(self.port), "--seed", str(self._seed)),
                *("--token", self.token, "--stranger-token", self.stranger_token),
            ],
            self._directory / "vercel-api.log",
            self._serves,
        )
        httpx.put(
            f"{self.url}{PREFIX}/play", json=asdict(self._play), trust_env=False
        ).raise_for_status()

    async def deploy(
        self,
        build: str | Script = "next",
        *,
        speed: float = 1.0,
        chaos: Chaos = ORDERLY,
        name: str = "shop",
        age: float = 0.0,
        target: str | None = None,
        team: bool = False,
    ) -> Made:
        """Make a deployment that began ``age`` seconds ago: of the user, or of the team."""
        more = {"name": name, "age": age, "target": target, "team": team}
        wanted = asdict(Play(build, speed, chaos)) | more
        return Made(**await self._request("POST", "/deployments", wanted))

    async def play_next(
        self, build: str | Script = "next", *, speed: float = 1.0, chaos: Chaos = ORDERLY
    ) -> None:
        """Say how deployments go that are made through the API from now on."""
        await self._request("PUT", "/play", asdict(Play(build, speed, chaos)))

    async def truth(self, deployment: str) -> Truth:
        """Return what is to be read of a deployment (its id) in the end."""
        members = await self._request("GET", f"/deployments/{deployment}/truth")
        lines = tuple(TrueLine(**line) for line in members.pop("lines"))
        return Truth(lines=lines, **members)

    async def calls(self, deployment: str | None = None) -> CallReport:
        """Return how often it was called: in all, or naming a deployment so (its id)."""
        query = "" if deployment is None else f"?deployment={deployment}"
        return CallReport(**await self._request("GET", f"/calls{query}"))

    async def forget_calls(self) -> None:
        """Count from here."""
        await self._request("DELETE", "/calls")
