"""A plain stream in a real browser: our client and the native EventSource, on a bad network.

What counts is the cursor that the *server* received: a client that drops what comes twice would
hide a resume that does not work.
"""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from playwright.async_api import Page

from lastevent.serve.auth import mint
from tests.browser.proxy import Proxy
from tests.browser.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WAIT_SECONDS = 20.0

FOLLOW = """async () => {
    const { Stream } = await import("/lastevent.js");
    window.events = [];
    window.states = [];
    window.stream = new Stream("/api/streams/s", {
        onEvent: (event) => events.push([event.id, event.json()]),
        onReset: (reset) => events.push(["reset", reset]),
        onState: (state) => states.push(state.name),
    });
}"""

FOLLOW_WITH_TOKENS = """async (tokens) => {
    const { Stream } = await import("/lastevent.js");
    window.events = [];
    window.states = [];
    window.stream = new Stream("/api/streams/s", {
        token: async () => (await Promise.resolve(tokens)).shift(),
        onEvent: (event) => events.push([event.id, event.json()]),
        onState: (state) => states.push(state.name),
    });
}"""

FOLLOW_NATIVELY = """() => {
    window.events = [];
    window.source = new EventSource("/api/streams/s");
    source.addEventListener("note", (e) => events.push([e.lastEventId, JSON.parse(e.data)]));
}"""


async def events(page: Page, count: int) -> list[list[Any]]:
    """Return id and data of the events that the page has, once they are as many."""
    await page.wait_for_function("count => events.length >= count", arg=count)
    found: list[list[Any]] = await page.evaluate("events")
    return found


def numbers(found: list[list[Any]]) -> list[Any]:
    """Return the events' data."""
    return [data for _, data in found]


async def publish_slowly(server: Server, first: int, last: int) -> None:
    """Publish numbers one by one, over a few planned ends."""
    for number in range(first, last + 1):
        await server.publish("s", number)
        await asyncio.sleep(0.02)


async def check_cursors(proxy: Proxy, found: list[list[Any]]) -> list[str]:
    """Check that each leg but the first named the newest event that the one before had brought."""
    ids = [id for id, _ in found]
    cursors = [leg.cursor for leg in proxy.legs("/api/streams/s")]
    assert cursors[0] is None
    resumed = [cursor for cursor in cursors[1:] if cursor and cursor in ids]
    assert resumed == sorted(resumed)
    return [cursor or "" for cursor in cursors[1:]]


async def test_planned_ends_lose_and_repeat_nothing(
    page: Page, server: Server, proxy: Proxy
) -> None:
    await page.goto(proxy.url)
    await page.evaluate(FOLLOW)
    await publish_slowly(server, 1, 80)
    found = await events(page, 80)
    assert numbers(found) == list(range(1, 81))
    counts = await page.evaluate("stream.counts")
    assert counts["plannedEnds"] >= 2
    assert counts["cuts"] == 0
    assert await page.evaluate("stream.repeated") == 0
    assert await page.evaluate("states") == ["connecting", "connected"]
    cursors = await check_cursors(proxy, found)
    # In the midst of the run each leg goes on after an event, and no two after the same.
    assert len({c for c in cursors if c in {id for id, _ in found[:-1]}}) >= 2


async def test_a_cut_within_a_frame_is_resumed_before_that_frame(
    page: Page, server: Server, proxy: Proxy
) -> None:
    await page.goto(proxy.url)
    await page.evaluate(FOLLOW)
    await server.publish("s", 1)
    first = (await events(page, 1))[0][0]
    legs = len(proxy.legs("/api/streams/s"))
    proxy.cut_in_frame()
    await server.publish("s", 2)
    found = await events(page, 2)
    assert numbers(found) == [1, 2]
    assert proxy.legs("/api/streams/s")[legs].cursor == first
    assert await page.evaluate("stream.counts.cuts") == 1
    assert "reconnecting" in await page.evaluate("states")


