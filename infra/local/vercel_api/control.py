"""The server's own endpoints, under a prefix that is no path of the vendor's: `/__emulator`.

GET    /health                  204 when it serves
PUT    /play                    how deployments go that are made through the API: {"build", "speed",
                                "chaos"}; `build` is a name of builds.py, or a script
POST   /deployments             makes one: a play, and {"name", "age", "target", "team"} → {"id",
                                "url", "project"}; `age`: began so many seconds ago
GET    /deployments/{id}/truth  {"lines": […], "state", "over", "drained"}: what must be read in the
                                end, in its order, and when; times in Unix ms
GET    /calls                   {"counts", "most_at_once"} by operation; with ?deployment=, of the
                                calls that named it so. DELETE begins the count again
POST   /faults                  a rule of faults.py; DELETE lifts all of them
"""

import time
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.control import done, fault_routes, health, refused
from infra.local.vercel_api.account import TEAM, TEAM_SLUG, USER, Account, Play, Scope
from infra.local.vercel_api.calls import Calls
from infra.local.vercel_api.entries import Entry
from infra.local.vercel_api.faults import Faults, Rule
from infra.local.vercel_api.refusal import Refused

PREFIX = "/__emulator"


class Control:
    """What the endpoints act on."""

    def __init__(self, account: Account, calls: Calls, faults: Faults) -> None:
        self._account = account
        self._calls = calls
        self._faults = faults

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            health(),
            Route("/play", self._play, methods=["PUT"]),
            Route("/deployments", self._deploy, methods=["POST"]),
            Route("/deployments/{id}/truth", self._truth, methods=["GET"]),
            Route("/calls", self._report, methods=["GET"]),
            Route("/calls", self._forget, methods=["DELETE"]),
            *fault_routes(self._faults, Rule),
        ]

    async def _play(self, asked: Request) -> Response:
        try:
            self._account.play = Play.of(await asked.json())
        except (TypeError, ValueError) as error:
            return refused(error)
        return done()

    async def _deploy(self, asked: Request) -> Response:
        wanted: dict[str, Any] = await asked.json()
        scope = Scope(USER, USER["id"], USER["username"], True)
        if wanted.get("team"):
            scope = Scope(USER, TEAM, TEAM_SLUG, True)
        name = wanted.get("name", "shop")
        try:
            play = Play.of(wanted)
            try:
                project = self._account.project(scope, name)
            except Refused:
                project = self._account.create_project(scope, name, {"framework": "nextjs"})
        except (TypeError, ValueError, Refused) as error:
            return refused(error)
        made = self._account.deploy(
            scope, project, play, age=wanted.get("age", 0.0), target=wanted.get("target")
        )
        return JSONResponse({"id": made.id, "url": made.url, "project": project.id})

    async def _truth(self, asked: Request) -> Response:
        deployment = self._account.deployments.get(asked.path_params["id"])
        if deployment is None:
            return JSONResponse({"error": "there is no such deployment"}, 404)
        return JSONResponse(
            {
                "lines": [_as_truth(entry) for entry in deployment.lines()],
                "state": deployment.state(time.time() * 1000),
                "over": deployment.over,
                "drained": deployment.drained,
            }
        )

    async def _report(self, asked: Request) -> Response:
        return JSONResponse(self._calls.report(asked.query_params.get("deployment")))

    async def _forget(self, _: Request) -> Response:
        self._calls.forget()
        return done()


def _as_truth(entry: Entry) -> dict[str, Any]:
    placed = {"id": entry.id, "date": entry.date, "serial": entry.serial, "visible": entry.visible}
    line = asdict(entry.line)
    return placed | {name: line[name] for name in ("type", "text", "step", "entrypoint", "level")}
