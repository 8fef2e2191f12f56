"""Tasks on Lambda: an event that is one is done, in the time of its invocation, and answered."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest

from functions.streams import routes
from lastevent.adapters.lambda_buffered import LambdaHandler
from lastevent.core.errors import InvalidRequest, NotFound, Transient
from lastevent.serve.app import App, router
from lastevent.serve.invocation import Invocation
from lastevent.serve.service import Service
from lastevent.serve.settings import Settings
from lastevent.serve.tasks import Task
from tests.adapters.runtime_api import PREFIX, WAIT_SECONDS, PlayedApi
from tests.adapters.streaming import SECRET, hello, in_seconds, served, url_request
from tests.adapters.test_lambda_buffered import Context

PLACES = {name: f"{__name__}:{name}" for name in ("told", "wrong", "unforeseen", "endless", "odd")}


async def told(service: Service, invocation: Invocation, argument: Mapping[str, Any]) -> object:
    """Say what it was given."""
    assert invocation.deadline is not None
    return {
        "argument": argument,
        "left": invocation.deadline - asyncio.get_running_loop().time(),
        "buffered": invocation.buffered,
        "may_freeze": invocation.may_freeze,
        "store": service.store.name,
    }


async def wrong(service: Service, invocation: Invocation, argument: Mapping[str, Any]) -> object:
    raise Transient("the upstream is away")


async def unforeseen(
    service: Service, invocation: Invocation, argument: Mapping[str, Any]
) -> object:
    raise ValueError(f"a secret: {argument}")


async def endless(service: Service, invocation: Invocation, argument: Mapping[str, Any]) -> object:
    await asyncio.Event().wait()
    raise AssertionError


async def odd(service: Service, invocation: Invocation, argument: Mapping[str, Any]) -> object:
    return object()


def made() -> App:
    app = App(router(routes), tasks=PLACES)
    app.configure(Settings(store_url="memory://", auth_secret=SECRET))
    return app


@contextlib.asynccontextmanager
async def streaming(**options: Any) -> AsyncIterator[PlayedApi]:
    """The streaming runtime with these tasks."""
    app = made()
    service = await app.begin()
    async with served(hello, perform=app.perform, **options) as api:
        yield api
    await service.close()


async def test_a_task_is_done_and_its_result_is_the_answer() -> None:
    rests = 0

    async def rest() -> None:
        nonlocal rests
        rests += 1

    async with streaming(rest=rest) as api:
        id = api.give(Task("told", {"n": 1}).event, Deadline_Ms=in_seconds(60))
        post = await api.answered()
        assert post.path == f"{PREFIX}/invocation/{id}/response"
        assert post.header("Lambda-Runtime-Function-Response-Mode") is None, "whole, not streamed"
        result = json.loads(post.body)
        assert 50 < result.pop("left") <= 60
        assert result == {
            "argument": {"n": 1},
            "buffered": False,
            "may_freeze": True,
            "store": "memory",
        }
        await api.asked()
        assert rests == 1, "it may be frozen now"
        api.give(url_request())
        assert (await api.answered()).payload == b"hello"


async def test_many_slots_never_freeze() -> None:
    async with streaming(slots=2) as api:
        api.give(Task("told").event, Deadline_Ms=in_seconds(60))
        assert json.loads((await api.answered()).body)["may_freeze"] is False


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        (Task("wrong").event, "Transient", "the upstream is away"),
        (Task("unforeseen", {"key": "hidden"}).event, "ValueError", "unexpected"),
        (Task("odd").event, "TypeError", "unexpected"),
        (Task("other").event, "NotFound", "there is no task 'other'"),
        ({"lastevent": {"task": 1}}, "InvalidRequest", "a task is written as"),
    ],
    ids=["told", "unforeseen", "no JSON", "unknown", "unreadable"],
)
async def test_a_failed_task_is_a_failed_invocation(event: object, kind: str, message: str) -> None:
    async with streaming() as api:
        id = api.give(event, Deadline_Ms=in_seconds(60))
        post = await api.answered()
        assert post.path == f"{PREFIX}/invocation/{id}/error"
        assert post.header("Lambda-Runtime-Function-Error-Type") == kind
        assert message in post.error["errorMessage"]
        assert "hidden" not in bytes(post.body).decode()
        api.give(url_request())
        assert (await api.answered()).payload == b"hello"


async def test_a_task_is_cancelled_before_lambda_ends_it() -> None:
    async with streaming() as api:
        api.give(Task("endless").event, Deadline_Ms=in_seconds(0.5))
        post = await api.answered()
        assert "endless did not end in its time" in post.error["errorMessage"]


async def test_a_request_never_becomes_a_task() -> None:
    event = Task("told").event
    body = json.dumps(event).encode()
    async with streaming() as api:
        api.give(url_request("/lastevent", "POST", "lastevent=told", body, lastevent="told"))
        assert (await api.answered()).payload == b"hello"
        api.give(event | url_request())
        assert (await api.answered()).payload == b"hello"


async def test_the_application_is_told_how_to_start_a_task() -> None:
    started: list[Task] = []

    async def spawn(task: Task) -> None:
        started.append(task)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        invocation = scope["lastevent.invocation"]
        assert invocation.may_freeze
        await invocation.spawn(Task("told"))
        await hello(scope, receive, send)

    async with served(app, spawn=spawn) as api:
        api.give(url_request())
        assert (await api.answered()).payload == b"hello"
    assert started == [Task("told")]


@pytest.fixture
def handler() -> Iterator[LambdaHandler]:
    app = made()
    yield LambdaHandler(app)
    loop = asyncio.get_event_loop_policy().get_event_loop()

    async def close() -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            await (await app.begin()).close()

    loop.run_until_complete(close())
    loop.close()
    asyncio.set_event_loop(None)


def test_the_buffered_handler_does_tasks_too(handler: LambdaHandler) -> None:
    result = handler(Task("told", {"n": 1}).event, Context(20.0))
    assert 19 < result.pop("left") <= 20
    assert result == {
        "argument": {"n": 1},
        "buffered": False,
        "may_freeze": True,
        "store": "memory",
    }


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (Task("wrong").event, Transient),
        (Task("other").event, NotFound),
        ({"lastevent": None}, InvalidRequest),
    ],
    ids=["failed", "unknown", "unreadable"],
)
def test_the_buffered_handler_fails_with_its_task(
    handler: LambdaHandler, event: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        handler(event, Context())
