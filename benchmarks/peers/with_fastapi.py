"""FastAPI: a path operation that yields ServerSentEvents, as its documentation has it."""

from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from benchmarks.peers.queues import following, taken

app = FastAPI()


@app.post("/api/streams/{stream}", status_code=201)
async def publish(request: Request) -> dict[str, list[str]]:
    """Append one event, or a list of them."""
    return await taken(request)


@app.get("/api/streams/{stream}", response_class=EventSourceResponse)
async def subscribe(request: Request) -> AsyncIterator[ServerSentEvent]:
    """Follow from Last-Event-ID, or from the start."""
    yield ServerSentEvent(comment="live")
    async for number, data in following(request):
        yield ServerSentEvent(raw_data=data, id=f"{number:020d}", event="note")
