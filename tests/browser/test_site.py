"""What pages share: how a connection is shown, what a reader prefers, who one is, what is here."""

import re
import signal
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tests.browser.log_page import LogPage
from tests.browser.proxy import Proxy
from tests.browser.server import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# A connection of its own on a page that follows nothing: `window.connection` shows what it is told.
_BEGIN = """async () => {
    const { Connection } = await import("/site/connection.js");
    document.querySelector("main").innerHTML = `<h1>Connection</h1>
        <div class="connection"><p id="pill" class="pill" role="status"></p>
        <button id="retry" hidden>Reconnect now</button></div><p id="why" class="reason"></p>`;
    const [pill, why, retry] = ["pill", "why", "retry"].map((id) => document.getElementById(id));
    window.pressed = 0;
    window.connection = new Connection(pill, why, retry, () => (window.pressed += 1));
}"""
_SHAPE = """icon => {
    const { background, border, borderRadius, clipPath } = getComputedStyle(icon);
    return [background, border, borderRadius, clipPath].join();
}"""
STATES: list[tuple[dict[str, Any], str]] = [
    ({"name": "connecting"}, "Connecting"),
    ({"name": "connected"}, "Live"),
    (
        {"name": "reconnecting", "attempt": 3, "of": 10, "seconds": 7.5, "reason": "it was cut"},
        "Reconnecting, attempt 3 of 10 in 8 s",
    ),
    ({"name": "polling", "seconds": 30, "reason": "no stream"}, "Polling, again in 30 s"),
    ({"name": "disconnected", "reason": "gave up: it was cut"}, "Disconnected"),
    ({"name": "ended"}, "Ended"),
    ({"name": "denied", "reason": "this identity may not read s"}, "No access"),
]
ON_REQUEST = ("reconnecting", "polling", "disconnected", "denied")


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One server for these tests."""
    async with serving(tmp_path_factory.mktemp("site"), {}) as server:
        yield server


class Shown:
    """A connection that the test has in its hand."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.pill = page.locator("#pill")
        self.retry = page.locator("#retry")
        self.reason = page.locator("#why")
        self.age = page.locator(".age")

    async def show(self, state: dict[str, Any] | None, polls: int = 0) -> None:
        """Tell it of a state."""
        await self.page.evaluate(
            "([state, polls]) => connection.show(state, polls)", [state, polls]
        )

    async def beat(self) -> None:
        """Tell it that something was heard."""
        await self.page.evaluate("connection.beat()")

    async def running(self) -> int:
        """Return how many animations run."""
        return int(await self.page.evaluate("document.getAnimations().length"))


@pytest_asyncio.fixture(loop_scope="session")
async def shown(page: Page, site: Server) -> Shown:
    """A connection on a page whose clock is the test's."""
    await page.clock.install()
    await page.goto(f"{site.url}/login")
    await expect(page.locator("#identities button")).not_to_have_count(0)
    await page.evaluate(_BEGIN)
    return Shown(page)


async def test_each_state_has_its_word_and_its_icon(shown: Shown) -> None:
    icons: set[str] = set()
    for state, words in STATES:
        await shown.show(state)
        await expect(shown.pill).to_have_text(words)
        icon = shown.pill.locator(".icon")
        await expect(icon).to_be_visible()
        icons.add(await icon.evaluate(_SHAPE))
        await expect(shown.retry).to_be_visible(visible=state["name"] in ON_REQUEST)
        reason = state.get("reason", "")
        expected = f"{reason[:1].upper()}{reason[1:]}." if reason else ""
        await expect(shown.reason).to_have_text(expected)
    assert len(icons) == len(STATES)
    await shown.show(None)
    await expect(shown.pill).to_be_hidden()
    await expect(shown.retry).to_be_hidden()


async def test_a_change_is_announced_and_a_countdown_is_not(shown: Shown) -> None:
    await expect(shown.pill).to_have_role("status")
    state = {"name": "reconnecting", "attempt": 1, "of": 10, "seconds": 9, "reason": "cut"}
    await shown.show(state)
    # What a screen reader speaks of are changes in what is not hidden from it.
    await shown.page.evaluate("""() => {
        window.spoken = [];
        const hear = (changes) => spoken.push(...changes
            .map(({ target }) => target.nodeType === 3 ? target.parentElement : target)
            .filter((one) => !one.closest("[aria-hidden=true]")));
        const options = { subtree: true, childList: true, characterData: true };
        new MutationObserver(hear).observe(document.getElementById("pill"), options);
    }""")
    for seconds in (8, 7, 6):
        await shown.page.clock.run_for(1000)
        await expect(shown.pill).to_have_text(f"Reconnecting, attempt 1 of 10 in {seconds} s")
    await shown.show({**state, "seconds": 0})
    await expect(shown.pill).to_have_text("Reconnecting, attempt 1 of 10")
    assert await shown.page.evaluate("spoken.length") == 0
    await shown.show({"name": "connected"})
    assert await shown.page.evaluate("spoken.length") > 0
    await expect(shown.reason).to_have_attribute("aria-live", "off")
    await shown.show({"name": "denied", "reason": "not yours"})
    await expect(shown.reason).to_have_attribute("aria-live", "polite")