async def test_a_stalled_network_is_noticed_by_the_missing_heartbeat(
    page: Page, server: Server, proxy: Proxy
) -> None:
    server.environ["LASTEVENT_MAX_LEG_SECONDS"] = "60"
    await server.end(signal.SIGTERM)
    await server.start()
    await page.goto(proxy.url)
    await page.evaluate(FOLLOW)
    await server.publish("s", 1)
    await events(page, 1)
    proxy.stall()
    await page.wait_for_function("() => states.includes('reconnecting')")
    assert "nothing was heard" in await page.evaluate("stream.state.reason")
    await server.publish("s", 2)
    proxy.cut()  # what was held back on the dead connection never comes
    proxy.flow()
    found = await events(page, 2)
    assert numbers(found) == [1, 2]


async def test_a_killed_server_comes_back_and_nothing_is_lost_or_repeated(
    page: Page, server: Server, proxy: Proxy
) -> None:
    await page.goto(proxy.url)
    await page.evaluate(FOLLOW)
    await publish_slowly(server, 1, 30)
    before = await events(page, 30)
    legs = len(proxy.legs("/api/streams/s"))
    await server.end(signal.SIGKILL)
    await page.wait_for_function("() => states.at(-1) === 'reconnecting'")
    await server.start()
    await publish_slowly(server, 31, 60)
    found = await events(page, 60)
    assert numbers(found) == list(range(1, 61))
    assert proxy.legs("/api/streams/s")[legs].cursor == before[-1][0]
    assert await page.evaluate("stream.repeated") == 0


async def test_a_deleted_stream_is_told_as_a_loss(page: Page, server: Server) -> None:
    await page.goto(server.url)
    await page.evaluate(FOLLOW)
    await server.publish("s", 1, 2)
    await events(page, 2)
    await page.evaluate("fetch('/api/streams/s', { method: 'DELETE' })")
    await server.publish("s", 3)
    found = await events(page, 4)
    assert [id for id, _ in found].count("reset") == 1
    assert numbers(found)[-1] == 3


async def test_the_end_of_a_stream_ends_the_following(
    page: Page, server: Server, proxy: Proxy
) -> None:
    await page.goto(proxy.url)
    await page.evaluate(FOLLOW)
    await server.publish("s", 1, close=True)
    await page.wait_for_function("() => states.at(-1) === 'ended'")
    legs = len(proxy.legs("/api/streams/s"))
    await asyncio.sleep(1)
    assert len(proxy.legs("/api/streams/s")) == legs
    await page.evaluate(FOLLOW)
    await page.wait_for_function("() => states.at(-1) === 'ended'")
    assert numbers(await events(page, 1)) == [1]


async def test_no_access_is_told_in_the_servers_words(page: Page, server: Server) -> None:
    server.environ["LASTEVENT_AUTH_SECRET"] = "s" * 40
    await server.end(signal.SIGTERM)
    await server.start()
    await page.goto(server.url)
    await page.evaluate(FOLLOW)
    await page.wait_for_function("() => states.at(-1) === 'denied'")
    assert "send a token" in await page.evaluate("stream.state.reason")


async def test_a_token_that_the_server_lets_expire_is_had_anew(
    page: Page, server: Server, proxy: Proxy
) -> None:
    secret = "s" * 40
    server.environ |= {"LASTEVENT_AUTH_SECRET": secret, "LASTEVENT_MAX_LEG_SECONDS": "60"}
    await server.end(signal.SIGTERM)
    await server.start()
    await page.goto(proxy.url)
    claims = {"sub": "clara", "read": ["s"], "append": ["s"]}
    brief, lasting = mint(secret, claims, 3), mint(secret, claims, 3600)
    server.headers["Authorization"] = f"Bearer {lasting}"
    await page.evaluate(FOLLOW_WITH_TOKENS, [brief, lasting])
    await server.publish("s", 1)
    first = (await events(page, 1))[0][0]
    await page.wait_for_function("() => stream.counts.legs === 2")
    assert b'"denied"' in proxy.received
    legs = proxy.legs("/api/streams/s")
    tokens = [leg.headers["authorization"] for leg in legs]
    assert tokens == [f"Bearer {brief}", f"Bearer {lasting}"]
    assert [leg.cursor for leg in legs] == [None, first]
    await server.publish("s", 2)
    assert numbers(await events(page, 2)) == [1, 2]
    assert await page.evaluate("states") == ["connecting", "connected"]


