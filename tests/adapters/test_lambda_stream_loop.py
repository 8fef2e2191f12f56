"""The streaming runtime's loop: what it asks for and when, and how it ends."""

import asyncio
import gc

import pytest
from starlette.types import Receive, Scope, Send

from lastevent.adapters.lambda_stream import loop
from tests.adapters.runtime_api import PREFIX, WAIT_SECONDS
from tests.adapters.streaming import (
    Stepped,
    body,
    hello,
    in_seconds,
    served,
    start,
    url_request,
)

NEXT = f"GET {PREFIX}/invocation/next"


async def test_one_connection_serves_all_invocations() -> None:
    async with served(hello) as api:
        for _ in range(3):
            id = api.give(url_request())
            assert (await api.answered()).payload == b"hello"
        await api.asked()
        assert api.connections == 1
        assert api.requests[-2:] == [f"POST {PREFIX}/invocation/{id}/response", NEXT]


async def test_several_slots_serve_at_once() -> None:
    gate = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await gate.wait()
        await send(body(b"x"))

    environ: dict[str, str] = {}
    async with served(app, slots=3, environ=environ) as api:
        await api.asked(3)
        posts = []
        for _ in range(3):
            api.give(url_request(), Trace_Id="Root=1")
            posts.append(await api.posted())
            await posts[-1].chunk()
        await api.asked(0)
        assert len({post.path for post in posts}) == 3
        assert environ == {}, "there is one variable for all of them, so it is left alone"
        gate.set()
        for post in posts:
            assert (await post.whole()).payload == b"x"
        await api.asked(3)
        assert api.connections == 3


async def test_the_trace_is_where_the_tracing_libraries_look() -> None:
    environ: dict[str, str] = {}
    async with served(hello, environ=environ) as api:
        api.give(url_request(), Trace_Id="Root=1-5bef4de7;Sampled=1")
        await api.answered()
        assert environ == {"_X_AMZN_TRACE_ID": "Root=1-5bef4de7;Sampled=1"}
        api.give(url_request())
        await api.answered()
        assert environ == {}


async def test_the_process_rests_between_the_answer_and_the_next_request_for_work() -> None:
    """RULES 17: it may be frozen from that request on, and is not before it."""
    seen: list[tuple[str, int]] = []

    async def rest() -> None:
        await asyncio.sleep(0.01)
        seen.append((api.requests[-1], api.waiting))

    async with served(hello, rest=rest) as api:
        await api.asked()
        assert seen == []
        for event in (url_request(), {"not": "http"}):
            api.give(event)
            path = (await api.answered()).path
            await api.asked()
            assert seen.pop() == (f"POST {path}", 0)
            assert api.requests[-1] == NEXT


async def test_instances_that_are_never_frozen_do_not_rest() -> None:
    async def rest() -> None:
        rested.append(True)

    rested: list[bool] = []
    async with served(hello, rest=rest, slots=2) as api:
        api.give(url_request())
        await api.answered()
        await api.asked(2)
    assert rested == []


@pytest.mark.parametrize("how", ["raises", "hangs"])
async def test_a_rest_that_goes_wrong_is_logged(
    how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loop, "REST_SECONDS", 0.05)

    async def rest() -> None:
        if how == "raises":
            raise ValueError("no")
        await asyncio.sleep(WAIT_SECONDS)

    async with served(hello, rest=rest) as api:
        api.give(url_request())
        await api.answered()
        await api.asked()
    assert "could not let go" in caplog.text


async def test_a_deadline_becomes_one_of_the_loops_clock() -> None:
    app = Stepped()
    app.put(*[start(), body(), None] * 2)
    async with served(app) as api:
        api.give(url_request(), Deadline_Ms=in_seconds(60))
        await api.answered()
        api.give(url_request())
        await api.answered()
    first, second = (scope["lastevent.invocation"] for scope in app.scopes)
    assert 50 < first.deadline - asyncio.get_running_loop().time() <= 60
    assert first.held_is_billed
    assert not first.buffered
    assert second.deadline is None


async def test_told_to_stop_it_asks_for_no_more_and_lets_responses_end() -> None:
    app = Stepped()
    async with served(app, slots=2) as api:
        await api.asked(2)
        api.give(url_request())
        app.put(start())
        post = await api.posted()
        await post.chunk()

        async def finish() -> None:
            await api.asked(0)  # the slot that waited for work has left
            app.put(body(b"the end"), None)

        finishing = asyncio.create_task(finish())
    await finishing
    assert (await post.whole()).payload == b"the end"
    assert not post.cut
    assert api.requests.count(NEXT) == 2


async def test_told_to_stop_it_cuts_what_does_not_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loop, "GRACE_SECONDS", 0.05)
    app = Stepped()
    async with served(app) as api:
        api.give(url_request())
        app.put(start())
        post = await api.posted()
        await post.chunk()
    assert (await post.whole()).cut
    gc.collect()
    assert caplog.messages == [], "nor does asyncio miss anybody who looks at an error"
