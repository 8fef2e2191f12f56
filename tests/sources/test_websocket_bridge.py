"""A job followed over a WebSocket: what arrives, what is refused, what passes, what never shows."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from time import monotonic
from types import MappingProxyType

import pytest
from websockets.asyncio.server import ServerConnection, serve

from infra.local.job_service.jobs import Faults
from infra.local.job_service.service import JobService
from lastevent.core.errors import UpstreamLost, UpstreamRefused
from lastevent.sources.websocket_bridge import MAX_MESSAGE_BYTES, Limits, WebSocketBridge
from tests.sources.job_service import KEY, WAIT_SECONDS, Reading, reading, said, serving, upstream

SHORT = Limits(open=0.5, joined=0.3, silent=0.15, pong=0.15, close=0.1)


class Followed:
    """A job service, and the bridge to its job ``7``."""

    def __init__(self, service: JobService, url: str) -> None:
        self.service = service
        self.url = url
        service.job("7")

    def bridge(
        self,
        environ: Mapping[str, str] = MappingProxyType({}),
        *,
        path: str = "/ws",
        limits: Limits = Limits(),
    ) -> WebSocketBridge:
        return WebSocketBridge(upstream(f"{self.url}{path}", **environ), "7", limits)

    async def joined(self, connections: int = 1) -> None:
        """Wait until the service knows of so many connections."""
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self.service.job("7").open) != connections:
                await asyncio.sleep(0.005)

    async def failure(self, bridge: WebSocketBridge) -> Exception:
        """Return what reading ends with."""
        with pytest.raises((UpstreamLost, UpstreamRefused)) as caught:
            async with reading(bridge) as reader:
                await reader.rest()
        assert KEY not in str(caught.value)
        return caught.value


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def followed(stack: AsyncExitStack) -> Followed:
    service = JobService()
    return Followed(service, await stack.enter_async_context(serving(service)))


async def keyed(
    stack: AsyncExitStack, *, acknowledges: bool = False, tells_state: bool = False
) -> Followed:
    service = JobService(KEY, acknowledges=acknowledges, tells_state=tells_state)
    return Followed(service, await stack.enter_async_context(serving(service)))


async def test_a_job_from_its_joining_to_its_end(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lastevent")
    async with reading(followed.bridge()) as reader:
        await followed.joined()
        await followed.service.say("7", type="progress", progress=40, message="Reading prices")
        (event,) = await reader.events(1)
        assert event.type == "progress"
        told = said(event)
        assert (told["jobId"], told["progress"], told["message"]) == ("7", 40, "Reading prices")
        assert told["data"]["seq"] == 1
        assert not reader.over
        await followed.service.say("7", type="completed", result={"imported": 3})
        (event,) = await reader.rest()
        assert event.type == "done"
        assert (said(event)["progress"], said(event)["result"]) == (100, {"imported": 3})
        assert reader.over
    await followed.joined(0)
    assert followed.service.job("7").most == 1
    assert "Connected to external service for job: 7" in caplog.messages
    assert "Forwarding progress update for job: 7" in caplog.messages


async def test_what_has_arrived_is_one_batch(followed: Followed) -> None:
    async with reading(followed.bridge()) as reader:
        await followed.joined()
        for number in range(20):
            await followed.service.say("7", type="progress", progress=number)
        await asyncio.sleep(0.1)
        batch = await reader.batch()
        assert [said(event)["progress"] for event in batch.events] == list(range(20))
        assert batch.position is None, "nothing can be told again"


async def test_a_batch_has_a_size(followed: Followed) -> None:
    async with reading(followed.bridge()) as reader:
        await followed.joined()
        for number in range(12):
            await followed.service.say("7", type="progress", progress=number, note="x" * 50_000)
        batches = [await reader.batch() for _ in range(3)]
        while sum(len(batch.events) for batch in batches) < 12:
            batches.append(await reader.batch())
        for batch in batches:
            assert sum(event.size for event in batch.events) <= 256 * 1024
        assert [said(event)["progress"] for batch in batches for event in batch.events] == list(
            range(12)
        )


async def test_what_stands_behind_the_end_is_no_event(followed: Followed) -> None:
    async with reading(followed.bridge()) as reader:
        await followed.joined()
        await followed.service.say("7", type="failed", error="No such shop")
        await followed.service.say("7", type="progress", progress=1)
        await asyncio.sleep(0.05)
        events = await reader.rest()
    assert [event.type for event in events] == ["failed"]
    assert said(events[0])["error"] == "No such shop"


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        ({}, "Authorization"),
        ({"JOBS_UPSTREAM_HEADER": "X-Api-Key: {key}"}, "X-Api-Key"),
        (
            {
                "JOBS_UPSTREAM_HEADER": "none",
                "JOBS_JOIN_MESSAGE": '{"type":"join","jobId":"{job}","key":"{key}"}',
            },
            "message",
        ),
    ],
)
async def test_where_the_key_is_shown(
    stack: AsyncExitStack, environ: dict[str, str], shown: str
) -> None:
    keyed_service = await keyed(stack)
    environ = {"JOBS_UPSTREAM_KEY": KEY} | environ
    async with reading(keyed_service.bridge(environ)):
        await keyed_service.joined()
    assert keyed_service.service.shown == [shown]


async def test_a_job_named_by_the_path_needs_no_message(followed: Followed) -> None:
    async with reading(followed.bridge(path="/jobs/{job}/ws")) as reader:
        await followed.joined()
        await followed.service.say("7", type="progress", progress=1)
        assert len(await reader.events(1)) == 1


@pytest.mark.parametrize("wrong", ["Authorization: Bearer wrong", "none"])
async def test_a_key_that_is_refused(stack: AsyncExitStack, wrong: str) -> None:
    """Once by the handshake's status, once by a close code."""
    keyed_service = await keyed(stack)
    error = await keyed_service.failure(keyed_service.bridge({"JOBS_UPSTREAM_HEADER": wrong}))
    assert isinstance(error, UpstreamRefused)
    assert ("401" in str(error)) or ("4401 wrong key" in str(error))


