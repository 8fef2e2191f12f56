"""sse-starlette: an EventSourceResponse over a queue, as its documentation has it."""

from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.peers.queues import following, taken


async def publish(request: Request) -> JSONResponse:
    """Append one event, or a list of them."""
    return JSONResponse(await taken(request), 201)


async def subscribe(request: Request) -> EventSourceResponse:
    """Follow from Last-Event-ID, or from the start."""

    async def events() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(comment="live")
        async for number, data in following(request):
            yield ServerSentEvent(data, id=f"{number:020d}", event="note", sep="\n")

    return EventSourceResponse(events(), sep="\n")


app = Starlette(
    routes=[
        Route("/api/streams/{stream}", publish, methods=["POST"]),
        Route("/api/streams/{stream}", subscribe),
    ]
)
