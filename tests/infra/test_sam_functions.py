"""The built ApiFunction on AWS's own runtime interface emulator, which comes with the SAM CLI.

It knows nothing of HTTP: it is given the events that an HTTP API makes of requests, and answers
what the function did. It shows that awslambdaric and the handler understand each other, by a
program that is not ours; it buffers, runs one invocation at a time and freezes nothing.
"""

import asyncio
import base64
import json
import platform
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.aws.managed import ManagedRuntime
from infra.local.child import HOST, Child, Startable, answers, free_port
from infra.local.dynamodb import REGION, RotoServer
from infra.local.upstash import UpstashServer
from lastevent.core.event import NewEvent
from lastevent.core.wire import Decoder, Message
from lastevent.serve.auth import mint
from lastevent.stores.url import open_store
from tests.infra import sam

SECRET = "a secret of the tests, and of nothing else"
INVOKE = "/2015-03-31/functions/function/invocations"
FUNCTION_SECONDS = 29
WAIT_SECONDS = 40.0
PROMPT_SECONDS = 15.0
"""A safety limit too, but shorter than a leg is held when nothing comes: 25 seconds."""
EVENTS = {"accept": "text/event-stream"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(sam.BUILD_SECONDS + 60)]


@dataclass(frozen=True)
class Answer:
    """What an HTTP API would send: payload format 2.0, the function's part of it."""

    status: int
    headers: dict[str, str]
    body: bytes
    cookies: list[str] = field(default_factory=list)

    @property
    def messages(self) -> list[Message]:
        """The body as an event stream."""
        assert self.headers["content-type"].startswith("text/event-stream")
        return Decoder().feed(self.body)

    @property
    def notes(self) -> list[str]:
        """The data of those that are not the leg's own."""
        return [it.data for it in self.messages if it.type not in ("stream", "heartbeat")]

    @property
    def states(self) -> list[str]:
        """What those that are say."""
        own = (it for it in self.messages if it.type == "stream")
        return [json.loads(it.data)["state"] for it in own]


