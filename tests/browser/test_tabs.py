"""Tabs that share one connection, in a real browser: several pages of one context.

That there is one connection is what the network saw; that nothing is lost or comes twice is what
each tab tells, whoever leads.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page

from tests.browser.proxy import Proxy, Request
from tests.browser.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TABS = 7
# A document without a script of its own.
BLANK = "/site/format.js"
STREAMS = (f"tabs-{n}" for n in count())

FOLLOW = """async ([url, options]) => {
    const { SharedStream } = await import("/lastevent/tabs.js");
    window.stream?.close();
    window.events = [];
    window.states = [];
    window.resets = [];
    window.beats = 0;
    window.stream = new SharedStream(url, {
        onEvent: (event) => events.push([event.id, event.json()]),
        onReset: (reset) => resets.push(reset),
        onState: (state) => states.push(state.name),
        onBeat: () => { beats += 1; },
        ...options,
    });
}"""


@dataclass(frozen=True, slots=True)
class Tab:
    """One page that follows one stream."""

    page: Page

    async def follow(self, stream: str, subject: str | None = "clara", **options: Any) -> None:
        """Begin; what an earlier one told is forgotten."""
        url = stream if stream.startswith("/") else f"/api/streams/{stream}"
        await self.page.evaluate(FOLLOW, [url, {"subject": subject, **options}])

    async def has(self, amount: int) -> list[int]:
        """Wait for so many events; return their data."""
        await self.page.wait_for_function("count => events.length >= count", arg=amount)
        return [data for _, data in await self.events()]

    async def events(self) -> list[list[Any]]:
        """Return id and data of what came."""
        found: list[list[Any]] = await self.page.evaluate("events")
        return found

    async def is_in(self, state: str) -> None:
        """Wait until the stream is in ``state``."""
        await self.page.wait_for_function("name => stream.state.name === name", arg=state)

    async def leads(self) -> bool:
        """Whether the connection is this tab's."""
        return bool(await self.page.evaluate("stream.leads"))

    async def sees(self, event: str) -> None:
        """Have the page's document hear what a browser tells it."""
        await self.page.evaluate("name => document.dispatchEvent(new Event(name))", event)


class Tabs:
    """Pages of one browser, which reach the server through one proxy."""

    def __init__(self, context: BrowserContext, proxy: Proxy) -> None:
        self._context = context
        self._proxy = proxy

    async def open(self, number: int) -> list[Tab]:
        """Open so many, one after the other."""
        tabs = []
        for _ in range(number):
            page = await self._context.new_page()
            await page.goto(self._proxy.url + BLANK)
            tabs.append(Tab(page))
        return tabs

    async def sharing(self, stream: str, number: int) -> tuple[Tab, list[Tab]]:
        """Open tabs that follow ``stream``; return who leads, and the others."""
        leader, *others = await self.open(number)
        await leader.follow(stream)
        await leader.is_in("connected")
        for tab in others:
            await tab.follow(stream)
        for tab in others:
            await tab.is_in("connected")
        assert await leader.leads()
        return leader, others


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One server for all tests of this module; each has a stream of its own."""
    server = Server(tmp_path_factory.mktemp("tabs"))
    await server.start()
    yield server
    await server.end(signal.SIGTERM)


@pytest_asyncio.fixture(loop_scope="session")
async def tabs(browser: Browser, proxy: Proxy) -> AsyncIterator[Tabs]:
    """A browser's profile of its own."""
    context = await browser.new_context()
    context.set_default_timeout(15_000)
    faults: list[str] = []
    context.on("weberror", lambda error: faults.append(str(error.error)))
    yield Tabs(context, proxy)
    await context.close()
    assert faults == []


@pytest.fixture
def stream() -> str:
    """Return the name of a stream that nobody has used."""
    return next(STREAMS)


async def publish_slowly(server: Server, stream: str, first: int, last: int) -> None:
    """Publish numbers one by one."""
    async with httpx.AsyncClient() as client:
        for number in range(first, last + 1):
            body = {"type": "note", "data": number}
            answer = await client.post(f"{server.url}/api/streams/{stream}", json=body)
            assert answer.status_code == 201
            await asyncio.sleep(0.02)


def connections(legs: list[Request]) -> int:
    """Return how many connections there were: the later legs of one have a cursor."""
    return len([leg for leg in legs if leg.cursor is None])


async def test_seven_tabs_have_one_connection(
    tabs: Tabs, server: Server, proxy: Proxy, stream: str
) -> None:
    leader, others = await tabs.sharing(stream, TABS)
    await publish_slowly(server, stream, 1, 60)
    for tab in (leader, *others):
        assert await tab.has(60) == list(range(1, 61))
        assert await tab.page.evaluate("resets") == []
    legs = proxy.legs(f"/api/streams/{stream}")
    counts = await leader.page.evaluate("stream.counts")
    # As many legs as one connection had, one after the other: each but the first goes on.
    assert len(legs) - counts["legs"] in (0, 1)
    assert connections(legs) == 1
    assert counts["plannedEnds"] >= 1
    for tab in others:
        assert not await tab.leads()
        shown = await tab.page.evaluate("[stream.counts.legs, stream.state.name]")
        assert shown[0] >= counts["legs"] - 1
        assert shown[1] == "connected"
        assert await tab.page.evaluate("stream.repeated") == 0
        await tab.page.wait_for_function("beats > 0")


