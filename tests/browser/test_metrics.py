"""The page of the metrics: what two servers told one store, and what was not told."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import time
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from lastevent.services.incident import Incident
from lastevent.services.metrics.bucket import Bucket
from lastevent.services.metrics.minutes import Minutes
from lastevent.stores.url import open_store
from tests.browser.metrics_page import MetricsPage
from tests.browser.server import Server, serving
from tests.browser.test_pages import check_with_axe

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ALERTS = {
    "LASTEVENT_ALERT_URL": "http://127.0.0.1:9/hook",
    "LASTEVENT_ALERT_SECRET": "whsec_" + "aHVz" * 10,
    "LASTEVENT_ALERT_RECONNECTS": "9",
}
MINUTES = 75
GAP = range(20, 30)
"""Minutes ago of which nobody told."""

ALONE = 25
"""But for one in the middle."""

BILLED = range(64, MINUTES)
"""Minutes ago when their store still billed what it was asked for."""


def counted(scale: int) -> Bucket:
    """What a server counts in a minute; ``scale`` of two servers add up to ten."""
    bucket = Bucket()
    bucket.counts.update(
        {
            "opened": 2 * scale,
            "resumed": 3 * scale,
            "ended.duration": 2 * scale,
            "ended.left": scale,
            "connected": 12_000 * scale,
            "published": 30 * scale,
            "delivered": 300 * scale,
            "stream.legs": 4 * scale,
            "stream.plannedEnds": 2 * scale,
            "stream.cuts": scale,
            "polling.polls": scale,
        }
    )
    for name, ms in (("delivery", 4), ("stream", 40), ("polling", 16_000)):
        bucket.latency(name).observe(ms * 0.98, 95)
        bucket.latency(name).observe(ms * 10, 5)
    for user in range(3):
        bucket.user("stream").add(f"user-{user}")
    bucket.user("polling").add("another")
    return bucket


def billed(scale: int) -> Bucket:
    """The same, by servers whose store counts what it is asked for."""
    bucket = counted(scale)
    bucket.counts["commands"] = 25 * scale
    return bucket


async def in_store(directory: Path, minutes: dict[int, list[Bucket]], **records: str) -> None:
    """Have servers tell of minutes, by their distance from now."""
    store = open_store(f"sqlite:///{directory}/test.db")
    await store.prepare()
    servers = [Minutes(store.records, f"server-{number}") for number in range(2)]
    now = int(time() // 60)
    for ago, buckets in minutes.items():
        for server, bucket in zip(servers, buckets, strict=False):
            await server.add(now - ago, bucket)
    for id, value in records.items():
        await store.records.put("alerts", f"reconnects/{id}", value)
        await store.records.put("alerts-unsettled", f"reconnects/{id}", "")
    await store.close()


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Server, Server]]:
    """Two servers on one store, to which two others have told of the last hour."""
    directory = tmp_path_factory.mktemp("metrics")
    incident = Incident.new(
        "reconnects", "all", "<script>alert(1)</script>", {}, 10**9, int(time() * 1000)
    )
    async with serving(directory, ALERTS) as one, serving(directory, ALERTS) as other:
        told = {
            ago: [billed(6), billed(4)] if ago in BILLED else [counted(6), counted(4)]
            for ago in range(MINUTES)
            if ago not in GAP or ago == ALONE
        }
        await in_store(directory, told, all=incident.text)
        yield one, other


@pytest.fixture
def metrics(page: Page, servers: tuple[Server, Server]) -> MetricsPage:
    return MetricsPage(page, servers[0].url)


async def test_two_servers_add_up_whichever_is_asked(
    page: Page, servers: tuple[Server, Server]
) -> None:
    for server in servers:
        metrics = MetricsPage(page, server.url)
        await metrics.visit()
        await expect(metrics.card("Connections")).to_have_text("2")
        await expect(metrics.card("Delivery p50")).to_have_text("3.7 ms")
        await expect(metrics.card("Reconnects")).to_have_text("10 /min")
        await expect(metrics.card("Planned ends")).to_have_text("20 /min")
        await expect(metrics.card("Events delivered")).to_have_text("50 /s")
        await expect(page.locator("#now-hint")).to_contain_text("as 2 servers told")


async def test_what_was_not_told_is_a_dash_and_a_gap_and_never_zero(metrics: MetricsPage) -> None:
    await metrics.visit()
    await expect(metrics.card("Store commands")).to_have_text("–")
    rows = await metrics.table("connections")
    assert len(rows) == 60
    values = [row[0] for row in rows]
    assert set(values) == {"2", "–"}
    assert values.count("–") == len(GAP) - 1
    lines = await metrics.drawn("connections", "--accent")
    start, end = min(lines), max(lines)
    ago = [60 * (end - x) / (end - start) for x in lines]  # in minutes, by and large
    assert any(minutes < 15 for minutes in ago)
    assert any(minutes > 35 for minutes in ago)
    in_gap = [minutes for minutes in ago if 19.5 < minutes < 27]
    assert in_gap, "a minute between two gaps is a dot"
    assert max(in_gap) - min(in_gap) < 1.5, "and no line leads there"
    assert await metrics.drawn("commands", "--accent") == []


async def test_each_chart_has_its_numbers_as_a_table(metrics: MetricsPage) -> None:
    await metrics.visit()
    charts = await metrics.page.locator(".chart").evaluate_all("all => all.map(({ id }) => id)")
    assert len(charts) == 6
    known = {}
    for chart in charts:
        id = chart.removeprefix("chart-")
        known[id] = (await metrics.table(id))[0]
        assert await metrics.page.locator(f"#{chart} canvas").count() == 1
    assert known == {
        "connections": ["2"],
        "latency": ["3.7 ms", "4.0 ms"],
        "ends": ["10", "20", "10"],
        "events": ["50", "5"],
        "commands": ["–"],
        "pages": ["42 ms", "45 ms", "15.1 s", "16.4 s"],
    }
    image = metrics.page.locator("#chart-ends [role=img]")
    await expect(image).to_have_attribute(
        "aria-label",
        "Ends and reconnects, a minute. Reconnects: 10 at last, 10 at most; "
        "Planned ends: 20 at last, 20 at most; Clients left: 10 at last, 10 at most.",
    )


async def test_the_pointer_reads_the_numbers(metrics: MetricsPage) -> None:
    await metrics.visit()
    await metrics.page.locator("#chart-latency .u-over").hover()
    reading = metrics.page.locator("#chart-latency .reading")
    await expect(reading).to_contain_text("p50 3.7 ms, p95 4.0 ms")


async def test_real_time_is_compared_with_polling(metrics: MetricsPage) -> None:
    await metrics.visit()
    assert await metrics.compared("Users") == ["3", "1"]
    assert await metrics.compared("Share of users") == ["75 %", "25 %"]
    assert await metrics.compared("Requests a minute and user") == ["13.3", "10"]
    assert await metrics.compared("Delivery p50") == ["42 ms", "15.1 s"]
    assert await metrics.compared("Cuts") == ["510", "0"]


async def test_thresholds_in_force_are_drawn_and_incidents_shown(metrics: MetricsPage) -> None:
    await metrics.visit()
    await expect(metrics.page.locator("#threshold")).to_contain_text("at 9 reconnects a minute")
    await expect(metrics.page.locator("#incidents li")).to_contain_text("<script>alert(1)</script>")
    await expect(metrics.page.get_by_text("Alert at 9")).to_be_visible()
    line = await metrics.drawn("ends", "--bad")
    assert len(line) > 100, "across the chart"
    assert await metrics.drawn("connections", "--bad") == []


async def test_ranges_are_kept_in_the_address(metrics: MetricsPage) -> None:
    await metrics.visit()
    page = metrics.page
    day = page.get_by_role("button", name="24 hours")
    await day.focus()
    await page.keyboard.press("Enter")
    await expect(day).to_have_attribute("aria-pressed", "true")
    await expect(page.locator(".number .hint").first).to_contain_text("24 hours: ")
    assert metrics.asked[-1].endswith("minutes=1440")
    assert len(await metrics.table("connections")) == 288
    await page.reload()
    await expect(day).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("button", name="30 days").click()
    await expect(page.locator(".number .hint").first).to_contain_text("30 days: ")
    assert metrics.asked[-1].endswith("minutes=43200")
    assert len(await metrics.table("connections")) == 720


async def test_what_a_store_was_asked_for_is_told_where_it_is_counted(
    metrics: MetricsPage,
) -> None:
    await metrics.visit("?range=day")
    values = [row[0] for row in await metrics.table("commands")]
    assert "250" in values
    assert "0" not in values
    assert values[0] == "–", "by now it is not"
    assert await metrics.drawn("commands", "--accent")


async def test_it_refreshes_by_itself_but_not_where_nobody_looks(metrics: MetricsPage) -> None:
    page = metrics.page
    await page.clock.install()
    await metrics.visit()
    assert len(metrics.asked) == 1
    await page.clock.run_for(31_000)
    assert len(metrics.asked) == 2
    await see(page, "hidden")
    await page.clock.run_for(300_000)
    assert len(metrics.asked) == 2
    await see(page, "visible")
    async with asyncio.timeout(10):
        while len(metrics.asked) < 3:
            await asyncio.sleep(0.02)


async def see(page: Page, state: str) -> None:
    """Have the page hidden, or seen again."""
    await page.evaluate(
        """state => {
            const told = { value: state, configurable: true };
            Object.defineProperty(document, "visibilityState", told);
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state,
    )


