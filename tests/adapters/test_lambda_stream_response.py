"""What the streaming runtime answers, to the byte, and when."""

import asyncio
import base64
import json
import logging
from contextvars import ContextVar

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.adapters.runtime_api import DELIMITER, PREFIX, WAIT_SECONDS, Peer, Post, take, take_body
from tests.adapters.streaming import Stepped, body, in_seconds, served, start, url_request


async def test_a_response_is_a_prelude_eight_nuls_and_the_payload() -> None:
    app = Stepped()
    app.put(start(201, ("Content-Type", "text/plain")), body(b"one", True), body(b"two"), None)
    async with served(app) as api:
        api.give(url_request(), id="abc-1")
        post = await api.answered()
    said = post.head.decode().lower()
    assert said.startswith(f"post {PREFIX}/invocation/abc-1/response http/1.1\r\n")
    assert f"\r\nhost: {api.address}\r\n" in said
    assert "\r\nlambda-runtime-function-response-mode: streaming\r\n" in said
    assert "\r\ncontent-type: application/vnd.awslambda.http-integration-response\r\n" in said
    assert "\r\ntransfer-encoding: chunked\r\n" in said
    assert post.header("Trailer") == (
        "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
    )
    assert "content-length" not in said
    prelude = await post.chunk()
    assert json.loads(prelude.removesuffix(DELIMITER)) == {
        "statusCode": 201,
        "headers": {"content-type": "text/plain"},
        "cookies": [],
    }
    assert prelude.endswith(DELIMITER)
    assert prelude.count(b"\0") == 8
    assert [await post.chunk(), await post.chunk()] == [b"one", b"two"]
    assert post.payload == b"onetwo"
    assert post.trailers == {}


async def test_each_message_arrives_when_it_is_sent() -> None:
    """The prelude too: it does not wait for the first of the payload."""
    app = Stepped()
    async with served(app) as api:
        api.give(url_request())
        app.put(start())
        post = await api.posted()
        assert (await post.chunk()).endswith(DELIMITER)
        for data in (b"a", b"b" * 100_000, b"c"):
            app.put(body(data, True))
            assert await post.chunk() == data
        assert not post.ended.is_set()
        app.put(body())
        await post.whole()  # and does not wait for the application to return
        app.put(None)


async def test_cookies_are_apart_and_other_repeated_headers_are_joined() -> None:
    app = Stepped()
    fields = [("Set-Cookie", "a=1; Path=/"), ("Vary", "Accept"), ("set-cookie", "b=2")]
    app.put(start(200, *fields, ("vary", "Origin"), ("x-name", "Zo\xe9")), body(b"x"), None)
    async with served(app) as api:
        api.give(url_request())
        post = await api.answered()
    assert post.prelude["cookies"] == ["a=1; Path=/", "b=2"]
    assert post.prelude["headers"]["vary"] == "Accept, Origin"
    assert "set-cookie" not in post.prelude["headers"]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_a_response_without_a_payload_is_whole(method: str, status: int) -> None:
    app = Stepped()
    app.put(start(status, ("etag", '"1"')), body(), None)
    async with served(app) as api:
        api.give(url_request(method=method))
        post = await api.answered()
        assert post.prelude["statusCode"] == status
        assert post.payload == b""
        assert not post.cut
        await api.asked()


async def test_the_invocation_id_goes_back() -> None:
    """Lambda tells by it the answer to an attempt that has run out of its time."""
    app = Stepped()
    app.put(start(), body(b"x"), None, ValueError("x"), start(), body(b"x"), None)
    async with served(app) as api:
        api.give(url_request(), Invocation_Id="nonce-1")
        assert (await api.answered()).header("Lambda-Runtime-Invocation-Id") == "nonce-1"
        api.give(url_request(), Invocation_Id="nonce-2")
        post = await api.answered()
        assert post.path.endswith("/error")
        assert post.header("Lambda-Runtime-Invocation-Id") == "nonce-2"
        api.give(url_request())
        assert (await api.answered()).header("Lambda-Runtime-Invocation-Id") is None


async def test_a_request_id_is_any_text() -> None:
    app = Stepped()
    app.put(start(), body(b"x"), None)
    async with served(app) as api:
        api.give(url_request(), id="../a b")
        assert (await api.answered()).path == f"{PREFIX}/invocation/..%2Fa%20b/response"