class Emulator(Startable):
    """The runtime interface emulator with one function."""

    def __init__(self, bundle: Path, directory: Path, environment: dict[str, str]) -> None:
        machine = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
        packages = next((sam.SAM / "lib").glob("python3.*")) / "site-packages"
        self._program = packages / "samcli" / "local" / "rapid" / f"aws-lambda-rie-{machine}"
        self._runtime = ManagedRuntime(directory / "managed")
        self._log = directory / "emulator.log"
        self._port = free_port()
        self._environment = {
            **environment,
            "AWS_LAMBDA_FUNCTION_NAME": "api",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(FUNCTION_SECONDS),
            "LAMBDA_TASK_ROOT": str(bundle),
            "PYTHONPATH": str(self._runtime.runtime),
            "_HANDLER": "functions.streams.handler",
        }
        self._child: Child | None = None

    def start(self) -> None:
        """Start it; the function begins with its first invocation."""
        command = [
            *(str(self._program), "--runtime-interface-emulator-address", f"{HOST}:{self._port}"),
            *("--runtime-api-address", f"{HOST}:{free_port()}", *self._runtime.command),
        ]
        ready = lambda: answers(self._port)  # noqa: E731
        self._child = Child(command, self._log, ready, self._environment)

    def stop(self) -> None:
        """End it, and the function."""
        if self._child:
            self._child.stop()

    async def call(
        self, method: str, path: str, body: object = None, query: str = "", **headers: str
    ) -> Answer:
        """Invoke the function as an HTTP API does for a request."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        event = {
            "version": "2.0",
            "routeKey": "ANY /api/streams/{proxy+}",
            "rawPath": path,
            "rawQueryString": query,
            "headers": {"host": "api.example.com", "x-forwarded-proto": "https", **names},
            "requestContext": {
                "domainName": "api.example.com",
                "http": {
                    "method": method,
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1",
                    "userAgent": "a test",
                },
                "stage": "$default",
            },
            "body": None if body is None else json.dumps(body),
            "isBase64Encoded": False,
        }
        async with httpx.AsyncClient(trust_env=False, timeout=WAIT_SECONDS) as client:
            invoked = await client.post(f"http://{HOST}:{self._port}{INVOKE}", json=event)
        assert invoked.status_code == 200, invoked.text
        answer: dict[str, Any] = invoked.json()
        assert "statusCode" in answer, f"{answer}\n{self._log.read_text()[-3000:]}"
        text = answer["body"]
        return Answer(
            answer["statusCode"],
            answer["headers"],
            base64.b64decode(text) if answer["isBase64Encoded"] else text.encode(),
            answer.get("cookies", []),
        )


@dataclass(frozen=True)
class Deployed:
    """The function, and its store as others see it."""

    emulator: Emulator
    store_url: str

    async def call(
        self, method: str, path: str, body: object = None, query: str = "", **headers: str
    ) -> Answer:
        """Call it as one who may read and append everything."""
        token = mint(SECRET, {"sub": "tester", "read": ["*"], "append": ["*"]}, 600)
        given = {"authorization": f"Bearer {token}", **headers}
        return await self.emulator.call(method, path, body, query, **given)

    async def publish(self, stream: str, *data: object, close: bool = False) -> list[str]:
        """Append notes through the function; return their ids."""
        body = {"events": [{"type": "note", "data": item} for item in data], "close": close}
        answer = await self.call("POST", f"/api/streams/{stream}", body)
        assert answer.status == 201, answer.body
        ids: list[str] = json.loads(answer.body)["ids"]
        return ids


@pytest.fixture(params=["upstash", "dynamodb"])
async def api(
    request: pytest.FixtureRequest,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Deployed]:
    """The built function on a store, both as processes of their own."""
    if request.param == "upstash":
        server: UpstashServer | RotoServer = UpstashServer(tmp_path / "store", durable=False)
        url = "upstash://"
    else:
        server = RotoServer(tmp_path / "store")
        url = f"dynamodb://lastevent?region={REGION}"
    async with server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        store = open_store(url)
        await store.prepare()
        await store.close()
        settings = {"LASTEVENT_STORE_URL": url, "LASTEVENT_AUTH_SECRET": SECRET}
        async with Emulator(bundle, tmp_path, server.environment | settings) as emulator:
            yield Deployed(emulator, url)


async def test_what_is_published_is_read_leg_by_leg(api: Deployed) -> None:
    ids = await api.publish("merchant:42", {"n": 1}, {"n": 2})
    first = await api.call("GET", "/api/streams/merchant:42", query="from=start", **EVENTS)
    assert first.status == 200
    assert first.notes == ['{"n":1}', '{"n":2}']
    assert first.states[0] == "open"
    assert first.states[-1] == "rotate"
    (third,) = await api.publish("merchant:42", {"n": 3})
    rest = await api.call("GET", "/api/streams/merchant:42", last_event_id=ids[0], **EVENTS)
    assert rest.notes == ['{"n":2}', '{"n":3}']
    assert rest.messages[-1].id == third


async def test_a_held_leg_ends_with_the_first_event_of_another_process(api: Deployed) -> None:
    (seen,) = await api.publish("s", "before")
    path = "/api/streams/s"
    held = asyncio.create_task(api.call("GET", path, last_event_id=seen, **EVENTS))
    await asyncio.sleep(1.0)
    assert not held.done()
    store = open_store(api.store_url)
    await store.log.append("s", [NewEvent("note", "now")])
    await store.close()
    async with asyncio.timeout(PROMPT_SECONDS):
        answer = await held
    assert answer.notes == ["now"]
    assert answer.states[-1] == "rotate"


async def test_an_ended_stream_lets_its_clients_go(api: Deployed) -> None:
    (last,) = await api.publish("s", "only", close=True)
    whole = await api.call("GET", "/api/streams/s", query="from=start", **EVENTS)
    assert whole.notes == ["only"]
    assert whole.states[-1] == "end"
    again = await api.call("GET", "/api/streams/s", last_event_id=last, **EVENTS)
    assert (again.status, again.body) == (204, b"")


async def test_refusals_are_problems(api: Deployed) -> None:
    refused = await api.emulator.call("GET", "/api/streams/s", **EVENTS)
    assert refused.status == 401
    assert refused.headers["content-type"] == "application/problem+json"
    assert json.loads(refused.body)["status"] == 401
    absent = await api.call("GET", "/api/nowhere")
    assert (absent.status, json.loads(absent.body)["status"]) == (404, 404)


async def test_a_session_is_a_cookie_of_the_answer(api: Deployed) -> None:
    token = mint(SECRET, {"sub": "reader", "read": ["s"]}, 600)
    body = {"token": token}
    origin = "https://api.example.com"
    opened = await api.emulator.call("POST", "/api/session", body, origin=origin)
    assert opened.status == 204, opened.body
    (cookie,) = opened.cookies
    assert cookie.startswith(f"lastevent_token={token};")
    assert "HttpOnly" in cookie
    health = await api.call("GET", "/api/health")
    assert json.loads(health.body)["status"] == "ok"