@pytest.mark.parametrize("who", ["merchant", "client"])
async def test_who_may_not_see_them_is_told(metrics: MetricsPage, who: str) -> None:
    await become(metrics, who)
    await metrics.visit()
    await expect(metrics.page.locator("#shut")).to_contain_text("You may not see the metrics.")
    await expect(metrics.page.locator("#shut")).to_contain_text("may not read metrics")
    await expect(metrics.page.locator("#whole")).to_be_hidden()
    assert await check_with_axe(metrics.page) == []


async def test_a_reader_may(metrics: MetricsPage) -> None:
    await become(metrics, "reader")
    await metrics.visit()
    await expect(metrics.card("Connections")).to_have_text("2")


async def become(metrics: MetricsPage, who: str) -> None:
    answer = await metrics.page.context.request.post(
        f"{metrics.url}/api/login", data={"sub": who}, headers={"Origin": metrics.url}
    )
    assert answer.ok


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_open_tables(metrics: MetricsPage, scheme: Any) -> None:
    await metrics.page.emulate_media(color_scheme=scheme)
    await metrics.visit()
    for id in ("connections", "pages"):
        await metrics.table(id)
    assert await check_with_axe(metrics.page) == []


async def test_tables_fit_a_narrow_screen(metrics: MetricsPage) -> None:
    await metrics.page.set_viewport_size({"width": 320, "height": 640})
    await metrics.visit("?range=day")
    await metrics.table("pages")
    assert await metrics.page.evaluate("document.documentElement.scrollWidth") == 320
    sideways = "all => all.map((it) => it.scrollWidth - it.clientWidth)"
    assert set(await metrics.page.locator(".scrolls").evaluate_all(sideways)) == {0}
    canvas = await metrics.page.locator("#chart-pages canvas").bounding_box()
    assert canvas is not None
    assert canvas["width"] < 320


