"""A report that is written line by line, and can be followed while it is: a generator as a stream.

    LASTEVENT_AUTH_SECRET=… LASTEVENT_STORE_URL=sqlite:///reports.db uvicorn examples.report:app

    POST   /api/reports               starts one; 202 {"id", "stream", "url"}
    GET    /api/reports/{id}          what has become of it: {"id", "state", …}
    GET    /api/reports/{id}/stream   follows it, from its beginning or where the client was
    DELETE /api/reports/{id}          cancels it

It goes on when whoever started or follows it leaves. The same on Vercel and Lambda, where it is
written in an invocation of its own (the task ``report``).
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lastevent.adapters import vercel
from lastevent.serve.app import App, endpoint, leg_endpoint, router
from lastevent.serve.bodies import Body, parse_json, read_body, validate
from lastevent.serve.generate import announce, cancel, generate, generated, generation
from lastevent.serve.invocation import Invocation, invocation_of
from lastevent.serve.service import Service
from lastevent.serve.subscribe import Subscription, requested_types
from lastevent.serve.tasks import Task, spawn
from lastevent.services.generation import Generation

REPORTS = "report:*"
"""Who may append to all of these may have one written."""

BODY_BYTES = 4096


class Order(Body):
    """What is ordered: so many lines, one every ``pause`` seconds."""

    lines: int = 100
    pause: float = 0.1


async def lines(order: Order) -> AsyncIterator[dict[str, Any]]:
    """Write the report."""
    total = 0
    for number in range(1, order.lines + 1):
        total += number
        yield {"line": number, "total": total}
        await asyncio.sleep(order.pause)


async def write(service: Service, invocation: Invocation, argument: Mapping[str, Any]) -> None:
    """Write the report that a task names, for as long as its invocation may last."""
    order = validate(Order, argument["order"])
    await generate(service, stream_of(argument["id"]), lines(order), invocation, type="line")


async def start(service: Service, request: Request) -> Response:
    """Have a report written, and answer at once."""
    identity = await service.auth.identify(request)
    identity.must_append(REPORTS)
    order = validate(Order, parse_json(await read_body(request, BODY_BYTES)))
    id = secrets.token_hex(8)
    report = await announce(service, stream_of(id))
    task = Task("report", {"id": id, "order": order.model_dump()})
    await spawn(service, invocation_of(request.scope), task)
    return JSONResponse(described(report), 202)


async def show(service: Service, request: Request) -> Response:
    """Answer with what has become of a report."""
    (await service.auth.identify(request)).must_read(stream := named(request))
    return JSONResponse(described(await generation(service, stream)))


async def stop(service: Service, request: Request) -> Response:
    """Cancel a report; what has been written stays."""
    (await service.auth.identify(request)).must_append(stream := named(request))
    return JSONResponse(described(await cancel(service, stream)))


async def follow(service: Service, request: Request) -> Subscription:
    """Serve a report as it is written."""
    (await service.auth.identify(request)).must_read(stream := named(request))
    return await generated(service, stream, types=requested_types(request))


def named(request: Request) -> str:
    """Return the stream of the report that the path names."""
    return stream_of(request.path_params["id"])


def stream_of(id: str) -> str:
    """Return the name of a report's stream."""
    return f"report:{id}"


def described(report: Generation) -> dict[str, object]:
    """Return what a client is told of a report."""
    id = report.stream.partition(":")[2]
    url = f"/api/reports/{id}/stream"
    return {"id": id, "stream": report.stream, "url": url, "state": report.state}


routes = [
    Route("/api/reports", endpoint(start), methods=["POST"]),
    Route("/api/reports/{id}", endpoint(show), methods=["GET"]),
    Route("/api/reports/{id}", endpoint(stop), methods=["DELETE"]),
    Route("/api/reports/{id}/stream", leg_endpoint(follow), methods=["GET"]),
]

app = App(router(routes), bounds=vercel.bounds, tasks={"report": "examples.report:write"})