@pytest.mark.parametrize(
    ("faults", "kind", "text"),
    [
        (Faults(status=403), UpstreamRefused, "403"),
        (Faults(status=404), UpstreamRefused, "does not know job 7"),
        (Faults(status=302), UpstreamRefused, "redirects"),
        (Faults(status=429, retry_after=7), UpstreamLost, "too often"),
        (Faults(status=503, retry_after=9), UpstreamLost, "503"),
        (Faults(status=500), UpstreamLost, "500"),
        (Faults(close=4404, reason="gone"), UpstreamRefused, "4404 gone"),
        (Faults(close=1008), UpstreamRefused, "1008"),
        (Faults(close=1011), UpstreamLost, "1011"),
        (Faults(close=1000), UpstreamLost, "1000"),
    ],
)
async def test_what_stays_and_what_passes(
    followed: Followed, faults: Faults, kind: type[Exception], text: str
) -> None:
    followed.service.faults = faults
    error = await followed.failure(followed.bridge())
    assert type(error) is kind
    assert text in str(error)
    if isinstance(error, UpstreamLost):
        assert error.retry_after == faults.retry_after


async def test_the_reason_of_a_close_does_not_show_the_key(stack: AsyncExitStack) -> None:
    keyed_service = await keyed(stack)
    keyed_service.service.faults = Faults(close=4401, reason=f"bad key {KEY}")
    error = await keyed_service.failure(keyed_service.bridge({"JOBS_UPSTREAM_KEY": KEY}))
    assert "bad key [redacted]" in str(error)