async def test_stale_data_says_its_age(shown: Shown) -> None:
    clock = shown.page.clock
    await shown.show({"name": "connected"})
    await expect(shown.age).to_have_text("")
    await clock.run_for(60_000)
    await shown.beat()
    await clock.run_for(10_000)
    lost = {"name": "reconnecting", "attempt": 1, "of": 10, "seconds": 1, "reason": "cut"}
    await shown.show(lost)
    heard = await shown.page.evaluate("new Date(Date.now() - 10000).toTimeString().slice(0, 8)")
    await expect(shown.age).to_have_text(f"Up to date until {heard}, 10 s ago")
    await clock.run_for(110_000)
    await expect(shown.age).to_have_text(f"Up to date until {heard}, 2 min ago")
    await shown.show({"name": "disconnected", "reason": "gave up"})
    await expect(shown.age).to_contain_text("2 min ago")
    await shown.show({"name": "connected"})
    await expect(shown.age).to_have_text("")
    # What never was connected has no data that could be old, and neither has what follows on it.
    await shown.show(None)
    await shown.show(lost)
    await expect(shown.age).to_have_text("")


async def test_a_connection_of_which_no_beats_are_told_is_heard_as_long_as_it_stands(
    shown: Shown,
) -> None:
    await shown.show({"name": "connected"})
    await shown.page.clock.run_for(3_600_000)
    await shown.show({"name": "disconnected", "reason": "cut"})
    await expect(shown.age).to_contain_text("just now")


async def test_polls_that_are_answered_renew_the_age_and_others_do_not(shown: Shown) -> None:
    state = {"name": "polling", "seconds": 30, "reason": ""}
    await shown.show(state, 1)
    await expect(shown.retry).to_have_text("Update now")
    await shown.page.clock.run_for(20_000)
    await expect(shown.pill).to_have_text("Polling, again in 10 s")
    await shown.show({**state, "seconds": 10}, 1)
    await expect(shown.age).to_contain_text("20 s ago")
    await shown.show(state, 2)
    await expect(shown.age).to_contain_text("just now")
    await shown.retry.click()
    assert await shown.page.evaluate("pressed") == 1


async def test_beats_pulse_softly_unless_motion_is_unwanted(shown: Shown) -> None:
    lost = {"name": "reconnecting", "attempt": 1, "of": 10, "seconds": 1, "reason": "cut"}
    await shown.page.emulate_media(reduced_motion="no-preference")
    await shown.show({"name": "connected"})
    assert await shown.running() == 0
    await shown.beat()
    assert await shown.running() == 1
    await shown.show(lost)
    assert await shown.running() == 1
    await shown.page.emulate_media(reduced_motion="reduce")
    assert await shown.running() == 0
    await shown.show({"name": "connected"})
    await shown.beat()
    assert await shown.running() == 0


def settings(page: Page) -> tuple[Locator, Locator]:
    """Return the button and what opens out of it."""
    button = page.get_by_role("button", name="Settings")
    return button, page.get_by_role("dialog", name="Settings")


async def test_settings_open_by_keyboard_are_kept_and_hold_in_all_tabs(
    page: Page, site: Server
) -> None:
    other = await page.context.new_page()
    await other.goto(f"{site.url}/previews")
    await page.goto(f"{site.url}/previews")
    button, panel = settings(page)
    await expect(panel).to_be_hidden()
    await button.press("Enter")
    realtime = panel.get_by_role("checkbox", name="In real time")
    await expect(realtime).to_be_checked()
    await page.keyboard.press("Tab")
    await expect(realtime).to_be_focused()
    await page.keyboard.press("Space")
    await page.keyboard.press("Tab")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Escape")
    await expect(panel).to_be_hidden()
    await expect(button).to_be_focused()
    await page.reload()
    for one in (page, other):
        button, panel = settings(one)
        await button.click()
        await expect(panel.get_by_role("checkbox", name="In real time")).not_to_be_checked()
        await expect(panel.get_by_role("radio", name="Gentle")).to_be_checked()


