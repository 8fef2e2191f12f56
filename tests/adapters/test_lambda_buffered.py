"""Lambda with whole answers: what an HTTP API sends, and what it gets back."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import jwt
import pytest
from starlette.types import Receive, Scope, Send

from functions.streams import routes
from lastevent.adapters.lambda_buffered import LambdaHandler
from lastevent.core.errors import ConfigError
from lastevent.core.wire import Decoder, Message
from lastevent.serve.app import App, router
from lastevent.serve.settings import Settings

SECRET = "s" * 32
CLAIMS = {"sub": "u", "exp": time.time() + 3600, "read": ["*"], "append": ["*"]}
TOKEN = jwt.encode(CLAIMS, SECRET, "HS256")


@dataclass
class Context:
    """What the runtime gives beside the event."""

    remaining: float = 29.0
    function_name: str = "streams"
    aws_request_id: str = "1"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.remaining * 1000)


@dataclass
class Function:
    """A handler, and requests to it as an HTTP API makes them (payload format 2.0)."""

    app: App
    handler: LambdaHandler
    remaining: float = 29.0
    calls: list[dict[str, Any]] = field(default_factory=list)

    def request(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Return the status, the headers and the body of an answer."""
        path, _, query = path.partition("?")
        event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": {
                "host": "x.example.com",
                "x-forwarded-proto": "https",
                "x-forwarded-port": "443",
                "authorization": f"Bearer {TOKEN}",
                **{name.replace("_", "-").lower(): text for name, text in headers.items()},
            },
            "requestContext": {
                "http": {"method": method, "path": path, "sourceIp": "192.0.2.1"},
                "stage": "$default",
            },
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
        answer = self.handler(event, Context(self.remaining))
        self.calls.append(answer)
        json.dumps(answer)
        assert answer["isBase64Encoded"] or not answer["body"]
        return answer["statusCode"], answer["headers"], base64.b64decode(answer["body"])

    def publish(self, stream: str, *data: object) -> list[str]:
        body = json.dumps([{"type": "note", "data": item} for item in data]).encode()
        status, _, answer = self.request("POST", f"/api/streams/{stream}", body)
        assert status == 201
        return cast(list[str], json.loads(answer)["ids"])

    def leg(self, stream: str, cursor: str = "") -> list[Message]:
        path = f"/api/streams/{stream}"
        status, answered, body = self.request("GET", path, Last_Event_ID=cursor)
        assert status == 200
        assert answered["content-type"].startswith("text/event-stream")
        return Decoder().feed(body)


def said(messages: list[Message]) -> list[str]:
    """Return the state or the data of each message."""
    return [
        str(json.loads(message.data)["state"]) if message.type == "stream" else message.data
        for message in messages
    ]


@pytest.fixture
def function() -> Iterator[Function]:
    app = App(router(routes))
    app.configure(Settings(store_url="memory://", auth_secret=SECRET))
    yield Function(app, LambdaHandler(app))
    loop = asyncio.get_event_loop_policy().get_event_loop()

    async def close() -> None:
        await (await app.begin()).close()

    loop.run_until_complete(close())
    loop.close()
    asyncio.set_event_loop(None)


def test_a_client_follows_as_a_long_poll(function: Function) -> None:
    first = function.leg("s")
    assert said(first) == ["open", "live", "rotate"], "at once: it has no cursor yet"
    function.publish("s", "one", "two")
    second = function.leg("s", first[-1].id)
    assert said(second) == ["open", "one", "two", "live", "rotate"]
    function.publish("s", "three")
    assert said(function.leg("s", second[-1].id)) == ["open", "three", "live", "rotate"]


def test_a_leg_ends_with_what_comes_while_it_is_held(function: Function) -> None:
    cursor = function.leg("s")[-1].id
    function.publish("s", 0)  # it flows: a client of a quiet stream would not be held
    cursor = function.leg("s", cursor)[-1].id
    loop = asyncio.get_event_loop_policy().get_event_loop()

    async def append() -> None:
        from lastevent.core.event import NewEvent

        service = await function.app.begin()
        await service.store.log.append("s", [NewEvent("note", "late")])

    timer = threading.Timer(
        0.3, lambda: loop.call_soon_threadsafe(lambda: loop.create_task(append()))
    )
    timer.start()
    began = time.monotonic()
    assert said(function.leg("s", cursor)) == ["open", "live", "late", "rotate"]
    assert 0.2 < time.monotonic() - began < 10
    timer.join()