async def test_colours_follow_the_scheme(metrics: MetricsPage) -> None:
    page = metrics.page
    await page.emulate_media(color_scheme="light")
    await metrics.visit()
    assert await metrics.drawn("connections", "--accent")
    await page.emulate_media(color_scheme="dark")
    await expect_drawn(metrics, lambda columns: len(columns) > 50)


async def expect_drawn(metrics: MetricsPage, holds: Callable[[list[float]], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds(await metrics.drawn("connections", "--accent")):
            await asyncio.sleep(0.05)


async def test_a_server_without_anything_to_tell(page: Page, tmp_path: Path) -> None:
    async with serving(tmp_path, {}) as server:
        metrics = MetricsPage(page, server.url)
        await metrics.visit()
        await expect(page.locator("#nothing")).to_be_visible()
        await expect(page.locator("#charts")).to_be_hidden()
        for name in ("Connections", "Delivery p50", "Reconnects", "Store commands"):
            await expect(metrics.card(name)).to_have_text("–")
        await expect(page.locator("#threshold")).to_contain_text("Nobody is alerted")
        assert await metrics.compared("Users") == ["–", "–"]
        assert await check_with_axe(page) == []

        await server.end(signal.SIGKILL)
        await page.get_by_role("button", name="Refresh").click()
        problem = page.locator("#problem")
        await expect(problem).to_have_text("The server cannot be reached. What is shown is older.")
        await expect(page.locator("#whole")).to_be_visible()
        server.environ["LASTEVENT_METRICS"] = "off"
        await server.start()
        await page.get_by_role("button", name="Refresh").click()
        await expect(problem).to_be_hidden()
        await expect(page.locator("#shut")).to_contain_text("There are no metrics.")
        await expect(page.locator("#shut")).to_contain_text("LASTEVENT_METRICS is off")


async def test_what_two_servers_count_of_a_browser_adds_up(page: Page, tmp_path: Path) -> None:
    """Told when they end, so that nobody waits for the minute to be over."""
    async with serving(tmp_path, {}) as one, serving(tmp_path, {}) as other:
        await one.publish("s", 1, 2, 3)
        for server in (one, other):
            await page.goto(server.url)
            await page.evaluate(_FOLLOW)
    store = open_store(f"sqlite:///{tmp_path}/test.db")
    await store.prepare()
    total = await Minutes(store.records, "reader").total(int(time() // 60) + 1)
    await store.close()
    counts = total.counts
    assert counts["published"] == 3
    assert counts["delivered"] == 6
    assert counts["opened"] - counts["resumed"] == 2
    assert counts["resumed"] == 4
    assert total.planned() >= 4
    assert counts["stream.legs"] == 10
    assert total.user("stream").count == 1
    assert total.latency("stream").count == 4


# Follows a stream through two planned ends, and tells of it as pages do.
_FOLLOW = """async () => {
    const { Stream } = await import("/lastevent.js");
    const stream = new Stream("/api/streams/s", { start: "start", onReset() {} });
    while (stream.counts.plannedEnds < 2 || stream.state.name !== "connected"
           || stream.counts.legs < 3) {
        await new Promise((done) => setTimeout(done, 20));
    }
    stream.close();
    const counts = { legs: 5, plannedEnds: 2, cuts: 0, polls: 0 };
    const body = { page: "test", transport: "stream", latencies: [20, 30], counts };
    const request = { method: "POST", body: JSON.stringify(body) };
    const answer = await fetch("/api/metrics/beacon", request);
    if (answer.status !== 204) throw new Error(await answer.text());
}"""
