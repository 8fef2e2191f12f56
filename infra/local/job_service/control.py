"""The service's own endpoints, for those who run it, under `/__service`.

GET    /health          204 when it serves
GET    /jobs/{job}      what it said, who heard it, its connections: {"now", "max", "total"}, and
                        the times of the polls over each connection
POST   /jobs/{job}      {"updates": 20, "seconds": 0.1} runs it; {"say": {…}} has it say that;
                        {"cut": true} breaks its connections; {} lets it exist
POST   /faults          the fields of jobs.Faults; {} lifts them
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.control import done, health
from infra.local.job_service.jobs import Faults
from infra.local.job_service.service import JobService

PREFIX = "/__service"


def routes(service: JobService) -> list[Route]:
    """Return the endpoints."""

    async def look(request: Request) -> Response:
        return JSONResponse(service.job(request.path_params["job"]).described)

    async def act(request: Request) -> Response:
        id, wanted = request.path_params["job"], await request.json()
        service.job(id)
        if "updates" in wanted:
            service.run(id, wanted["updates"], wanted.get("seconds", 0.1))
        if "say" in wanted:
            await service.say(id, **wanted["say"])
        if wanted.get("cut"):
            service.cut(id)
        return done()

    async def fault(request: Request) -> Response:
        service.faults = Faults(**await request.json())
        if service.faults.mute:
            service.mute()
        return done()

    return [
        health(),
        Route("/jobs/{job}", look, methods=["GET"]),
        Route("/jobs/{job}", act, methods=["POST"]),
        Route("/faults", fault, methods=["POST"]),
    ]