def test_a_hold_ends_before_the_time_limit(function: Function) -> None:
    function.publish("s", 0)
    cursor = function.leg("s")[-1].id
    function.remaining = 1.0
    began = time.monotonic()
    assert said(function.leg("s", cursor)) == ["open", "live", "rotate"]
    assert time.monotonic() - began < 1.0


def test_the_process_lets_go_before_each_answer(
    function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RULES 17: whoever is frozen now follows nothing, and holds nothing."""
    rested = []
    rest = App.rest

    async def counting(app: App) -> None:
        rested.append(app)
        await rest(app)

    monkeypatch.setattr(App, "rest", counting)
    function.publish("s", 0)
    function.leg("s")
    assert len(rested) == 2


def test_cookies_and_problems(function: Function) -> None:
    status, headers, body = function.request("GET", "/api/nothing")
    assert status == 404
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["status"] == 404
    body = json.dumps({"token": TOKEN}).encode()
    origin = "https://x.example.com"
    status, _, _ = function.request("POST", "/api/session", body, origin=origin)
    assert status == 204
    (cookie,) = function.calls[-1]["cookies"]
    assert cookie.startswith("lastevent_token=")
    assert "HttpOnly" in cookie


def test_a_large_history_comes_in_several_answers(function: Function) -> None:
    """6 MB an answer, as it is on its way: in base64."""
    for n in range(40):
        function.publish("s", f"{n}:" + '"\u0001' * 100_000)
    cursor, seen = "", list[str]()
    for _ in range(10):
        messages = function.leg("s", cursor)
        assert len(json.dumps(function.calls[-1])) < 6 * 2**20
        seen += [m.data.partition(":")[0] for m in messages if m.type == "note"]
        cursor = messages[-1].id
        if "live" in said(messages[-2:]):
            break
    assert seen == [str(n) for n in range(40)]


Broken = Callable[[Scope, Receive, Send], Any]


async def _breaks_before(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("a defect")


async def _breaks_after(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"id: 1\n\n", "more_body": True})
    raise RuntimeError("a defect")


async def _ends_early(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"id: 1\n\n", "more_body": True})


class Raw(App):
    """An App whose serving is ``serve`` alone, without the guard that answers errors."""

    def __init__(self, serve: Broken) -> None:
        super().__init__(serve)
        self._serve = serve

    async def begin(self) -> Any:
        pass

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send)


@pytest.mark.parametrize(
    ("serve", "status", "body"),
    [
        (_breaks_before, 500, b"Internal Server Error"),
        (_breaks_after, 200, b"id: 1\n\n"),
        (_ends_early, 200, b"id: 1\n\n"),
    ],
)
def test_what_was_sent_before_a_defect_arrives(serve: Broken, status: int, body: bytes) -> None:
    function = Function(app := Raw(serve), LambdaHandler(app))
    answer = function.request("GET", "/")
    asyncio.get_event_loop_policy().get_event_loop().close()
    asyncio.set_event_loop(None)
    assert (answer[0], answer[2]) == (status, body)


def test_on_lambda_it_begins_at_once_and_fails_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret, or a store of its own, means no start: seen when the function is initialised."""
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "streams")
    monkeypatch.setenv("LASTEVENT_STORE_URL", "dynamodb://table?region=eu-west-1")
    with pytest.raises(ConfigError, match="LASTEVENT_AUTH_SECRET"):
        LambdaHandler(App(router(routes)))
    monkeypatch.setenv("LASTEVENT_AUTH_SECRET", SECRET)
    monkeypatch.setenv("LASTEVENT_STORE_URL", "sqlite:///x.db")
    with pytest.raises(ConfigError, match="LASTEVENT_STORE_URL"):
        LambdaHandler(App(router(routes)))
