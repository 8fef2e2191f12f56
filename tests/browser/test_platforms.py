"""Whole answers from Lambda, in a real browser: legs are a long poll there, for clients unchanged.

Of the page, the browser gets what Vercel's or another CDN would serve; the rest is the function's.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route

from infra.local.platforms import LambdaBuffered
from infra.local.upstash import UpstashServer
from lastevent.client import Publisher
from lastevent.serve.auth import mint
from tests.infra import sam
from tests.project.tree import ROOT

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="session"),
]

SECRET = "a secret of the tests, and of nothing else"
EVERYTHING = {"sub": "tester", "read": ["*"], "append": ["*"]}
COUNT = 12

SIGN_IN = """async (token) => {
    const answer = await fetch("/api/session", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ token }),
    });
    return answer.status;
}"""

FOLLOW = """async () => {
    const { Stream } = await import("/lastevent.js");
    window.events = [];
    window.states = [];
    window.stream = new Stream("/api/streams/s", {
        onEvent: (event) => events.push([event.id, event.json()]),
        onState: (state) => states.push(state.name),
    });
}"""

FOLLOW_NATIVELY = """() => {
    window.events = [];
    window.errors = 0;
    window.source = new EventSource("/api/streams/s");
    source.addEventListener("note", (e) => events.push([e.lastEventId, JSON.parse(e.data)]));
    source.addEventListener("error", () => (errors += source.readyState === 2));
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def function(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LambdaBuffered]:
    """The generic service behind an HTTP API."""
    built = await asyncio.to_thread(sam.built, tmp_path_factory)
    async with UpstashServer(tmp_path / "upstash") as upstash:
        environment = {**upstash.environment, "LASTEVENT_AUTH_SECRET": SECRET}
        async with LambdaBuffered(environment, tmp_path, built / "ApiFunction") as function:
            yield function


async def serve_page(route: Route) -> None:
    """Answer for the CDN; the blank page is its index."""
    path = route.request.url.partition("//")[2].partition("/")[2].partition("?")[0]
    if path == "":
        await route.fulfill(body="<!doctype html><title>blank</title>", content_type="text/html")
    else:
        await route.fulfill(path=ROOT / "public" / path)


@pytest.mark.parametrize("follow", [FOLLOW, FOLLOW_NATIVELY], ids=["our client", "native"])
async def test_a_long_poll_for_clients_unchanged(
    page: Page, function: LambdaBuffered, follow: str
) -> None:
    await page.route(lambda url: "/api/" not in url, serve_page)
    await page.goto(function.url)
    token = mint(SECRET, EVERYTHING, 3600)
    assert await page.evaluate(SIGN_IN, token) == 204
    async with Publisher(f"{function.url}/api/streams/s", token=token) as publisher:
        published: list[list[Any]] = []
        for number in range(COUNT):
            if number == 2:
                await page.evaluate(follow)
            if number > 3:  # each is on its own, so each ends a leg
                await page.wait_for_function("count => events.length >= count", arg=number)
            if number == 7 and follow is FOLLOW:
                # A native client ends for good when a crash answers its held request with a 500.
                await asyncio.to_thread(function.kill)
            answer = await publisher.publish("note", number)
            published.append([answer.ids[0], number])
        await page.wait_for_function("count => events.length >= count", arg=COUNT)
        assert await page.evaluate("events") == published
        if follow is FOLLOW_NATIVELY:
            assert await page.evaluate("[errors, source.readyState !== 2]") == [0, True]
            await page.evaluate("source.close()")
            return
        await publisher.close_stream()
        await page.wait_for_function("stream.state.name === 'ended'")
        states = {"connecting", "connected", "reconnecting", "ended"}
        assert set(await page.evaluate("states")) <= states