async def test_an_address_without_a_websocket(followed: Followed) -> None:
    error = await followed.failure(followed.bridge(path="/jobs/{job}"))
    assert isinstance(error, UpstreamRefused)


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UpstreamLost, match="cannot be reached"):
        await anext(WebSocketBridge(upstream(f"http://127.0.0.1:{port}"), "7").read(None))


async def test_a_service_that_accepts_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(UpstreamLost, match="in time"):
            await anext(
                WebSocketBridge(upstream(f"http://127.0.0.1:{port}"), "7", SHORT).read(None)
            )


async def test_no_proxy_of_the_environment_sees_the_key(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ws_proxy", "http_proxy", "https_proxy", "socks_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    async with reading(followed.bridge()):
        await followed.joined()


async def test_a_cut(followed: Followed) -> None:
    async with reading(followed.bridge()) as reader:
        await followed.joined()
        await followed.service.say("7", type="progress", progress=1)
        assert len(await reader.events(1)) == 1
        followed.service.cut("7")
        with pytest.raises(UpstreamLost, match="cut"):
            await reader.batch()


async def test_the_same_bridge_reads_again(followed: Followed) -> None:
    bridge = followed.bridge()
    for number in (1, 2):
        async with reading(bridge) as reader:
            await followed.joined()
            await followed.service.say("7", type="progress", progress=number)
            (event,) = await reader.events(1)
            assert said(event)["progress"] == number
        await followed.joined(0)


async def test_a_service_that_is_gone_without_a_word_is_noticed(followed: Followed) -> None:
    async with reading(followed.bridge(limits=SHORT)) as reader:
        await followed.joined()
        followed.service.mute()
        with pytest.raises(UpstreamLost, match="does not answer"):
            while True:
                await reader.batch()


async def test_a_quiet_service_proves_itself(followed: Followed) -> None:
    async with reading(followed.bridge(limits=SHORT)) as reader:
        for _ in range(3):
            assert await reader.batch() == ((), None, False)


async def test_a_reader_that_is_held_back_loses_no_connection(followed: Followed) -> None:
    async with reading(followed.bridge(limits=SHORT)) as reader:
        await followed.joined()
        for number in range(100):
            await followed.service.say("7", type="progress", progress=number)
        await asyncio.sleep(4 * (SHORT.silent + SHORT.pong))
        events = await reader.events(100)
        await followed.service.say("7", type="progress", progress=100)
        events += await reader.events(1)
    assert [said(event)["progress"] for event in events] == list(range(101))


async def test_what_cannot_be_understood_is_passed_over_and_said_once(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    async with reading(followed.bridge()) as reader:
        await followed.joined()
        (connection,) = followed.service.job("7").open
        for text in ("no JSON", "{", "[1]", "NaN", "[" * 100_000, "null"):
            await connection.send_raw(text)
        await connection.send({"type": "progress", "jobId": "8", "progress": 99})
        await connection.send({"type": "heartbeat"})
        await followed.service.say("7", type="progress", progress=5)
        (event,) = await reader.events(1)
        assert said(event)["progress"] == 5
    warnings = [it.getMessage() for it in caplog.records if it.levelno == logging.WARNING]
    assert sorted(warnings) == [
        "a message for job 7 is passed over: it is about another job",
        "a message for job 7 is passed over: it is not JSON",
        "a message for job 7 is passed over: it is not a JSON object",
    ]


async def test_a_message_that_is_far_too_large_passes_as_a_cut_does(followed: Followed) -> None:
    async with reading(followed.bridge()) as reader:
        await followed.joined()
        await followed.service.say("7", type="progress", note="x" * MAX_MESSAGE_BYTES)
        with pytest.raises(UpstreamLost, match="more than"):
            await reader.batch()


async def test_the_key_is_in_no_event(stack: AsyncExitStack) -> None:
    keyed_service = await keyed(stack)
    async with reading(keyed_service.bridge({"JOBS_UPSTREAM_KEY": KEY})) as reader:
        await keyed_service.joined()
        await keyed_service.service.say("7", type="progress", message=KEY, note=[KEY])
        (event,) = await reader.events(1)
    assert KEY not in event.data
    assert said(event)["message"] == "[redacted]"


async def test_an_error_that_answers_the_joining_is_a_refusal(followed: Followed) -> None:
    async with reading(followed.bridge()) as reader:
        await followed.joined()
        await followed.service.say("7", type="error", message="You are not a member")
        with pytest.raises(UpstreamRefused, match="You are not a member"):
            await reader.batch()


async def test_a_later_error_is_the_jobs_own(followed: Followed) -> None:
    async with reading(followed.bridge()) as reader:
        await followed.joined()
        await followed.service.say("7", type="progress", progress=1)
        await followed.service.say("7", type="error", message="Disk full")
        events = await reader.rest()
    assert [event.type for event in events] == ["progress", "failed"]
    assert said(events[1])["error"] == "Disk full"


async def test_a_joining_that_is_confirmed(stack: AsyncExitStack) -> None:
    confirming = await keyed(stack, acknowledges=True)
    bridge = confirming.bridge({"JOBS_UPSTREAM_KEY": KEY, "JOBS_TYPES": "joined=joined"})
    async with reading(bridge) as reader:
        assert len(confirming.service.job("7").open) == 1, "not before the service said so"
        await confirming.service.say("7", type="progress", progress=1)
        assert len(await reader.events(1)) == 1


async def test_a_joining_that_is_not_confirmed_passes(followed: Followed) -> None:
    began = monotonic()
    error = await followed.failure(followed.bridge({"JOBS_TYPES": "joined=joined"}, limits=SHORT))
    assert isinstance(error, UpstreamLost)
    assert monotonic() - began < WAIT_SECONDS


async def test_joined_is_whose_joining_has_arrived() -> None:
    """What is said before that is in the gap which ends with it."""

    async def deaf(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    async with serve(deaf, "127.0.0.1", 0, close_timeout=0.1) as server:
        port = server.sockets[0].getsockname()[1]
        bridge = WebSocketBridge(upstream(f"http://127.0.0.1:{port}"), "7", SHORT)
        with pytest.raises(UpstreamLost, match="does not answer"):
            await anext(bridge.read(None))


async def state_of(reader: Reading) -> list[object]:
    return [said(event)["progress"] for event in await reader.events(1)]


async def test_a_state_that_is_told_again_is_no_event(stack: AsyncExitStack) -> None:
    telling = await keyed(stack, tells_state=True)
    environ = {"JOBS_UPSTREAM_KEY": KEY, "JOBS_UPSTREAM_REPLAYS": "snapshot"}
    await telling.service.say("7", type="progress", progress=10)
    async with reading(telling.bridge(environ)) as reader:
        assert await state_of(reader) == [10]
        position = reader.position
    assert position is not None
    await telling.joined(0)
    async with reading(telling.bridge(environ), position) as reader:
        await telling.joined()
        await telling.service.say("7", type="progress", progress=11)
        assert await state_of(reader) == [11], "10 was told by the first"
    await telling.joined(0)
    async with reading(telling.bridge(environ), position) as reader:
        assert await state_of(reader) == [11], "and what was missed is told"


async def test_a_cancelled_reader_lets_go_at_once(followed: Followed) -> None:
    async def read() -> None:
        async with reading(followed.bridge()) as reader:
            await reader.rest()

    task = asyncio.create_task(read())
    await followed.joined()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await followed.joined(0)


async def test_no_log_shows_the_key(
    stack: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    keyed_service = await keyed(stack)
    message = json.dumps({"jobId": "{job}", "key": "{key}"})
    bridge = keyed_service.bridge({"JOBS_UPSTREAM_KEY": KEY, "JOBS_JOIN_MESSAGE": message})
    async with reading(bridge):
        await keyed_service.joined()
    assert any(KEY not in message for message in caplog.messages)
    assert not any(KEY in message for message in caplog.messages)
