"""The emulator's own endpoints, under a prefix that no project uses: `/__emulator`.

GET    /health             204 when it serves
GET    /instances          {"started": 2, "running": [{"pid", "port", "in_flight", "served", …}]}
POST   /instances/retire   SIGTERM to all, SIGKILL after the grace time; answers when they are gone
POST   /instances/kill     SIGKILL to all
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.vercel.pool import Pool

PREFIX = "/__emulator"


@dataclass(frozen=True, slots=True)
class Control:
    """What the endpoints act on."""

    pool: Pool

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            Route("/health", self._health, methods=["GET"]),
            Route("/instances", self._instances, methods=["GET"]),
            Route("/instances/retire", self._retire, methods=["POST"]),
            Route("/instances/kill", self._kill, methods=["POST"]),
        ]

    async def _health(self, _: Request) -> Response:
        return Response(status_code=204)

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

    async def _retire(self, _: Request) -> Response:
        await self.pool.retire()
        return Response(status_code=204)

    async def _kill(self, _: Request) -> Response:
        await self.pool.kill()
        return Response(status_code=204)
