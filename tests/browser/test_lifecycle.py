"""What happens to a page and its machine: sleep, other tabs, no network, left and shown again.

Whatever happens, the stream comes back soon, where it stood, and never sooner than the server
asked.
"""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, async_playwright

from tests.browser.conftest import ARGUMENTS, chromium
from tests.browser.proxy import Proxy
from tests.browser.server import Server
from tests.browser.test_streams import events, numbers
from tests.project.tree import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

BLANK = "/site/format.js"
RETRY_AFTER = 4
STREAMS = (f"life-{n}" for n in count())

FOLLOW = """async ([module, name, options, stream]) => {
    const { [name]: Stream } = await import(module);
    window.events = [];
    window.states = [];
    window.stream = new Stream(`/api/streams/${stream}`, {
        onEvent: (event) => events.push([event.id, event.json()]),
        onState: (state) => states.push([state.name, Date.now()]),
        ...options,
    });
}"""

Kind = tuple[str, str, dict[str, object]]

PLAIN: Kind = ("/lastevent.js", "Stream", {})
SHARED: Kind = ("/lastevent/tabs.js", "SharedStream", {"subject": "clara"})
EITHER = pytest.mark.parametrize("kind", [PLAIN, SHARED], ids=["plain", "shared"])


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server whose legs are long: nothing comes back by itself. Each test has its own stream."""
    long = {"LASTEVENT_MAX_LEG_SECONDS": "120", "LASTEVENT_HEARTBEAT_SECONDS": "15"}
    server = Server(tmp_path_factory.mktemp("lifecycle"), long)
    await server.start()
    yield server
    await server.end(signal.SIGTERM)


@pytest.fixture
def stream() -> str:
    """Return the name of a stream that nobody has used."""
    return next(STREAMS)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def keeper() -> AsyncIterator[Browser]:
    """A browser that keeps pages which are left, which Playwright has others not do."""
    kept = ["--disable-back-forward-cache"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(), args=ARGUMENTS, ignore_default_args=kept
        )
        yield browser
        await browser.close()


async def follow(page: Page, proxy: Proxy, kind: Kind, stream: str) -> None:
    """Follow the stream until it is connected."""
    await page.goto(proxy.url + BLANK)
    await page.evaluate(FOLLOW, [*kind, stream])
    await is_in(page, "connected")


async def is_in(page: Page, state: str) -> None:
    """Wait until the stream is in ``state``."""
    await page.wait_for_function("name => stream.state.name === name", arg=state)


async def see(page: Page, visible: bool) -> None:
    """Have the document say whether it is seen: a headless browser has no other windows."""
    state = "visible" if visible else "hidden"
    await page.evaluate(
        """state => {
            const get = () => state;
            Object.defineProperty(document, "visibilityState", { get, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state,
    )


@EITHER
async def test_after_sleep_a_dead_connection_is_noticed_at_once(
    page: Page, server: Server, proxy: Proxy, kind: Kind, stream: str
) -> None:
    await follow(page, proxy, kind, stream)
    await server.publish(stream, 1)
    found = await events(page, 1)
    legs = len(proxy.legs(stream))
    proxy.stall()
    await server.publish(stream, 2)
    # The machine slept for an hour: its clock is ahead, its timers are not.
    noticed = await page.evaluate("""async () => {
        const now = Date.now;
        Date.now = () => now() + 3_600_000;
        const slept = performance.now();
        while (stream.state.name === "connected" && performance.now() - slept < 10_000) {
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
        return performance.now() - slept;
    }""")
    assert noticed < 2000
    proxy.cut()
    proxy.flow()
    assert numbers(await events(page, 2)) == [1, 2]
    assert proxy.legs(stream)[legs].cursor == found[0][0]


@EITHER
async def test_a_page_that_is_seen_again_does_not_wait(
    page: Page, server: Server, proxy: Proxy, kind: Kind, stream: str
) -> None:
    await follow(page, proxy, kind, stream)
    await server.publish(stream, 1)
    await events(page, 1)
    await see(page, False)
    await page.evaluate("Math.random = () => 1000")  # a pause of minutes
    proxy.cut()
    await is_in(page, "reconnecting")
    await server.publish(stream, 2)
    await asyncio.sleep(1.1)  # a failure keeps away for a second at least
    assert numbers(await events(page, 1)) == [1]
    await see(page, True)
    assert numbers(await events(page, 2)) == [1, 2]


@EITHER
async def test_a_network_that_is_back_is_tried_at_once(
    page: Page, server: Server, proxy: Proxy, kind: Kind, stream: str
) -> None:
    await follow(page, proxy, kind, stream)
    await server.publish(stream, 1)
    await events(page, 1)
    await page.evaluate("Math.random = () => 1000")
    await page.context.set_offline(True)
    proxy.cut()
    await is_in(page, "reconnecting")
    await server.publish(stream, 2)
    await asyncio.sleep(1.1)
    await page.context.set_offline(False)
    found = await events(page, 2)
    assert numbers(found) == [1, 2]


async def test_a_connection_that_died_with_the_network_is_had_anew_once_that_is_back(
    page: Page, server: Server, proxy: Proxy, stream: str
) -> None:
    await follow(page, proxy, PLAIN, stream)
    await server.publish(stream, 1)
    found = await events(page, 1)
    legs = len(proxy.legs(stream))
    proxy.stall()
    await page.context.set_offline(True)
    await server.publish(stream, 2)
    await page.context.set_offline(False)
    # Not after the half minute in which two heartbeats would be missed.
    async with asyncio.timeout(5):
        while len(proxy.legs(stream)) == legs:
            await asyncio.sleep(0.02)
    assert proxy.legs(stream)[legs].cursor == found[0][0]
    assert await page.evaluate("stream.state.name") == "reconnecting"
    proxy.flow()
    assert numbers(await events(page, 2)) == [1, 2]
    await is_in(page, "connected")
    assert await page.evaluate("stream.counts.cuts") == 1


async def test_while_an_attempt_hangs_polls_bring_what_comes(
    page: Page, server: Server, proxy: Proxy, stream: str
) -> None:
    held: list[Route] = []

    async def hold(route: Route) -> None:
        if "text/event-stream" in route.request.headers["accept"] and not held:
            held.append(route)
        else:
            await route.continue_()

    await page.goto(proxy.url + BLANK)
    await page.route(re.compile(stream), hold)
    await server.publish(stream, 1)
    module, name, _ = PLAIN
    await page.evaluate(FOLLOW, [module, name, {"poll": 300}, stream])
    await events(page, 1)
    await server.publish(stream, 2)
    found = await events(page, 2)
    assert await page.evaluate("stream.state.name") == "polling"
    # It gets through at last, from the beginning: what the polls have brought does not come again.
    await held[0].continue_()
    await is_in(page, "connected")
    await server.publish(stream, 3)
    assert numbers(await events(page, 3)) == [1, 2, 3]
    assert [leg.cursor for leg in proxy.legs(stream)] == [None, found[-1][0]]
    assert await page.evaluate("stream.repeated") == 0


@EITHER
async def test_what_was_given_up_offline_begins_again_online(
    page: Page, server: Server, proxy: Proxy, kind: Kind, stream: str
) -> None:
    module, name, options = kind
    await follow(page, proxy, (module, name, {**options, "attempts": 1}), stream)
    await server.publish(stream, 1)
    found = await events(page, 1)
    legs = len(proxy.legs(stream))
    await page.context.set_offline(True)
    proxy.cut()
    await is_in(page, "disconnected")
    assert "gave up" in await page.evaluate("stream.state.reason")
    await server.publish(stream, 2)
    await page.context.set_offline(False)
    assert numbers(await events(page, 2)) == [1, 2]
    await is_in(page, "connected")
    assert proxy.legs(stream)[legs].cursor == found[0][0]


@EITHER
async def test_nothing_that_happens_undercuts_what_the_server_asks(
    page: Page, server: Server, proxy: Proxy, kind: Kind, stream: str
) -> None:
    await page.goto(proxy.url + BLANK)
    asked: list[float] = []
    clock = asyncio.get_running_loop()

    async def refuse(route: Route) -> None:
        asked.append(clock.time())
        headers = {"Retry-After": str(RETRY_AFTER)}
        await route.fulfill(status=503, headers=headers)

    await page.route(re.compile(stream), refuse)
    await page.evaluate(FOLLOW, [*kind, stream])
    await is_in(page, "reconnecting")
    for happening in ("online", "pageshow"):
        await asyncio.sleep(0.6)
        await page.evaluate("name => dispatchEvent(new Event(name))", happening)
    await see(page, False)
    await see(page, True)
    await page.evaluate("dispatchEvent(new Event('pagehide'))")
    await asyncio.sleep(0.6)
    await page.evaluate("dispatchEvent(new Event('pageshow'))")
    for name in ("freeze", "resume"):
        await page.evaluate("name => document.dispatchEvent(new Event(name))", name)
    while len(asked) < 2:
        await asyncio.sleep(0.05)
    assert asked[1] - asked[0] >= RETRY_AFTER
    await page.unroute_all()


@EITHER
async def test_a_page_that_is_gone_back_to_goes_on_where_it_stood(
    keeper: Browser, server: Server, proxy: Proxy, kind: Kind, stream: str
) -> None:
    page = await keeper.new_page()
    await follow(page, proxy, kind, stream)
    await server.publish(stream, 1)
    found = await events(page, 1)
    await page.evaluate("addEventListener('pageshow', (e) => { window.wasKept = e.persisted; })")
    await page.goto(proxy.url + "/site/dom.js")
    await server.publish(stream, 2, 3)
    legs = len(proxy.legs(stream))
    await page.go_back(wait_until="commit")
    # Kept as it was, with all its variables: the browser's own back-forward cache.
    await page.wait_for_function("() => window.wasKept === true")
    assert numbers(await events(page, 3)) == [1, 2, 3]
    assert proxy.legs(stream)[legs].cursor == found[0][0]
    assert await page.evaluate("stream.repeated") == 0


@EITHER
@pytest.mark.parametrize(
    ("target", "left", "back"),
    [("document", "freeze", "resume"), ("window", "pagehide", "pageshow")],
    ids=["frozen", "left"],
)
async def test_a_page_that_stands_still_holds_no_connection(
    page: Page,
    server: Server,
    proxy: Proxy,
    kind: Kind,
    stream: str,
    target: str,
    left: str,
    back: str,
) -> None:
    await follow(page, proxy, kind, stream)
    await server.publish(stream, 1)
    found = await events(page, 1)
    legs = len(proxy.legs(stream))
    await page.evaluate(f"{target}.dispatchEvent(new Event('{left}'))")
    await server.publish(stream, 2)
    await asyncio.sleep(0.5)
    assert numbers(await events(page, 1)) == [1]
    assert len(proxy.legs(stream)) == legs
    await page.evaluate(f"{target}.dispatchEvent(new Event('{back}'))")
    assert numbers(await events(page, 2)) == [1, 2]
    assert proxy.legs(stream)[legs].cursor == found[0][0]


async def test_what_was_kept_is_there_after_a_reload(
    page: Page, server: Server, proxy: Proxy, stream: str
) -> None:
    begin = """async (name) => {
        const { Stream } = await import("/lastevent.js");
        const { saved } = await import("/lastevent/saved.js");
        window.events = [];
        const onEvent = (event) => events.push([event.id, event.json()]);
        window.stream = new Stream(`/api/streams/${name}`, saved("notes", { onEvent }));
    }"""
    await page.goto(proxy.url + BLANK)
    await page.evaluate(begin, stream)
    await server.publish(stream, 1, 2, 3)
    found = await events(page, 3)
    await page.reload()
    legs = len(proxy.legs(stream))
    await server.publish(stream, 4)
    await page.evaluate(begin, stream)
    assert numbers(await events(page, 4)) == [1, 2, 3, 4]
    assert proxy.legs(stream)[legs].cursor == found[-1][0]
    kept = json.loads(await page.evaluate("sessionStorage['lastevent.saved.notes']"))
    assert kept["cursor"] == found[-1][0]


async def test_preferences_are_every_tabs_own(page: Page, server: Server) -> None:
    read = """async () => {
        const { preferences } = await import("/lastevent/preferences.js");
        window.preferences = preferences;
        window.told = [];
        preferences.subscribe((now) => told.push(now));
        return preferences.get();
    }"""
    ordinary = {"realtime": True, "strategy": "fast"}
    ordinary |= dict.fromkeys(("sound", "notifications", "trace"), False)
    other = await page.context.new_page()
    for tab in (page, other):
        await tab.goto(server.url + BLANK)
        assert await tab.evaluate(read) == ordinary
    await page.evaluate("preferences.set({ realtime: false, strategy: 'slow', other: 1 })")
    await other.wait_for_function("() => told.length === 1")
    changed = ordinary | {"realtime": False}
    for tab in (page, other):
        assert await tab.evaluate("told") == [changed]
    await other.evaluate("preferences.set({ sound: true })")
    await page.wait_for_function("() => told.length === 2")
    await page.evaluate("preferences.set({ sound: true })")
    assert await page.evaluate("told.length") == 2
    await page.reload()
    assert await page.evaluate(read) == changed | {"sound": True}
    await other.evaluate("localStorage.clear()")
    await page.wait_for_function("() => told.length === 1")
    assert await page.evaluate("preferences.get()") == ordinary
    await page.evaluate("localStorage['lastevent.preferences'] = '[{'")
    await page.reload()
    assert await page.evaluate(read) == ordinary
    await page.evaluate("""() => {
        Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };
        preferences.set({ strategy: "gentle" });
    }""")
    assert await page.evaluate("preferences.get().strategy") == "gentle"


FOLLOW_AS_PAGES_DO = """async (name) => {
    const { follow } = await import("/site/live.js");
    const { preferences } = await import("/lastevent/preferences.js");
    window.preferences = preferences;
    window.events = [];
    window.stream = follow(`/api/streams/${name}`, {
        onEvent: (event) => events.push([event.id, event.json()]),
        sentAt: () => Date.now(),
    });
}"""


async def test_pages_follow_as_the_reader_prefers(
    page: Page, server: Server, proxy: Proxy, stream: str
) -> None:
    other = await page.context.new_page()
    for tab in (page, other):
        await tab.goto(proxy.url + BLANK)
        await tab.evaluate(FOLLOW_AS_PAGES_DO, stream)
        await is_in(tab, "connected")
    assert len(proxy.legs(stream)) == 1
    assert [await tab.evaluate("stream.leads") for tab in (page, other)] == [True, False]
    await server.publish(stream, 1, 2)
    for tab in (page, other):
        assert numbers(await events(tab, 2)) == [1, 2]
    # Off for all tabs: polls go on where the stream was, and nothing comes in between.
    await other.evaluate("preferences.set({ realtime: false })")
    for tab in (page, other):
        await is_in(tab, "polling")
    await server.publish(stream, 3)
    await asyncio.sleep(0.3)
    assert numbers(await events(page, 2)) == [1, 2]
    last = (await events(page, 2))[-1][0]
    assert any(f"after={last}" in request.path for request in proxy.requests)
    legs = len(proxy.legs(stream))
    await page.evaluate("preferences.set({ realtime: true })")
    for tab in (page, other):
        await is_in(tab, "connected")
        assert numbers(await events(tab, 3)) == [1, 2, 3]
    assert [leg.cursor for leg in proxy.legs(stream)[legs:]] == [last]
    counts = await page.evaluate("stream.counts")
    assert counts["legs"] == 2
    assert counts["polls"] >= 1
    # What was measured goes out as the page does.
    await page.goto(proxy.url + "/site/dom.js")
    while not any(request.path == "/api/metrics/beacon" for request in proxy.requests):
        await asyncio.sleep(0.02)
    while b"HTTP/1.1 204" not in proxy.received:  # and the server takes it
        await asyncio.sleep(0.02)


async def test_the_example_of_the_documentation(page: Page, server: Server, proxy: Proxy) -> None:
    text = (ROOT / "docs" / "browser.md").read_text()
    found = re.search(r"```html\n(.*?)```", text, re.DOTALL)
    assert found
    assert found[1].count("\n") <= 20
    await page.route(
        f"{proxy.url}/example",
        lambda route: route.fulfill(body=found[1], content_type="text/html; charset=utf-8"),
    )
    await server.publish("hello", 7)
    await page.goto(f"{proxy.url}/example")
    await page.get_by_text("note: 7").wait_for()
    await page.locator("#state").get_by_text("connected").wait_for()
    await server.publish("hello", 8)
    await page.get_by_text("note: 8").wait_for()