@pytest.mark.parametrize("how", ["closed", "left"])
async def test_a_leader_that_goes_is_followed_at_once(
    tabs: Tabs, server: Server, proxy: Proxy, stream: str, how: str
) -> None:
    leader, others = await tabs.sharing(stream, 4)
    publishing = asyncio.create_task(publish_slowly(server, stream, 1, 80))
    for tab in others:
        await tab.has(10)
    closed = len(proxy.legs(stream))
    await (leader.page.close() if how == "closed" else leader.page.goto("about:blank"))
    await others[0].page.wait_for_function("() => stream.leads")
    await publishing
    for tab in others:
        assert await tab.has(80) == list(range(1, 81))
    # The new leader went on after an event that it had, and all had the one before.
    resumed = proxy.legs(stream)[closed].cursor
    assert resumed in [id for id, _ in await others[0].events()]
    assert connections(proxy.legs(stream)) == 1


async def test_a_crashed_leader_is_followed(tabs: Tabs, server: Server, stream: str) -> None:
    leader, others = await tabs.sharing(stream, 3)
    await server.publish(stream, 1)
    for tab in others:
        await tab.has(1)
    crash = asyncio.create_task(leader.page.goto("chrome://crash"))
    await others[0].page.wait_for_function("() => stream.leads")
    crash.cancel()
    await publish_slowly(server, stream, 2, 20)
    for tab in others:
        assert await tab.has(20) == list(range(1, 21))


async def test_who_comes_late_fetches_what_was(tabs: Tabs, server: Server, stream: str) -> None:
    leader, _ = await tabs.sharing(stream, 1)
    await server.publish(stream, *range(1, 31))
    await leader.has(30)
    publishing = asyncio.create_task(publish_slowly(server, stream, 31, 60))
    whole, some, none, cursor = await tabs.open(4)
    await whole.follow(stream)
    await some.follow(stream, start="last:5")
    await cursor.follow(stream, cursor=(await leader.events())[19][0])
    await publishing
    await none.follow(stream, start="now")
    await none.is_in("connected")
    await none.page.wait_for_function("() => stream.cursor")
    await server.publish(stream, 61)
    assert await whole.has(61) == list(range(1, 62))
    assert await cursor.has(41) == list(range(21, 62))
    await some.page.wait_for_function("() => events.at(-1)?.[1] === 61")
    late = [data for _, data in await some.events()]
    assert len(late) > 5
    assert late == list(range(late[0], 62))
    assert await none.has(1) == [61]
    for tab in (whole, some, none, cursor):
        assert not await tab.leads()


async def test_who_slept_fetches_what_it_missed(
    tabs: Tabs, server: Server, proxy: Proxy, stream: str
) -> None:
    _, (tab, other) = await tabs.sharing(stream, 3)
    await server.publish(stream, 1)
    await tab.has(1)
    await tab.sees("freeze")
    await server.publish(stream, *range(2, 40))
    await other.has(39)
    assert await tab.has(1) == [1]
    await tab.sees("resume")
    assert await tab.has(39) == list(range(1, 40))
    await server.publish(stream, 40)
    assert await tab.has(40) == list(range(1, 41))
    first = (await tab.events())[0][0]
    asked = [r.path for r in proxy.requests if f"{stream}?after={first}" in r.path]
    assert asked


async def test_who_could_not_fetch_tries_again_when_the_network_is_back(
    tabs: Tabs, server: Server, stream: str
) -> None:
    _, (other,) = await tabs.sharing(stream, 2)
    await other.follow(stream, attempts=1)
    await server.publish(stream, 1)
    await other.has(1)
    await other.sees("freeze")
    await server.publish(stream, 2)
    await other.page.route(f"**/{stream}*", lambda route: route.abort())
    await other.sees("resume")
    await other.is_in("disconnected")
    assert await other.has(1) == [1]
    await other.page.unroute(f"**/{stream}*")
    await other.page.evaluate("dispatchEvent(new Event('online'))")
    assert await other.has(2) == [1, 2]
    await other.is_in("connected")
    assert not await other.leads()


async def test_a_frozen_leader_lets_go(tabs: Tabs, server: Server, stream: str) -> None:
    leader, (other,) = await tabs.sharing(stream, 2)
    await server.publish(stream, 1)
    await other.has(1)
    await leader.sees("freeze")
    await other.page.wait_for_function("() => stream.leads")
    await server.publish(stream, *range(2, 20))
    assert await other.has(19) == list(range(1, 20))
    await leader.sees("resume")
    assert await leader.has(19) == list(range(1, 20))
    assert not await leader.leads()