async def test_real_time_switched_off_polls_and_switched_on_goes_on_from_there(
    page: Page, site: Server
) -> None:
    async with Proxy(site.port) as network:
        log = LogPage(page, network.url)
        await log.visit(await site.preview("ticks"))
        await log.see("tick 5")
        button, panel = settings(page)
        await button.click()
        realtime = panel.get_by_role("checkbox", name="In real time")
        await realtime.uncheck()
        await log.state("polling")
        await expect(log.pill).to_have_text(re.compile(r"Polling, again in \d+ s"))
        await expect(page.locator(".age")).to_contain_text("Up to date until")
        legs, requests = len(network.legs()), len(network.requests)
        await page.keyboard.press("Escape")
        before = await log.count("lines", 5)
        await page.get_by_role("button", name="Update now").click()
        await log.count("lines", before + 1)
        assert len(network.legs()) == legs
        polls = [it for it in network.requests[requests:] if "/stream?" in it.path]
        assert polls
        assert all("after=" in it.path for it in polls)
        await button.click()
        await realtime.check()
        await log.state("connected")
        assert network.legs()[legs].cursor
        await page.keyboard.press("Escape")
        await log.stop.click()
        await log.has_ended()
        numbers = await log.lines("tick ")
        assert numbers == list(range(1, len(numbers) + 1))


async def test_the_console_tells_what_a_stream_does_to_who_asks_for_it(
    page: Page, site: Server
) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    log = LogPage(page, site.url)
    id = await site.preview("ticks")
    await log.visit(id)
    await log.see("tick 5")
    assert said == []
    button, panel = settings(page)
    await button.click()
    await panel.get_by_role("checkbox", name="Traces in the console").check()
    await page.keyboard.press("Escape")
    before = await log.count("planned", 0)
    await log.count("planned", before + 1)
    await log.stop.click()
    await log.has_ended()
    stream = re.escape(f"lastevent /api/previews/{id}/logs/stream: ")
    for words in (
        r'a response opens \{"state":"open".*\}',
        r"event stdout \S+, \d+ characters",
        r"heartbeat of \d+-\d+-\d+T[\d:.]+Z",
        r"ended",
    ):
        assert [text for text in said if re.fullmatch(stream + words, text)], words
    assert not [text for text in said if "tick" in text], "what is read there is nobody's business"


async def test_the_front_page_names_the_server_that_it_came_from(page: Page, site: Server) -> None:
    await page.goto(site.url)
    commands = page.locator("pre")
    await expect(commands).to_have_count(3)
    for number in range(3):
        await expect(commands.nth(number)).to_contain_text(f"{site.url}/api/streams/hello")
    await expect(page.locator("#server")).to_contain_text("sqlite")


async def test_the_front_page_tells_of_every_page(page: Page, site: Server) -> None:
    await page.goto(site.url)
    links = "links => links.map(link => link.getAttribute('href'))"
    pages = await page.locator(".site nav a").evaluate_all(links)
    assert await page.locator(".cards a").evaluate_all(links) == pages
    texts = await page.locator(".cards span").all_inner_texts()
    assert all(text.endswith(".") for text in texts)


async def test_signing_in_as_somebody_else(page: Page, site: Server) -> None:
    await page.goto(f"{site.url}/login")
    who, may = page.locator("#who"), page.locator("#may")
    await expect(who).to_have_text("You are Developer.")
    reader = page.get_by_role("button", name="Rita Reader")
    await reader.click()
    await expect(who).to_have_text("You are Rita Reader.")
    await expect(may).to_have_text("Sees everything, changes nothing.")
    await expect(reader).to_have_attribute("aria-pressed", "true")
    await page.reload()
    await expect(who).to_have_text("You are Rita Reader.")
    await page.goto(f"{site.url}/previews")
    await expect(page.get_by_role("heading", name="Previews", level=1)).to_be_visible()
    await expect(page.get_by_role("button", name="Start shapes")).to_have_count(0)
    await page.goto(f"{site.url}/login")
    await page.get_by_role("button", name="Sign out").click()
    await expect(who).to_have_text("You are Developer.")


