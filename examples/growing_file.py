"""A source from scratch: the lines of a file that grows on a web server, an object store, a bucket.

    uvicorn examples.growing_file:app          GET /api/files/build.log/stream

`GROWING_FILES` is the address of the directory; docs/sources.md explains the class.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from functools import partial

import httpx
from starlette.requests import Request
from starlette.routing import Route

from lastevent.core.errors import NotFound, UpstreamLost, UpstreamRefused
from lastevent.core.event import NewEvent
from lastevent.core.topic import stream_name
from lastevent.serve.app import App, leg_endpoint, router
from lastevent.serve.live import live_subscription
from lastevent.serve.service import Service
from lastevent.serve.subscribe import Subscription
from lastevent.sources.base import Batch, Replays
from lastevent.sources.keeper import Live
from lastevent.stores.base import MAX_BATCH_EVENTS

END = b"-- end --"


class GrowingFile:
    """The lines of the file at ``url``, up to the line END. The position is how many bytes they
    take."""

    replays: Replays = "full"

    def __init__(self, url: str, every_seconds: float = 1.0, piece_bytes: int = 128 * 1024) -> None:
        self._url = url
        self._every_seconds = every_seconds
        self._piece_bytes = piece_bytes

    async def read(self, position: str | None) -> AsyncGenerator[Batch]:
        begin = int(position or 0)
        async with httpx.AsyncClient(timeout=5.0) as client:
            while True:
                piece = await self._piece(client, begin)
                lines = piece.split(b"\n")[:-1][:MAX_BATCH_EVENTS]
                if not lines and len(piece) == self._piece_bytes:
                    lines = [piece]  # one that is longer than a piece comes in several
                over = END in lines
                lines = lines[: lines.index(END)] if over else lines
                begin += min(sum(len(line) + 1 for line in lines), len(piece))
                events = [NewEvent("line", line.decode(errors="replace")) for line in lines]
                yield Batch(events, str(begin), over)
                if not lines:
                    await asyncio.sleep(self._every_seconds)

    async def _piece(self, client: httpx.AsyncClient, begin: int) -> bytes:
        wanted = {"Range": f"bytes={begin}-{begin + self._piece_bytes - 1}"}
        try:
            answer = await client.get(self._url, headers=wanted)
        except httpx.HTTPError as error:
            raise UpstreamLost(f"The file cannot be had now ({type(error).__name__}).") from error
        if answer.status_code == 416:  # nothing there yet (RFC 9110 §15.5.17)
            return b""
        if answer.status_code == 206:
            return answer.content
        if answer.status_code == 429 or answer.status_code >= 500:
            seconds = answer.headers.get("retry-after", "")
            after = float(seconds) if seconds.isdigit() else None
            raise UpstreamLost(f"The file cannot be had now ({answer.status_code}).", after)
        raise UpstreamRefused(f"The file cannot be had in pieces ({answer.status_code}).")


def _live(name: str) -> Live:
    stream_name(name)  # it becomes a part of an address: no file is called ".." or "a/b"
    directory = os.environ["GROWING_FILES"].rstrip("/")
    return Live(stream_name(f"file:{name}"), "files", partial(GrowingFile, f"{directory}/{name}"))


async def _lines(service: Service, request: Request) -> Subscription:
    return await live_subscription(service, request, _live(request.path_params["name"]))


async def resume(service: Service, stream: str) -> Live:
    """Return what pumps on, for the sweep: one line in functions/cron.py names this module."""
    name = stream.removeprefix("file:")
    if name == stream:
        raise NotFound(f"{stream} is not the stream of a file")
    return _live(name)


routes = [Route("/api/files/{name}/stream", leg_endpoint(_lines), methods=["GET"])]

app = App(router(routes))
