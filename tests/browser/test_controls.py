"""That the other tests would notice: what becomes of a client without one of its parts.

Each takes a part out of the modules on their way to the browser, and sees what was promised fail.
"""

import asyncio

import pytest
from playwright.async_api import Page, Route

from tests.browser.proxy import Proxy
from tests.browser.server import Server
from tests.browser.test_streams import FOLLOW, events, numbers, publish_slowly
from tests.project.tree import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

RESUME = ("transport.js", '...(cursor && { "Last-Event-ID": cursor }),', "")
DEDUP = ("follower.js", "if (isBehind(this.position, id) ??", "if (false &&")
WATCH = ("watch.js", "else onSilence();", "")


async def take_out(page: Page, *parts: tuple[str, str, str]) -> None:
    """Have the browser get modules without these parts."""
    for name, part, instead in parts:
        text = (ROOT / "public" / "lastevent" / name).read_text()
        assert text.count(part) == 1, name
        await _serve(page, name, text.replace(part, instead))


async def _serve(page: Page, name: str, text: str) -> None:
    async def serve(route: Route) -> None:
        await route.fulfill(body=text, content_type="text/javascript")

    await page.route(f"**/lastevent/{name}", serve)


async def follow(page: Page, server: Server, proxy: Proxy) -> None:
    """Follow a stream over a few planned ends."""
    await page.goto(proxy.url)
    await page.evaluate(FOLLOW)
    await publish_slowly(server, 1, 60)
    await page.wait_for_function("() => stream.counts.plannedEnds >= 2")


async def test_without_resume_the_page_still_looks_well_and_the_server_knows(
    page: Page, server: Server, proxy: Proxy
) -> None:
    await take_out(page, RESUME)
    await follow(page, server, proxy)
    # What comes again is dropped: only what the server was asked for tells.
    assert numbers(await events(page, 60)) == list(range(1, 61))
    assert {leg.cursor for leg in proxy.legs("/api/streams/s")} == {None}
    assert await page.evaluate("stream.repeated") > 0


async def test_without_resume_and_without_dropping_what_comes_twice_it_shows(
    page: Page, server: Server, proxy: Proxy
) -> None:
    await take_out(page, RESUME, DEDUP)
    await follow(page, server, proxy)
    found = numbers(await events(page, 61))
    assert len(found) > len(set(found))


async def test_without_the_watch_a_stalled_network_is_not_noticed(
    page: Page, server: Server, proxy: Proxy
) -> None:
    await take_out(page, WATCH)
    await page.goto(proxy.url)
    await page.evaluate(FOLLOW)
    await server.publish("s", 1)
    await events(page, 1)
    proxy.stall()
    # Four heartbeats and more of silence: two are the limit.
    await asyncio.sleep(2.5)
    assert "reconnecting" not in await page.evaluate("states")
