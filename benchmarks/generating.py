"""All functions, and one that generates marks as fast as it is told to."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic_ns

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functions.app import FUNCTIONS
from lastevent.serve.app import App, Functions, endpoint
from lastevent.serve.generate import generate
from lastevent.serve.service import Service


async def _marks(count: int, rate: float) -> AsyncIterator[str]:
    await asyncio.sleep(1.0)
    for number in range(count):
        await asyncio.sleep(1 / rate)
        yield f"~{number}:{monotonic_ns()}~"


async def _start(service: Service, request: Request) -> Response:
    (await service.auth.identify(request)).must_append("generated")
    query = request.query_params
    await generate(service, "generated", _marks(int(query["count"]), float(query["rate"])))
    return Response(status_code=204)


routes = [Route("/api/generate", endpoint(_start), methods=["POST"])]

app = App(Functions({**FUNCTIONS, "/api/generate": "benchmarks.generating"}))