async def test_a_leader_that_does_not_answer_is_replaced(
    tabs: Tabs, server: Server, stream: str
) -> None:
    leader, (other,) = await tabs.sharing(stream, 2)
    await server.publish(stream, 1)
    await other.has(1)
    await leader.page.evaluate("() => { BroadcastChannel.prototype.postMessage = () => {}; }")
    await server.publish(stream, 2)
    assert await leader.has(2) == [1, 2]
    assert await other.has(1) == [1]
    await other.page.evaluate("dispatchEvent(new Event('online'))")
    assert await other.has(2) == [1, 2]
    assert await other.leads()
    await leader.page.wait_for_function("() => !stream.leads")
    await server.publish(stream, 3)
    for tab in (leader, other):
        assert await tab.has(3) == [1, 2, 3]


async def test_subjects_do_not_mix(tabs: Tabs, server: Server, proxy: Proxy, stream: str) -> None:
    clara, other_clara, paul, nobody, nobody_else = await tabs.open(5)
    for tab, subject in (
        *((clara, "clara"), (other_clara, "clara"), (paul, "paul")),
        *((nobody, None), (nobody_else, None)),
    ):
        await tab.follow(stream, subject)
        await tab.is_in("connected")
    await server.publish(stream, 1, 2)
    for tab in (clara, other_clara, paul, nobody, nobody_else):
        assert await tab.has(2) == [1, 2]
    assert [await tab.leads() for tab in (clara, other_clara, paul)] == [True, False, True]
    assert connections(proxy.legs(stream)) == 4


async def test_the_state_is_the_leaders_and_any_tab_may_reconnect(
    tabs: Tabs, server: Server, proxy: Proxy, stream: str
) -> None:
    leader, (other,) = await tabs.sharing(stream, 2)
    await server.publish(stream, 1)
    await other.has(1)
    # Pauses of minutes, so that it is not the pause's end that is seen.
    await leader.page.evaluate("Math.random = () => 1000")
    proxy.server_port, port = 1, proxy.server_port
    proxy.cut()
    await other.page.wait_for_function("() => stream.state.seconds > 60")
    assert await other.page.evaluate("stream.counts.cuts") >= 1
    proxy.server_port = port
    await server.publish(stream, 2)
    await other.page.evaluate("stream.reconnect()")
    await other.is_in("connected")
    assert await other.has(2) == [1, 2]
    assert await leader.has(2) == [1, 2]
    assert not await other.leads()


async def test_the_end_is_told_to_all(
    tabs: Tabs, server: Server, proxy: Proxy, stream: str
) -> None:
    leader, others = await tabs.sharing(stream, 3)
    await server.publish(stream, 1, 2, close=True)
    for tab in (leader, *others):
        await tab.is_in("ended")
        assert await tab.has(2) == [1, 2]
    legs = len(proxy.legs(stream))
    await asyncio.sleep(0.5)
    assert len(proxy.legs(stream)) == legs
    (late,) = await tabs.open(1)
    await late.follow(stream)
    await late.is_in("ended")
    assert await late.has(2) == [1, 2]


async def test_a_loss_is_told_to_all(tabs: Tabs, server: Server, stream: str) -> None:
    leader, (other, silent) = await tabs.sharing(stream, 3)
    await silent.follow(stream, onReset=None)
    await server.publish(stream, 1, 2)
    for tab in (leader, other, silent):
        await tab.has(2)
    await leader.page.evaluate(
        "path => fetch(path, { method: 'DELETE' })", f"/api/streams/{stream}"
    )
    await server.publish(stream, 3)
    for tab in (leader, other):
        assert await tab.has(3) == [1, 2, 3]
        assert await tab.page.evaluate("resets.length") == 1
    # Nobody listens there: it stops until the reader wants it again.
    await silent.is_in("disconnected")
    assert await silent.has(2) == [1, 2]
    await silent.page.evaluate("stream.reconnect()")
    assert await silent.has(3) == [1, 2, 3]


async def test_several_streams_in_one(tabs: Tabs, server: Server, stream: str) -> None:
    one, other = f"{stream}-a", f"{stream}-b"
    leader, *others = await tabs.open(3)
    address = f"/api/streams?stream={one}&stream={other}"
    await server.publish(one, 1)
    for tab in (leader, *others):
        await tab.follow(address)
        await tab.is_in("connected")
    await asyncio.gather(
        publish_slowly(server, one, 2, 40), publish_slowly(server, other, 101, 140)
    )
    await leader.page.close()
    await asyncio.gather(
        publish_slowly(server, one, 41, 60), publish_slowly(server, other, 141, 160)
    )
    for tab in others:
        found = await tab.has(120)
        assert [n for n in found if n < 100] == list(range(1, 61))
        assert [n for n in found if n > 100] == list(range(101, 161))


async def test_without_locks_each_has_its_own(
    tabs: Tabs, server: Server, proxy: Proxy, stream: str
) -> None:
    pages = await tabs.open(2)
    for tab in pages:
        await tab.page.evaluate("delete Navigator.prototype.locks")
        await tab.follow(stream)
        await tab.is_in("connected")
    await server.publish(stream, 1)
    for tab in pages:
        assert await tab.has(1) == [1]
        assert await tab.leads()
    assert connections(proxy.legs(stream)) == 2
