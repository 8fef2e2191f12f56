"""Vercel's edge, as far as a function sees it: routes, limits, the headers that it adds and takes.

Errors follow https://vercel.com/docs/errors: a status, and the code in `x-vercel-error`.
"""

import asyncio
import uuid
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from infra.local.connection import close_connection, disconnected
from infra.local.vercel.exchange import Broken, Exchange, Headers
from infra.local.vercel.instance import InstanceFailed
from infra.local.vercel.pool import REGION, Pool, Throttled
from infra.local.vercel.routes import Routes, Target

MAX_BODY_BYTES = 4_500_000
INTERNAL = b"x-vercel-internal-"
# Of one connection only (RFC 9110 §7.6.1), or said anew with each message that is passed on.
HOP_BY_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"),
        *(b"transfer-encoding", b"expect", b"content-length"),
    }
)
# The edge says these itself, whatever a client claims:
# https://vercel.com/docs/headers/request-headers
OVERWRITTEN = frozenset(
    {b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip", b"x-vercel-id"}
)
STATIC_HEADERS = {"Cache-Control": "public, max-age=0, must-revalidate"}


class Failed(Exception):
    """The edge answers in the function's place, with ``code``."""

    def __init__(self, status: HTTPStatus, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


CRASHED = (HTTPStatus.INTERNAL_SERVER_ERROR, "FUNCTION_INVOCATION_FAILED")
TIMED_OUT = (HTTPStatus.GATEWAY_TIMEOUT, "FUNCTION_INVOCATION_TIMEOUT")
THROTTLED = (HTTPStatus.SERVICE_UNAVAILABLE, "FUNCTION_THROTTLED")
TOO_LARGE = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "FUNCTION_PAYLOAD_TOO_LARGE")


class Edge:
    """The ASGI application in front of the static files and the function.

    ``max_duration``: the seconds that a request may take. ``disconnects``: whether the function is
    told that its client has left; otherwise it goes on, unheard, to the end of its answer.
    """

    def __init__(
        self, routes: Routes, pool: Pool, *, max_duration: float, disconnects: bool
    ) -> None:
        self._routes = routes
        self._pool = pool
        self._max_duration = max_duration
        self._disconnects = disconnects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        target = self._routes.resolve(scope["path"])
        id = f"{REGION}::{uuid.uuid4().hex}"
        if target.function is None:
            await _static(request, target, id)(scope, receive, send)
            return
        answer = _Answer(scope, send, target, id)
        try:
            body = await _body(request)
            invocation = self._invoke(request, target, id, body, answer)
            if self._disconnects:
                await _until_disconnected(invocation, receive, answer)
            else:
                await invocation
        except Failed as error:
            await answer.fail(error)
        except ClientDisconnect:
            pass  # in the middle of its request

    async def _invoke(
        self, request: Request, target: Target, id: str, body: bytes, answer: "_Answer"
    ) -> None:
        ends_at = asyncio.get_running_loop().time() + self._max_duration
        deadline = datetime.now(UTC) + timedelta(seconds=self._max_duration)
        try:
            async with asyncio.timeout_at(ends_at):
                instance = await self._pool.take()
        except TimeoutError:
            raise Failed(*TIMED_OUT) from None
        except Throttled:
            raise Failed(*THROTTLED) from None
        except InstanceFailed as error:
            raise Failed(*CRASHED) from error
        async with instance.request(ends_at) as number:
            headers = _headers(request, id, number, deadline, len(body))
            try:
                async with asyncio.timeout_at(ends_at), Exchange.to(instance.port) as exchange:
                    method, path = request.method.encode(), _target(request, target)
                    head = await exchange.send(method, path, headers, body)
                    await answer.start(head.status_code, list(head.headers))
                    async for piece in exchange.pieces():
                        await answer.send(piece)
                    await answer.end()
            except TimeoutError:
                await answer.fail(Failed(*TIMED_OUT))
            except Broken as error:
                # Said once the instance is known to be gone: who hears it asks again at once.
                raise Failed(*CRASHED) from error


class _Answer:
    """What the client gets: the function's answer with the edge's headers, or the edge's own."""

    def __init__(self, scope: Scope, send: Send, target: Target, id: str) -> None:
        self._scope = scope
        self._send = send
        self._target = target
        self._id = id
        self._begun = False
        self.whole = False
        """Whether the client has all of it."""

    async def start(self, status: int, headers: Headers) -> None:
        kept = [
            (name, value)
            for name, value in headers
            if not name.startswith(INTERNAL)
            and (name not in HOP_BY_HOP or name == b"content-length")
            and name != b"server"
        ]
        added = {**self._target.headers, **_own_headers(self._id), "X-Vercel-Cache": "MISS"}
        encoded = [(name.lower().encode(), value.encode()) for name, value in added.items()]
        await self._send(
            {"type": "http.response.start", "status": status, "headers": kept + encoded}
        )
        self._begun = True

    async def send(self, piece: bytes) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self) -> None:
        self.whole = True
        await self._send({"type": "http.response.body", "body": b""})

    async def fail(self, error: Failed) -> None:
        """Say what happened; once an answer has begun, it can only be cut."""
        if self._begun:
            close_connection(self._scope)
            return
        text = f"{error.status.phrase}\n\n{error.code}\n\n{self._id}\n"
        headers = {**_own_headers(self._id), "X-Vercel-Error": error.code}
        response = PlainTextResponse(text, error.status, headers)
        await response(self._scope, _nothing, self._send)