async def test_an_error_before_the_first_byte_takes_the_place_of_the_response(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Stepped()
    app.put(ValueError("the password is swordfish"))
    async with served(app) as api:
        id = api.give(url_request())
        post = await api.answered()
        assert post.path == f"{PREFIX}/invocation/{id}/error"
        assert post.header("Lambda-Runtime-Function-Error-Type") == "ValueError"
        assert post.header("Content-Type") == "application/json"
        assert post.error["errorType"] == "ValueError"
        assert post.error["requestId"] == id
        assert any("raise step" in line for line in post.error["stackTrace"])
        assert "swordfish" not in json.dumps(post.error), "the caller learns no values"
        await api.asked()
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert id in record.getMessage()
    assert record.exc_info is not None


async def test_no_response_at_all_is_an_error() -> None:
    app = Stepped()
    app.put(None)
    async with served(app) as api:
        api.give(url_request())
        post = await api.answered()
        assert post.path.endswith("/error")
        assert post.error["errorType"] == "IncompleteResponse"
        await api.asked()


@pytest.mark.parametrize(
    ("step", "kind"), [(ValueError("no"), "ValueError"), (None, "IncompleteResponse")]
)
async def test_an_error_after_the_first_byte_is_told_in_trailers(
    step: BaseException | None, kind: str
) -> None:
    app = Stepped()
    app.put(start(), body(b"half", True), step)
    async with served(app) as api:
        id = api.give(url_request())
        post = await api.answered()
        assert post.path.endswith("/response")
        assert post.payload == b"half"
        trailers = {name.lower(): value for name, value in post.trailers.items()}
        assert trailers["lambda-runtime-function-error-type"] == kind
        told = json.loads(base64.b64decode(trailers["lambda-runtime-function-error-body"]))
        assert (told["errorType"], told["requestId"]) == (kind, id)
        await api.asked()


async def test_an_error_after_the_last_byte_is_logged_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Stepped()
    app.put(start(), body(b"x"), ValueError("too late to matter"))
    async with served(app) as api:
        id = api.give(url_request())
        post = await api.answered()
        assert post.trailers == {}
        await api.asked()
    assert f"{id}: the application failed" in caplog.text


async def test_messages_out_of_place_are_errors(caplog: pytest.LogCaptureFixture) -> None:
    app = Stepped()
    app.put(body(b"x"), start(), start(), start(), body(b"x"), body(b"y"))
    async with served(app) as api:
        posts = []
        for _ in range(3):
            api.give(url_request())
            posts.append(await api.answered())
        await api.asked()
    assert posts[0].path.endswith("/error")
    assert "RuntimeError" in posts[1].trailers.values()
    assert posts[2].payload == b"x"
    assert posts[2].trailers == {}
    assert caplog.text.count("RuntimeError: http.response.") == 3


async def test_an_application_beyond_the_deadline_is_cut() -> None:
    app = Stepped()
    app.put(start(), body(b"x", True))
    async with served(app) as api:
        api.give(url_request(), Deadline_Ms=in_seconds(0.2))
        post = await api.answered()
        assert "TimeoutError" in post.trailers.values()
        await api.asked()


async def test_a_chunk_of_an_event_stream_pushes_the_one_before_it_out() -> None:
    """Only between two events, since a comment within one would break it, and not at the end."""
    app = Stepped()
    kind = ("content-type", "text/event-stream; charset=utf-8")
    pieces = [b"data: 1\n\n", b"data: a long", b" one\n", b"\n", b"id: 3\n\n"]
    app.put(start(200, kind), *(body(piece, True) for piece in pieces), body(b"id: 4\n\n"), None)
    app.put(start(200, ("content-type", "text/plain")), body(b"x\n\n", True), body(b"y"), None)
    async with served(app, trailing_comment=True) as api:
        api.give(url_request())
        post = await api.answered()
        chunks = [await post.chunk() for _ in range(9)][1:]
        assert chunks == [
            b"data: 1\n\n",
            b":\n\n",
            b"data: a long",
            b" one\n",
            b"\n",
            b"id: 3\n\n",
            b":\n\n",
            b"id: 4\n\n",
        ]
        api.give(url_request())
        assert (await api.answered()).payload == b"x\n\ny"


async def test_without_the_setting_nothing_is_added() -> None:
    app = Stepped()
    app.put(start(200, ("content-type", "text/event-stream")), body(b"id: 1\n\n", True), body())
    async with served(app) as api:
        api.give(url_request())
        assert (await api.answered()).payload == b"id: 1\n\n"
        app.put(None)


async def test_the_body_comes_once_and_then_the_end_of_the_response() -> None:
    received: list[Message] = []
    early, told = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received.append(await receive())
        waiting = asyncio.ensure_future(receive())
        await send(start())
        await send(body(b"x", True))
        await asyncio.sleep(0)
        if waiting.done():
            early.set()
        await send(body())
        received.append(await waiting)
        told.set()

    async def late(post: Post, peer: Peer) -> None:
        await take_body(post, peer)
        await told.wait()
        peer.answer(202)

    async with served(app) as api:
        api.give(url_request(method="POST", body=b'{"a": 1}'), taker=late)
        await api.answered()
        await api.asked()
    assert [message["type"] for message in received] == ["http.request", "http.disconnect"]
    assert received[0]["body"] == b'{"a": 1}'
    assert not received[0]["more_body"]
    assert not early.is_set(), "the client is said to be gone only once all is sent"


async def test_one_invocation_sees_nothing_of_another_ones_context() -> None:
    mine: ContextVar[str] = ContextVar("mine", default="nobody's")
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(mine.get())
        mine.set("the first one's")
        await send(start())
        await send(body())

    async with served(app) as api:
        for _ in range(2):
            api.give(url_request())
            await api.answered()
    assert seen == ["nobody's", "nobody's"]


async def test_an_application_is_slowed_down_to_what_lambda_takes() -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(start())
        for _ in range(400):
            await send(body(bytes(65_536), True))
            sent += 65_536
        await send(body())

    gate = asyncio.Event()

    async def slow(post: Post, peer: Peer) -> None:
        await gate.wait()
        await take(post, peer)

    async with served(app) as api:
        api.give(url_request(), taker=slow)
        post = await api.posted()
        last = -1
        async with asyncio.timeout(WAIT_SECONDS):
            while last != sent or not sent:
                last = sent
                await asyncio.sleep(0.1)
        assert sent < 400 * 65_536 / 2, "buffers of the sockets, and no more"
        gate.set()
        await post.whole()
        assert len(post.payload) == 400 * 65_536
