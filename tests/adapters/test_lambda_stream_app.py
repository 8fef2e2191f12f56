"""The functions themselves under the streaming runtime: published, followed, ended, resumed."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from functions.streams import routes
from lastevent.adapters.lambda_stream.lifespan import Lifespan
from lastevent.core.wire import Decoder, Message
from lastevent.serve.app import App, router
from lastevent.serve.settings import Settings
from tests.adapters.runtime_api import DELIMITER, PlayedApi, Post
from tests.adapters.streaming import (
    SECRET,
    in_seconds,
    rest_request,
    served,
    token,
    url_request,
)

PATH = "/api/streams/s"


@contextlib.asynccontextmanager
async def streams(*, slots: int = 1, **settings: str) -> AsyncIterator[PlayedApi]:
    """Serve functions/streams.py on a store of its own."""
    environ = {"LASTEVENT_STORE_URL": "memory://", "LASTEVENT_AUTH_SECRET": SECRET}
    app = App(router(routes))
    app.configure(Settings.from_env(environ | settings))
    lifespan = Lifespan(app)
    await lifespan.startup()
    async with served(app, rest=app.rest, slots=slots) as api:
        yield api
    await lifespan.shutdown()


def request(
    path: str = PATH,
    method: str = "GET",
    body: bytes = b"",
    cursor: str | None = None,
    **headers: str,
) -> dict[str, Any]:
    """Return a request of somebody who may do everything."""
    if cursor:
        headers["last-event-id"] = cursor
    return url_request(path, method, body=body, authorization=token(), **headers)


async def publish(api: PlayedApi, *data: object, close: bool = False) -> None:
    events = [{"type": "note", "data": item} for item in data]
    content = json.dumps({"events": events, "close": close}).encode()
    api.give(request(method="POST", body=content))
    post = await api.answered()
    assert post.prelude["statusCode"] == 201, post.payload


def messages(post: Post) -> list[Message]:
    return list(Decoder().feed(post.payload))


def notes(found: list[Message]) -> list[Any]:
    return [json.loads(message.data) for message in found if message.type == "note"]


def states(found: list[Message]) -> list[str]:
    return [json.loads(it.data)["state"] for it in found if it.type == "stream"]


@pytest.mark.parametrize("payload", ["1.0", "2.0"])
async def test_a_leg_is_resumed_by_the_next_invocation(payload: str) -> None:
    """Between the two the process rests, as it does where it is frozen."""

    def follow(cursor: str | None = None) -> dict[str, Any]:
        if payload == "2.0":
            return request(cursor=cursor)
        event = rest_request(PATH)
        fields = {"Last-Event-ID": cursor, "Authorization": token()}
        event["multiValueHeaders"] |= {name: [text] for name, text in fields.items() if text}
        return event

    async with streams(LASTEVENT_MAX_LEG_SECONDS="0.5") as api:
        await publish(api, 1, 2)
        api.give(follow(), Deadline_Ms=in_seconds(30))
        first = await api.answered()
        assert first.prelude["statusCode"] == 200
        assert first.prelude["headers"]["content-type"].startswith("text/event-stream")
        found = messages(first)
        assert notes(found) == [1, 2]
        assert states(found)[0] == "open"
        assert states(found)[-1] == "rotate"
        assert first.trailers == {}
        await publish(api, 3)
        api.give(follow(found[-1].id))
        assert notes(messages(await api.answered())) == [3]


async def test_events_arrive_while_the_leg_is_open() -> None:
    async with streams(slots=2) as api:
        await publish(api, 1)
        api.give(request(), Deadline_Ms=in_seconds(60))
        post = await api.posted()
        decoder, found = Decoder(), list[Message]()

        async def until(count: int) -> None:
            while len(notes(found)) < count:
                chunk = await post.chunk()
                if DELIMITER not in chunk:
                    found.extend(decoder.feed(chunk))

        await until(1)
        for number in (2, 3):
            await publish(api, number)
            await until(number)
        assert not post.ended.is_set()
        await publish(api, 4, close=True)
        assert notes(messages(await post.whole())) == [1, 2, 3, 4]


async def test_a_leg_ends_before_lambda_would_cut_it() -> None:
    async with streams() as api:
        await publish(api, 1)
        api.give(request(), Deadline_Ms=in_seconds(3))
        began = asyncio.get_running_loop().time()
        post = await api.answered()
        assert asyncio.get_running_loop().time() - began < 3
        assert states(messages(post))[-1] == "rotate"


async def test_a_finished_stream_answers_204() -> None:
    """After which a native client stays away."""
    async with streams() as api:
        await publish(api, 1, close=True)
        api.give(request())
        found = messages(await api.answered())
        assert states(found)[-1] == "end"
        api.give(request(cursor=found[-1].id))
        post = await api.answered()
        assert (post.prelude["statusCode"], post.payload) == (204, b"")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"path": "/nowhere"}, 404),
        ({"cursor": "not a cursor"}, 400),
        ({"method": "POST", "body": b"{"}, 400),
    ],
    ids=["path", "cursor", "body"],
)
async def test_refusals_are_problems(asked: dict[str, Any], status: int) -> None:
    async with streams() as api:
        api.give(request(**asked))
        post = await api.answered()
        assert post.path.endswith("/response")
        assert post.prelude["statusCode"] == status
        assert post.prelude["headers"]["content-type"] == "application/problem+json"
        assert json.loads(post.payload)["status"] == status


async def test_whole_answers_are_the_same_as_anywhere() -> None:
    async with streams() as api:
        await publish(api, "a", "ä")
        api.give(request(accept="application/json"))
        post = await api.answered()
        assert [event["data"] for event in json.loads(post.payload)["events"]] == ["a", "ä"]
        api.give(request("/api/health"))
        assert json.loads((await api.answered()).payload)["status"] == "ok"
