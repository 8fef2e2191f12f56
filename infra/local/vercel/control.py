"""The emulator's own endpoints, under a prefix that no project uses: `/__emulator`.

GET    /health             204 when it serves
GET    /instances          {"started": 2, "running": [{"pid", "port", "in_flight", "served", …}]}
POST   /instances/retire   SIGTERM to all, SIGKILL after the grace time; answers when they are gone
POST   /instances/kill     SIGKILL to all
POST   /crons              calls what is on a schedule, now; answers [{"path", "status", "body"}]
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.control import done, health
from infra.local.vercel.pool import Pool

PREFIX = "/__emulator"
CRON_SECONDS = 330.0
"""More than any function may take."""


@dataclass(frozen=True, slots=True)
class Control:
    """What the endpoints act on.

    ``crons``: the paths that a schedule calls, at ``url``; ``secret``: the project's CRON_SECRET.
    """

    pool: Pool
    crons: Sequence[str]
    url: str
    secret: str | None = field(repr=False)

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            health(),
            Route("/instances", self._instances, methods=["GET"]),
            Route("/instances/retire", self._retire, methods=["POST"]),
            Route("/instances/kill", self._kill, methods=["POST"]),
            Route("/crons", self._cron, methods=["POST"]),
        ]

    async def _instances(self, _: Request) -> Response:
        running = [
            {
                "pid": instance.pid,
                "port": instance.port,
                "in_flight": instance.in_flight,
                "served": instance.served,
                "frozen": instance.frozen,
                "retiring": instance.retiring,
            }
            for instance in self.pool.instances
            if instance.running
        ]
        return JSONResponse({"started": self.pool.started, "running": running})

    async def _cron(self, _: Request) -> Response:
        # https://vercel.com/docs/cron-jobs: a GET with this user agent;
        # https://vercel.com/docs/cron-jobs/manage-cron-jobs: and with the secret, if there is one.
        headers = {"user-agent": "vercel-cron/1.0"}
        if self.secret:
            headers["authorization"] = f"Bearer {self.secret}"
        async with httpx.AsyncClient(
            base_url=self.url, headers=headers, verify=False, trust_env=False, timeout=CRON_SECONDS
        ) as client:
            answers = [await client.get(path) for path in self.crons]
        found = [
            {"path": path, "status": answer.status_code, "body": answer.text}
            for path, answer in zip(self.crons, answers, strict=True)
        ]
        return JSONResponse(found)

    async def _retire(self, _: Request) -> Response:
        await self.pool.retire()
        return done()

    async def _kill(self, _: Request) -> Response:
        await self.pool.kill()
        return done()