async def test_whom_one_can_be_and_where_that_is_useful(page: Page, site: Server) -> None:
    await page.goto(f"{site.url}/login")
    pages = page.locator("#pages")
    for name, may, there in (
        ("Clara Client", "A client: begins conversations and sees only those.", ["Messages"]),
        ("Petra Professional", "A professional: answers clients", ["Messages"]),
        ("Milo Merchant", "uploads and follows the orders of 7.", ["Workflows"]),
        ("Developer", "everything.", ["Deployments", "Jobs", "Previews", "Metrics"]),
    ):
        button = page.get_by_role("button", name=name)
        await expect(button.locator(".hint")).not_to_be_empty()
        await button.press("Enter")
        await expect(page.locator("#who")).to_have_text(f"You are {name}.")
        await expect(page.locator("#may")).to_contain_text(may)
        await expect(pages.get_by_role("link")).to_have_text(there)
    await pages.get_by_role("link", name="Jobs").click()
    await page.wait_for_url("**/jobs")


async def test_other_tabs_begin_anew_for_who_signs_in(page: Page, site: Server) -> None:
    """At once, so that not one more response of theirs is the other's."""
    async with Proxy(site.port) as network:
        login = await page.context.new_page()
        await login.goto(f"{network.url}/login")
        await login.get_by_role("button", name="Mara Merchant").click()
        await expect(login.locator("#may")).to_contain_text("the orders of 42")
        await page.goto(f"{network.url}/dashboard/workflows")
        await page.locator("#connection[data-state=connected]").wait_for()
        order = {"poId": "po_42", "workflowId": "wf", "stage": "parse", "progress": 9}
        body = {"type": "progress", "data": order}
        async with httpx.AsyncClient(base_url=site.url) as developer:
            assert (await developer.post("/api/streams/merchant:42", json=body)).is_success
        await expect(page.locator(".order")).to_have_count(1)
        sent = bytes(network.received)
        (reached,) = re.findall(rb"^id: (\S+)\nevent: progress$", sent, re.MULTILINE)
        legs = len(network.legs("/api/realtime/events"))
        async with page.expect_navigation():
            await login.get_by_role("button", name="Milo Merchant").click()
        await page.locator("#connection[data-state=connected]").wait_for()
        await expect(page.locator("#no-orders")).to_be_visible()
        await expect(page.locator(".order, #feed .entry")).to_have_count(0)
        later = [leg.cursor for leg in network.legs("/api/realtime/events")[legs:]]
        assert later
        assert reached.decode() not in later
        # And so does a page that shows who one is.
        other = await page.context.new_page()
        await other.goto(f"{network.url}/login")
        await expect(other.locator("#who")).to_have_text("You are Milo Merchant.")
        async with page.expect_navigation():
            await login.get_by_role("button", name="Sign out").click()
        await expect(other.locator("#who")).to_have_text("You are Developer.")


@pytest.mark.parametrize(
    "path",
    [
        *("/deployments", "/jobs", "/previews"),
        *("/dashboard/messages", "/dashboard/workflows", "/dashboard/metrics"),
    ],
)
async def test_who_comes_back_to_a_page_finds_their_own(
    page: Page, site: Server, path: str
) -> None:
    """Where no tab told of it: it was somewhere else that they signed in."""
    asked = "**/api/session"
    seen = "document.dispatchEvent(new Event('visibilitychange'))"
    async with page.expect_response(asked):
        await page.goto(f"{site.url}{path}")
    await page.evaluate("window.isSame = true")
    async with page.expect_response(asked) as answered:
        await page.evaluate(seen)
    await (await answered.value).finished()
    assert await page.evaluate("window.isSame"), "it is whose it was"
    await page.request.post(
        f"{site.url}/api/login", data={"sub": "reader"}, headers={"Origin": site.url}
    )
    async with page.expect_navigation():
        await page.evaluate(seen)
    assert await page.evaluate("window.isSame") is None


async def test_who_may_not_read_is_told(log: LogPage, server: Server) -> None:
    id = await server.preview("quiet")
    await log.page.goto(f"{log.url}/login")
    await log.page.get_by_role("button", name="Clara Client").click()
    await expect(log.page.locator("#who")).to_have_text("You are Clara Client.")
    await log.visit(id)
    await log.state("denied")
    await expect(log.page.locator("#reason")).to_contain_text("may not read")


async def test_outside_development_the_servers_own_words_are_shown(
    page: Page, server: Server
) -> None:
    server.environ["LASTEVENT_AUTH_SECRET"] = "s" * 40
    await server.end(signal.SIGTERM)
    await server.start()
    await page.goto(f"{server.url}/login")
    await expect(page.locator("#problem")).to_contain_text("for development only")
    await expect(page.locator("#who")).to_have_text("You are not signed in.")
    await expect(page.locator("#choice")).to_be_hidden()
    await page.goto(f"{server.url}/previews")
    await expect(page.locator("#problem")).to_contain_text("Send a token")