def _own_headers(id: str) -> dict[str, str]:
    return {"Server": "Vercel", "X-Vercel-Id": id}


def _static(request: Request, target: Target, id: str) -> Response:
    headers = {**target.headers, **_own_headers(id)}
    if 300 <= target.status < 400:
        query = f"?{request.url.query}" if request.url.query else ""
        url = headers.pop("Location") + query
        return RedirectResponse(url, target.status, headers)
    if target.file is None:
        text = f"The page could not be found\n\nNOT_FOUND\n\n{id}\n"
        return PlainTextResponse(text, 404, {**headers, "X-Vercel-Error": "NOT_FOUND"})
    if request.method not in ("GET", "HEAD"):
        return PlainTextResponse("Method Not Allowed\n", 405, headers)
    return FileResponse(target.file, target.status, {**STATIC_HEADERS, **headers})


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise Failed(*TOO_LARGE)
    return bytes(body)


def _target(request: Request, target: Target) -> bytes:
    raw: bytes = request.scope["raw_path"]
    path = raw if target.path == request.scope["path"] else target.path.encode()
    query: bytes = request.scope["query_string"]
    return path + b"?" + query if query else path


def _headers(
    request: Request, id: str, number: int, deadline: datetime, size: int
) -> list[tuple[bytes, bytes]]:
    """Return what the function is told: the client's headers, the edge's, the launcher's.

    The launcher's are the runtime's business, which takes them away before the function looks.
    """
    kept = [
        (name, value)
        for name, value in request.headers.raw
        if name not in HOP_BY_HOP and name not in OVERWRITTEN and not name.startswith(INTERNAL)
    ]
    client = request.client.host if request.client else ""
    told = {
        "connection": "close",
        "x-forwarded-for": client,
        "x-forwarded-host": request.headers.get("host", ""),
        "x-forwarded-proto": request.url.scheme,
        "x-real-ip": client,
        "x-vercel-id": id,
        "x-vercel-internal-invocation-id": id,
        "x-vercel-internal-request-id": str(number),
        "x-vercel-internal-deadline": f"{deadline:%Y-%m-%dT%H:%M:%S}.{deadline:%f}"[:23] + "Z",
    }
    if size or request.method not in ("GET", "HEAD", "OPTIONS"):
        told["content-length"] = str(size)
    return kept + [(name.encode(), value.encode("latin-1")) for name, value in told.items()]


async def _until_disconnected(
    invocation: Coroutine[Any, Any, None], receive: Receive, answer: _Answer
) -> None:
    """Await the invocation, but end it when the client leaves before it has its whole answer."""
    serving = asyncio.create_task(invocation)
    leaving = asyncio.create_task(disconnected(receive))
    try:
        await asyncio.wait([serving, leaving], return_when=asyncio.FIRST_COMPLETED)
        if serving.done() or answer.whole:
            await serving
    finally:
        for task in (serving, leaving):
            task.cancel()
        await asyncio.gather(serving, leaving, return_exceptions=True)


async def _nothing() -> Message:
    """Be the client of whom nothing more is read."""
    return {"type": "http.disconnect"}
