"""The streaming runtime under a played Runtime API, and the events that it gets."""

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import jwt
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lastevent.adapters.lambda_stream.loop import Runtime
from lastevent.core.errors import NotFound
from lastevent.serve.invocation import Invocation
from lastevent.serve.tasks import Task
from tests.adapters.runtime_api import WAIT_SECONDS, PlayedApi

SECRET = "s" * 40


def token() -> str:
    """Return what authorizes somebody who may do everything, under SECRET."""
    claims = {"sub": "u", "exp": time.time() + 60, "read": ["*"], "append": ["*"]}
    return f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"


async def no_rest() -> None:
    """Let go of nothing."""


async def no_task(task: Task, invocation: Invocation) -> object:
    """Know no task."""
    raise NotFound(f"there is no task {task.name}")


@contextlib.asynccontextmanager
async def served(
    app: ASGIApp,
    *,
    slots: int = 1,
    rest: Callable[[], Awaitable[None]] = no_rest,
    perform: Callable[[Task, Invocation], Awaitable[object]] = no_task,
    spawn: Callable[[Task], Awaitable[None]] | None = None,
    trailing_comment: bool = False,
    environ: MutableMapping[str, str] | None = None,
) -> AsyncIterator[PlayedApi]:
    """Run the runtime for ``app``; yield the API that it asks for work."""
    async with PlayedApi() as api:
        runtime = Runtime(
            app,
            api.address,
            {} if environ is None else environ,
            rest=rest,
            perform=perform,
            spawn=spawn,
            slots=slots,
            trailing_comment=trailing_comment,
        )
        stopping = asyncio.Event()
        running = asyncio.create_task(runtime.run(stopping))
        try:
            yield api
        finally:
            stopping.set()
            await asyncio.wait_for(running, WAIT_SECONDS)


def in_seconds(seconds: float) -> str:
    """Return the deadline that lies so far ahead, as Lambda writes it."""
    return str(int((time.time() + seconds) * 1000))


def url_request(
    path: str = "/", method: str = "GET", query: str = "", body: bytes = b"", **headers: str
) -> dict[str, Any]:
    """Return a request as a function URL, or an HTTP API, sends it: payload 2.0."""
    fields = {"host": "abc.lambda-url.eu-central-1.on.aws", "x-forwarded-proto": "https"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    cookies = fields.pop("cookie", "")
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        **({"cookies": cookies.split("; ")} if cookies else {}),
        "headers": fields,
        "requestContext": {
            "accountId": "anonymous",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.7",
                "userAgent": "test",
            },
            "stage": "$default",
        },
        **({"body": base64.b64encode(body).decode()} if body else {}),
        "isBase64Encoded": bool(body),
    }


def rest_request(
    path: str, method: str = "GET", query: dict[str, list[str]] | None = None, body: str = ""
) -> dict[str, Any]:
    """Return a request as a REST API sends it: payload 1.0."""
    headers = {"Host": "abc.execute-api.eu-central-1.amazonaws.com", "Accept": "*/*"}
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in (query or {}).items()},
        "multiValueQueryStringParameters": query,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": "192.0.2.7"}},
        "body": body or None,
        "isBase64Encoded": False,
    }


def start(status: int = 200, *headers: tuple[str, str]) -> Message:
    pairs = [(name.encode(), value.encode()) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": pairs}


def body(data: bytes = b"", more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


class Stepped:
    """An application that sends what the test puts, when it puts it; None makes it return."""

    def __init__(self) -> None:
        self.steps: asyncio.Queue[Message | BaseException | None] = asyncio.Queue()
        self.scopes: list[Scope] = []

    def put(self, *steps: Message | BaseException | None) -> None:
        for step in steps:
            self.steps.put_nowait(step)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        while (step := await self.steps.get()) is not None:
            if isinstance(step, BaseException):
                raise step
            await send(step)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once."""
    await send(start())
    await send(body(b"hello"))
