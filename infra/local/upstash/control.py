"""The emulator's own endpoints, under a prefix that is no command: `/__emulator`.

GET    /health          204 when it serves
GET    /commands        {"EVALSHA": 3, …}: what the bill would count so far
and only where faults are enabled:
POST   /faults          a rule of faults.py; DELETE lifts all of them
POST   /subscriptions   {"cut": true}, {"muted": true}
POST   /replica         {"lag": 0.5} (seconds)
POST   /store           {"running": false} kills it, {"running": true} starts it again
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.control import done, fault_routes, health
from infra.local.proxy import Proxy
from infra.local.upstash.database import Database
from infra.local.upstash.faults import Faults, Rule
from infra.local.upstash.subscriptions import Subscriptions
from infra.local.valkey_server import ValkeyServer

PREFIX = "/__emulator"


@dataclass(frozen=True, slots=True)
class Control:
    """What the endpoints act on."""

    database: Database
    subscriptions: Subscriptions
    faults: Faults
    valkey: ValkeyServer
    replication: Proxy | None

    def routes(self, *, faults: bool) -> list[Route]:
        """Return the endpoints."""
        always = [
            health(),
            Route("/commands", self._commands, methods=["GET"]),
        ]
        on_demand = [
            *fault_routes(self.faults, Rule),
            Route("/subscriptions", self._subscriptions, methods=["POST"]),
            Route("/replica", self._replica, methods=["POST"]),
            Route("/store", self._store, methods=["POST"]),
        ]
        return [*always, *(on_demand if faults else [])]

    async def _commands(self, _: Request) -> Response:
        return JSONResponse(dict(self.database.counts))

    async def _subscriptions(self, request: Request) -> Response:
        wanted: dict[str, Any] = await request.json()
        self.subscriptions.muted = wanted.get("muted", self.subscriptions.muted)
        if wanted.get("cut"):
            self.subscriptions.cut()
        return done()

    async def _replica(self, request: Request) -> Response:
        if self.replication is None:
            return JSONResponse({"error": "there is no replica"}, 400)
        self.replication.delay = float((await request.json())["lag"])
        return done()

    async def _store(self, request: Request) -> Response:
        running: bool = (await request.json())["running"]
        await asyncio.to_thread(self.valkey.start if running else self.valkey.kill)
        self.database.primary.forget()
        return done()
