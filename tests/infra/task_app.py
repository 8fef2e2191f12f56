"""A function that has work done in an invocation of its own: deployed as functions/app.py."""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lastevent.adapters import vercel
from lastevent.core.event import NewEvent
from lastevent.serve.app import App, endpoint, router
from lastevent.serve.invocation import Invocation, invocation_of
from lastevent.serve.service import Service
from lastevent.serve.tasks import Task, spawn


async def begin(service: Service, request: Request) -> Response:
    """Have notes written to a stream: ``?stream=s&seconds=2``."""
    task = Task("write", dict(request.query_params))
    await spawn(service, invocation_of(request.scope), task)
    return JSONResponse({"begun": True}, 202)


async def notes(service: Service, request: Request) -> Response:
    """Answer with the notes of a stream."""
    page = await service.store.log.read(request.path_params["stream"], None, 100)
    return JSONResponse([event.data for event in page.events])


async def write(service: Service, invocation: Invocation, argument: Mapping[str, Any]) -> object:
    """Write a note now and one later, or say that there was no time for it."""

    async def note(text: str) -> None:
        await service.store.log.append(argument["stream"], [NewEvent("note", text)])

    await note("begun")
    try:
        await asyncio.sleep(float(argument["seconds"]))
    except asyncio.CancelledError:
        await note("cancelled")
        raise
    await note("ended")
    return {"written": 2}


app = App(
    router(
        [
            Route("/api/begin", endpoint(begin), methods=["POST"]),
            Route("/api/notes/{stream}", endpoint(notes), methods=["GET"]),
        ]
    ),
    bounds=vercel.bounds,
    tasks={"write": "functions.app:write"},
)