async def test_a_native_event_source_resumes(page: Page, server: Server, proxy: Proxy) -> None:
    await page.goto(proxy.url)
    await page.evaluate(FOLLOW_NATIVELY)
    await publish_slowly(server, 1, 80)
    found = await events(page, 80)
    assert numbers(found) == list(range(1, 81))
    cursors = await check_cursors(proxy, found)
    assert len(cursors) >= 2
    proxy.cut_in_frame()
    await server.publish("s", 81)
    assert numbers(await events(page, 81))[-1] == 81


async def test_a_native_event_source_stays_away_after_the_end(
    page: Page, server: Server, proxy: Proxy
) -> None:
    await page.goto(proxy.url)
    await page.evaluate(FOLLOW_NATIVELY)
    await server.publish("s", 1, close=True)
    assert numbers(await events(page, 1)) == [1]
    await page.wait_for_function("() => source.readyState === EventSource.CLOSED")
    legs = proxy.legs("/api/streams/s")
    last = json.loads(await page.evaluate("JSON.stringify(events)"))[-1][0]
    assert legs[-1].cursor == last
    assert b"HTTP/1.1 204" in proxy.received
    await asyncio.sleep(1)
    assert len(proxy.legs("/api/streams/s")) == len(legs)


async def send_message(server: Server, number: int) -> None:
    """Have the client write to the professional."""
    own = {"Origin": server.url}
    async with httpx.AsyncClient(base_url=server.url, headers=own) as client:
        assert (await client.post("/api/login", json={"sub": "client"})).is_success
        body = {"to": "professional", "text": str(number), "clientMessageId": f"m{number}"}
        answer = await client.post("/api/messages/send", json=body)
    assert answer.status_code == 201, answer.text


async def tell_merchant(server: Server, number: int) -> None:
    """Tell merchant 42 something."""
    await server.publish("merchant:42", number)


@pytest.mark.parametrize(
    ("path", "sub", "type", "number", "publish"),
    [
        ("/api/sse", "professional", "message", "Number(data.text)", send_message),
        ("/api/realtime/events", "merchant", "note", "data", tell_merchant),
    ],
    ids=["messages", "merchant"],
)
async def test_a_native_event_source_follows_the_uses(
    page: Page,
    server: Server,
    proxy: Proxy,
    path: str,
    sub: str,
    type: str,
    number: str,
    publish: Callable[[Server, int], Awaitable[None]],
) -> None:
    await page.goto(proxy.url)
    signed_in = await page.evaluate(
        "async (body) => (await fetch('/api/login', { method: 'POST', body })).status",
        json.dumps({"sub": sub}),
    )
    assert signed_in == 204
    await page.evaluate(f"""() => {{
        window.events = [];
        window.opened = 0;
        window.source = new EventSource("{path}");
        source.addEventListener("stream", () => {{ opened += 1; }});
        source.addEventListener("{type}", (e) => {{
            const data = JSON.parse(e.data);
            events.push([e.lastEventId, {number}]);
        }});
    }}""")
    await page.wait_for_function("() => opened > 0")
    await publish(server, 1)
    found = await events(page, 1)
    # Of one leg and the next: a planned end, and a cut within a frame.
    legs = len(proxy.legs(path))
    while len(proxy.legs(path)) == legs:
        await asyncio.sleep(0.05)
    for numbered in (2, 3):
        await publish(server, numbered)
    await events(page, 3)
    proxy.cut_in_frame()
    await publish(server, 4)
    found = await events(page, 4)
    assert numbers(found) == [1, 2, 3, 4]
    first, *resumed = [leg.cursor for leg in proxy.legs(path)]
    assert first is None
    assert all(resumed)
    assert len(set(resumed)) > 1
