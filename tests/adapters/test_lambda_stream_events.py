"""Which events the streaming runtime serves, and what an application sees of them."""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.adapters.runtime_api import PREFIX
from tests.adapters.streaming import (
    Stepped,
    body,
    hello,
    in_seconds,
    rest_request,
    served,
    start,
    url_request,
)


@pytest.mark.parametrize(
    "event",
    [
        {"version": "0", "source": "aws.scheduler", "detail-type": "Scheduled Event"},
        {"Records": [{"eventSource": "aws:sqs", "body": "a secret order"}]},
        {"key1": "value1", "key2": "value2", "key3": "value3"},
        {"requestContext": {"elb": {"targetGroupArn": "arn"}}, "path": "/", "httpMethod": "GET"},
        {"requestContext": {"eventType": "CONNECT", "connectionId": "x"}},
        {"version": "2.0", "requestContext": {"serviceArn": "arn"}, "path": "/"},
        {"version": "2.0", "requestContext": {"http": "no"}},
        url_request() | {"isBase64Encoded": True, "body": "a"},
        {},
        [1, 2],
        "requestContext, version",
        None,
        b"[" * 100_000,
        b"",
        b"\xff\xfe not json",
    ],
    ids=lambda event: str(event)[:40],
)
async def test_what_is_no_http_request_is_refused_and_the_next_one_served(event: Any) -> None:
    async with served(hello) as api:
        id = api.give(event)
        post = await api.answered()
        assert post.path == f"{PREFIX}/invocation/{id}/error"
        assert post.header("Lambda-Runtime-Function-Error-Type") == "UnsupportedEvent"
        assert "API Gateway" in post.error["errorMessage"]
        assert "secret" not in post.error["errorMessage"]
        assert post.error["stackTrace"] == []
        api.give(url_request())
        assert (await api.answered()).payload == b"hello"


async def test_the_scope_is_the_one_that_mangum_makes() -> None:
    """So that an application sees the same, streamed or buffered."""
    from mangum import Mangum

    events = [
        url_request("/api/streams/a b", query="x=1&x=2", accept="*/*", cookie="a=1; b=2"),
        url_request("/api", "POST", body=b'{"n":1}', content_type="application/json"),
        rest_request("/api/streams/s", query={"x": ["1", "2"], "y": ["ä"]}),
        rest_request("/api/streams/s", "POST", body='{"n":1}'),
    ]
    ours: list[Any] = []
    theirs: list[Any] = []

    def record(seen: list[Any]) -> Any:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append((scope, await receive()))
            await send(start())
            await send(body())

        return app

    async with served(record(ours)) as api:
        for event in events:
            api.give(event)
            await api.answered()

    def buffered() -> None:
        context: Any = None
        with asyncio.Runner() as runner:
            asyncio.set_event_loop(runner.get_loop())
            for event in events:
                Mangum(record(theirs), lifespan="off")(event, context)

    await asyncio.to_thread(buffered)
    assert len(ours) == len(theirs) == 4
    for (scope, got), (expected, message) in zip(ours, theirs, strict=True):
        for key in ("aws.context", "lastevent.invocation"):
            scope.pop(key)
        expected.pop("aws.context")
        assert scope == expected
        assert got == message
    assert ours[0][0]["aws.event"] == events[0]


async def test_the_context_says_what_lambda_says() -> None:
    app = Stepped()
    app.put(start(), body(), None)
    environ = {"AWS_LAMBDA_FUNCTION_NAME": "streams", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256"}
    async with served(app, environ=environ) as api:
        id = api.give(
            url_request(),
            Deadline_Ms=in_seconds(60),
            Invoked_Function_Arn="arn:aws:lambda:x",
            Aws_Tenant_Id="tenant-1",
        )
        await api.answered()
    context = app.scopes[0]["aws.context"]
    assert context.aws_request_id == id
    assert context.invoked_function_arn == "arn:aws:lambda:x"
    assert context.tenant_id == "tenant-1"
    assert (context.function_name, context.memory_limit_in_mb) == ("streams", 256)
    assert 50_000 < context.get_remaining_time_in_millis() <= 60_000
