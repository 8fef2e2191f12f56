"""What the streaming runtime survives: refusals, ends, silence, and a Runtime API that is away."""

import asyncio
import logging

import pytest
from starlette.types import Message, Receive, Scope, Send

from lastevent.adapters.lambda_stream import connection, runtime_api
from tests.adapters.runtime_api import PREFIX, WAIT_SECONDS, Peer, Post, discard, takes, takes_part
from tests.adapters.streaming import (
    Stepped,
    body,
    hello,
    served,
    start,
    url_request,
)

NEXT = f"GET {PREFIX}/invocation/next"


@pytest.mark.parametrize("answers", [1, 2])
@pytest.mark.parametrize("says_so", [True, False])
async def test_a_closed_connection_is_opened_again(answers: int, says_so: bool) -> None:
    """After the work was handed out, and after the answer to it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not says_so:
            await asyncio.sleep(0.05)  # so that it can be noticed
        await hello(scope, receive, send)

    async with served(app) as api:
        api.closes_after, api.says_so = answers, says_so
        for _ in range(2):
            api.give(url_request())
            assert (await api.answered()).payload == b"hello"
        await api.asked()
        assert api.connections > 2


class Endless:
    """Sends until it is told that the client has left, in the way that a leg is told."""

    def __init__(self) -> None:
        self.disconnected = 0
        self.refused: list[type[Exception]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        leaving = asyncio.ensure_future(receive())
        await send(start())
        try:
            while not leaving.done():
                await send(body(bytes(65_536), True))
                await asyncio.sleep(0)
        except OSError as error:
            self.refused.append(type(error))
        message: Message = await asyncio.wait_for(leaving, WAIT_SECONDS)
        self.disconnected += message["type"] == "http.disconnect"


async def test_an_answer_before_the_end_is_a_refusal() -> None:
    """413: the response is over Lambda's limit. The application is told in both ways."""
    app = Endless()
    async with served(app) as api:
        api.give(url_request(), taker=takes_part(3, 413))
        post = await api.answered()
        assert post.cut
        await api.asked()
        assert app.disconnected == 1
        app_2 = api.give(url_request(), taker=takes_part(1, 413))
        assert app_2 in (await api.posted()).path, "the slot goes on"


async def test_a_refusal_reaches_an_application_that_waits_in_a_send() -> None:
    """The Runtime API has stopped reading, so that send is never done by itself."""
    app = Stepped()
    waits, seen = asyncio.Event(), asyncio.Event()

    async def refuse(post: Post, peer: Peer) -> None:
        await waits.wait()
        peer.answer(413)
        await peer.writer.drain()
        await seen.wait()
        await discard(peer)

    async with served(app) as api:
        api.give(url_request(), taker=refuse)
        app.put(start(), *[body(bytes(2**20), True)] * 100)
        await api.posted()
        async with asyncio.timeout(WAIT_SECONDS):
            left = -1
            while left != app.steps.qsize():
                left = app.steps.qsize()
                await asyncio.sleep(0.05)
        assert left > 50
        waits.set()
        await api.asked()
        seen.set()


async def test_the_end_of_the_connection_is_a_disconnect(caplog: pytest.LogCaptureFixture) -> None:
    app = Endless()
    async with served(app) as api:
        id = api.give(url_request(), taker=takes_part(2, None))
        post = await api.answered()
        await api.asked()
        assert post.cut
        assert app.disconnected == 1
        assert f"{id}: the answer did not arrive" in caplog.text
        assert "Traceback" not in caplog.text, "nobody here did anything wrong"


async def test_an_application_that_raises_what_send_raised_has_not_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        while True:
            await send(body(b"x", True))
            await asyncio.sleep(0)

    async with served(app) as api:
        api.give(url_request(), taker=takes_part(2, 413))
        await api.answered()
        await api.asked()
    assert "Traceback" not in caplog.text
    assert "the Runtime API answered 413" in caplog.text


async def test_a_connection_that_breaks_under_a_send_is_nobodys_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        while scope["path"] == "/first":
            await send(body(b"x" * 1000, True))
        await send(body(b"second"))

    async with served(app) as api:
        api.closes_after, api.says_so = 1, False
        id = api.give(url_request("/first"))
        async with asyncio.timeout(WAIT_SECONDS):
            while api.connections < 2:
                await asyncio.sleep(0.005)
        api.closes_after = None
        api.give(url_request("/second"))
        assert (await api.answered()).payload == b"second"
    assert f"{id}: the answer did not arrive" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(410, "no longer waits"), (400, "answered 400"), (500, "answered 500")],
)
@pytest.mark.parametrize("fails", [False, True])
async def test_an_answer_that_is_not_taken_is_logged(
    status: int, sentence: str, fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = Stepped()
    app.put(*([ValueError("no")] if fails else [start(), body(b"x"), None]), start(), body(), None)
    async with served(app) as api:
        id = api.give(url_request(), taker=takes(status))
        await api.answered()
        api.give(url_request())
        assert (await api.answered()).path.endswith("/response")
    assert any(id in text and sentence in text for text in caplog.messages)


async def test_an_answer_that_nobody_takes_does_not_hold_the_slot_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.1)

    async def silent(post: Post, peer: Peer) -> None:
        await discard(peer)

    app = Stepped()
    app.put(start(), body(b"x"), None, ValueError("no"))
    async with served(app) as api:
        for _ in range(2):
            api.give(url_request(), taker=silent)
            await api.answered()
        await api.asked()
    assert caplog.text.count("the answer did not arrive") == 2
    assert "gives no work" not in caplog.text, "what nobody answered is not in the way of the next"


async def test_an_event_over_every_limit_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime_api, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(connection, "MAX_ANSWER_BYTES", 100_000)
    async with served(hello) as api:
        api.give(url_request(body=bytes(100_000)))
        api.give(url_request())
        assert (await api.answered()).payload == b"hello"
    assert "over 100000 bytes" in caplog.text


async def test_a_runtime_api_that_comes_back_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime_api, "PAUSE_SECONDS", 0.01)
    async with served(hello) as api:
        await api.asked()
        api.next_status = 503
        api.give(url_request())
        await api.answered()
        async with asyncio.timeout(WAIT_SECONDS):
            while api.requests.count(NEXT) < 4:
                await asyncio.sleep(0.001)
        api.next_status = 200
        api.give(url_request())
        assert (await api.answered()).payload == b"hello"
    assert "it answered 503" in caplog.text


@pytest.mark.parametrize(("trouble", "attempts"), [("503", 5), ("500", 1), ("gone", 0)])
async def test_without_a_runtime_api_the_loop_ends(
    trouble: str, attempts: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime_api, "PAUSE_SECONDS", 0.01)
    async with served(hello) as api:
        await api.asked()
        if trouble == "gone":
            await api.close()
        else:
            api.next_status = int(trouble)
            api.give(url_request())
            await api.answered()
        async with asyncio.timeout(WAIT_SECONDS):
            while not any(record.levelno == logging.ERROR for record in caplog.records):
                await asyncio.sleep(0.01)
        assert api.requests.count(NEXT) == 1 + attempts
    assert "the Runtime API gives no work" in caplog.messages[-1]
