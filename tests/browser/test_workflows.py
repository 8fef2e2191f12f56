"""A merchant's workflows on their page: real work, told once and in order, whatever happens."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import count, pairwise
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import FilePayload, Page, Route, expect

from infra.local.shopify import Shopify
from tests.browser.proxy import Proxy
from tests.browser.server import Server, serving
from tests.browser.workflows_page import EVENTS, ORDERS, PATH, SECRET, WorkflowsPage
from tests.project.tree import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ORDERS_THERE = ROOT / "examples" / "orders"
MERCHANTS = count(1000)
WAIT_SECONDS = 20.0
CLOCK = re.compile(r"^\d\d:\d\d:\d\d$")
DURATION = re.compile(r"\d+(\.\d)? s$")

# What a browser would sound and show; permission is there once somebody has asked for it.
ALERTS = """() => {
    window.tones = 0;
    window.popped = [];
    const create = AudioContext.prototype.createOscillator;
    AudioContext.prototype.createOscillator = function () {
        window.tones += 1;
        return create.call(this);
    };
    window.asked = 0;
    window.Notification = class {
        static permission = "default";
        static async requestPermission() {
            window.asked += 1;
            return (this.permission = window.answer ?? "granted");
        }
        constructor(title, { body }) { window.popped.push([title, body]); }
    };
    document.hasFocus = () => Boolean(window.isLookedAt);
}"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shopify]:
    """The shop that orders are brought to, and where their pictures are."""
    with Shopify(tmp_path_factory.mktemp("shopify")) as shop:
        yield shop


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def site(shop: Shopify, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One server for all tests: each is another merchant."""
    environ = shop.environment | {"LASTEVENT_AUTH_SECRET": SECRET}
    async with serving(tmp_path_factory.mktemp("workflows"), environ) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def workflows(page: Page, site: Server, shop: Shopify) -> AsyncIterator[WorkflowsPage]:
    """The page, for a merchant who has nothing yet."""
    async with Proxy(site.port) as proxy:
        visit = WorkflowsPage(page, proxy, site, str(next(MERCHANTS)))
        await visit.sign_in()
        yield visit
        await page.unroute_all(behavior="wait")
    await shop.clear_faults()


def csv(*lines: str, name: str = "order.csv") -> FilePayload:
    """Return a file with these lines below a header."""
    content = "\n".join(["sku,name,qty,price,image", *lines])
    return {"name": name, "mimeType": "text/csv", "buffer": content.encode()}


def text_of(file: FilePayload) -> bytes:
    return file["buffer"]


async def test_several_orders_are_chosen_and_worked_on(
    workflows: WorkflowsPage, shop: Shopify
) -> None:
    pictured = csv(
        f"PIC-1,Blue mug,12,4.50,{shop.cdn}/mug.png",
        f"PIC-2,Red plate,3,7.90,{shop.cdn}/gone.png",
        name="with pictures.csv",
    )
    await workflows.visit()
    await expect(workflows.page.locator("#no-orders")).to_be_visible()
    (bad,) = ORDERS_THERE.glob("bad/negative-quantity.csv")
    (good,) = ORDERS_THERE.glob("good/semicolons.csv")
    await workflows.choose(bad, good)
    await workflows.choose(pictured)
    page = workflows.page

    card = await workflows.becomes("with pictures.csv", "completed")
    whole = card.get_by_role("progressbar", name="All stages are done.")
    assert await whole.evaluate("bar => bar.value") == 100
    bars = card.locator(".stage progress")
    assert await bars.evaluate_all("bars => bars.map((bar) => bar.value)") == [100] * 7
    names = await bars.evaluate_all("bars => bars.map((bar) => bar.labels[0].textContent)")
    assert names == [
        *("AI parsing", "Database save", "Product drafts", "Image attachment"),
        *("Image processing", "Shopify sync", "Status update"),
    ]
    await expect(card.locator("header .took")).to_have_text(re.compile(r"^\d\d:.* · \d+(\.\d)? s$"))
    for took in await card.locator(".stage .took").all():
        await expect(took).to_have_text(DURATION)
    found = await card.locator(".results div").evaluate_all(
        "all => Object.fromEntries(all.map(({ children: [name, value] }) => "
        "[name.textContent, value.textContent]))"
    )
    assert found == {
        "Line items": "2",
        "Confidence": "100 %",
        "Pieces": "15",
        "Total": "77.70",
        "Products": "2, 2 new",
        "Pictures": "1, 1 refused",
        "Shop": "local-shop",
    }
    link = card.locator(".results a")
    assert await link.get_attribute("href") == f"https://{shop.shop}/admin/products"

    await card.get_by_text("2 line items", exact=True).click()
    line = card.locator(".line").first
    await expect(line).to_contain_text("Blue mug")
    await expect(line).to_contain_text("12 × 4.50")
    await expect(line.locator(".sure")).to_have_text("100 %")
    picture = line.get_by_role("img", name="Picture of Blue mug")
    await expect(picture).to_have_js_property("naturalWidth", 96)
    href = await line.get_by_role("link", name="Blue mug").get_attribute("href")
    assert href and re.fullmatch(rf"https://{shop.shop}/admin/products/\d+", href)
    refused = card.locator(".line").last.locator(".refused")
    await expect(refused).to_contain_text("Picture refused: the host does not know")
    assert (await shop.state()).stock["PIC-1"] == 12

    failed = await workflows.becomes(bad.name, "failed")
    parsing = workflows.stage(bad.name, "AI parsing")
    await expect(parsing.locator(".badge")).to_have_text("Failed")
    faults = parsing.locator(".faults li")
    assert await faults.evaluate_all("all => all.map((one) => one.textContent)") == [
        "Line 3 The quantity is -3: write a whole number from 1 to 1000000.",
        "Line 4 The quantity '2.5' is not a whole number.",
        "Line 5 The quantity is missing.",
        "Line 6 The price 'cheap' is not a number.",
    ]
    await expect(failed.locator(".whole label")).to_contain_text("Correct the file")
    assert await failed.locator(".whole progress").evaluate("bar => bar.value") == 0

    await workflows.becomes(good.name, "completed")
    await expect(page.locator("#tally-completed")).to_have_text("2")
    await expect(page.locator("#tally-failed")).to_have_text("1")
    await expect(page.locator("#tally-running")).to_have_text("0")
    await expect(page.locator("#tally-lines")).to_have_text("7")
    colours = await page.locator("#feed .badge").evaluate_all(
        "all => Object.fromEntries("
        "all.map((one) => [one.textContent, getComputedStyle(one).color]))"
    )
    assert len({colours[word] for word in ("Done", "Failed", "Started")}) == 3
    for time in await page.locator("#feed time").all_text_contents():
        assert CLOCK.fullmatch(time), time
    assert "Done | with pictures.csv | AI parsing: 2 line items · confidence 100 %." in (
        await workflows.entries()
    )


async def test_files_are_dropped_anywhere(workflows: WorkflowsPage) -> None:
    await workflows.visit()
    drop = """([target, name, content]) => {
        const data = new DataTransfer();
        data.items.add(new File([content], name, { type: "" }));
        data.items.add(new File(["{}"], "empty.json"));
        const fire = (type) => document.querySelector(target).dispatchEvent(
            new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
        fire("dragover");
        const over = document.getElementById("drop").dataset.over;
        return [over, fire("drop")];
    }"""
    rows = text_of(csv("DROP-1,Cup,5,,")).decode()
    assert await workflows.page.evaluate(drop, ["h1", "dropped.csv", rows]) == ["true", False]
    await workflows.becomes("dropped.csv", "completed")
    await workflows.becomes("empty.json", "failed")
    await expect(workflows.page.locator("#drop[data-over]")).to_have_count(0)


async def test_who_joins_late_sees_how_it_is_and_follows_from_there(
    workflows: WorkflowsPage, shop: Shopify
) -> None:
    await shop.fault("delay", seconds=0.6)
    for name in ("one.csv", "two.csv"):
        await workflows.upload(name, text_of(csv("L-1,Lamp,1,2.00,", "L-2,Lamp,1,2.00,")))
    async with asyncio.timeout(WAIT_SECONDS):
        while {it["stage"] for it in await _runs(workflows)} != {"shopify_sync"}:
            await asyncio.sleep(0.05)
    async with workflows.page.expect_response(re.compile(ORDERS)) as answered:
        await workflows.page.goto(workflows.proxy.url + PATH)
    cursor = (await (await answered.value).json())["cursor"]
    for name in ("one.csv", "two.csv"):
        await expect(workflows.stage(name, "Database save").locator(".badge")).to_have_text("Done")
        await expect(workflows.order(name)).to_have_attribute("data-state", "running")
    await workflows.state("connected")
    assert workflows.proxy.legs(EVENTS)[0].cursor == cursor
    for name in ("one.csv", "two.csv"):
        await workflows.becomes(name, "completed")
    # What it was told was not told again, and nothing was left out.
    cursors = [leg.cursor for leg in workflows.proxy.legs(EVENTS)]
    assert cursors == sorted(cursors, key=str)
    repeats = Counter(await workflows.entries())
    assert repeats.most_common(1)[0][1] == 1


async def _runs(workflows: WorkflowsPage) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = (await workflows.snapshot())["purchaseOrders"]
    return runs


async def test_bars_never_go_back_though_all_is_told_again(
    workflows: WorkflowsPage, shop: Shopify
) -> None:
    """A snapshot may be much younger than its cursor: then its past is told once more."""
    early = (await workflows.snapshot())["cursor"]
    await shop.fault("delay", seconds=0.4)
    await workflows.upload("again.csv", text_of(csv("B-1,Bowl,2,1.50,", "B-2,Bin,1,9.00,")))
    async with asyncio.timeout(WAIT_SECONDS):
        while (await _runs(workflows))[0]["progress"] < 70:
            await asyncio.sleep(0.05)

    async def older(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, json=await answer.json() | {"cursor": early})

    await workflows.page.route(f"**{ORDERS}?**", older)
    await workflows.watch()
    await workflows.visit()
    workflows.proxy.cut_in_frame()
    await workflows.becomes("again.csv", "completed")
    assert workflows.proxy.legs(EVENTS)[0].cursor == early
    shown = await workflows.told()
    assert len(shown) == 8
    for id, values in shown.items():
        assert values == sorted(values), id
    (whole,) = [values for id, values in shown.items() if id.endswith("-bar")]
    assert whole[0] >= 70
    await workflows.feed.filter(has_text="Completed").wait_for()
    told = await workflows.entries()
    assert max(Counter(told).values()) == 1
    await workflows.page.unroute_all(behavior="wait")
    await workflows.visit()
    await workflows.becomes("again.csv", "completed")
    assert await workflows.entries() == told


async def test_what_comes_late_moves_nothing_back(workflows: WorkflowsPage) -> None:
    """One by one, so that each would be seen: a burst is one change of the page."""
    await workflows.upload("ahead.json", "{}", "application/json")
    async with asyncio.timeout(WAIT_SECONDS):
        while (await _runs(workflows))[0]["endedAt"] is None:
            await asyncio.sleep(0.05)
    snapshot = await workflows.snapshot()
    (order,) = snapshot["purchaseOrders"]
    order |= {"state": "running", "progress": 80, "error": None, "endedAt": None}
    order["stages"][0] |= {"status": "completed", "progress": 100, "error": None}
    order["stages"][1] |= {"status": "running", "progress": 70, "startedAt": order["startedAt"]}
    await workflows.page.route(f"**{ORDERS}?**", lambda route: route.fulfill(json=snapshot))
    await workflows.watch()
    await workflows.visit()
    card = workflows.order("ahead.json")
    await expect(card.locator(".whole .percent")).to_have_text("80 %")

    async def late(type: str, stage: str, **fields: Any) -> None:
        message = f"at {fields['stageProgress']}"
        said: dict[str, Any] = {"round": 1, "stage": stage, "message": message}
        await workflows.publish(type, order["id"], **said | fields)
        await workflows.feed.first.filter(has_text=message).wait_for()

    await late("progress", "ai_parsing", progress=5, stageProgress=30, status="started")
    await late("stage", "ai_parsing", progress=5, stageProgress=30, status="failed")
    await late("progress", "database_save", progress=40, stageProgress=20, status="started")
    await late("progress", "database_save", progress=1, stageProgress=0, status="started")
    shown = await workflows.told()
    assert len(shown) == 8
    for id, values in shown.items():
        assert values == sorted(values), id
    await expect(card.locator(".whole .percent")).to_have_text("80 %")
    await expect(card.locator(".stage .badge").first).to_have_text("Done")
    await late("progress", "database_save", progress=90, stageProgress=85, status="started")
    await expect(card.locator(".whole .percent")).to_have_text("90 %")


async def test_a_cut_and_a_reload_repeat_nothing_in_the_activity(
    workflows: WorkflowsPage, shop: Shopify
) -> None:
    await workflows.watch()
    await workflows.visit()
    await shop.fault("delay", seconds=0.3)
    await workflows.upload("cut.csv", text_of(csv("C-1,Cup,1,1.00,", "C-2,Can,1,1.00,")))
    await workflows.stage("cut.csv", "Database save").locator(".badge", has_text="Done").wait_for()
    legs = len(workflows.proxy.legs(EVENTS))
    workflows.proxy.cut_in_frame()
    await workflows.says("Reconnecting, attempt 1 of 10")
    await workflows.state("connected")
    for leg in workflows.proxy.legs(EVENTS)[legs:]:
        assert f"id: {leg.cursor}".encode() in bytes(workflows.proxy.received)
    await workflows.becomes("cut.csv", "completed")
    await expect(workflows.page.locator("#feed .entry.new")).not_to_have_count(0)
    await workflows.feed.filter(has_text="Completed").wait_for()
    before = await workflows.entries()
    times = await workflows.page.locator("#feed time").all_text_contents()
    assert max(Counter(before).values()) == 1
    await workflows.page.reload()
    await workflows.state("connected")
    await workflows.becomes("cut.csv", "completed")
    assert await workflows.entries() == before
    assert await workflows.page.locator("#feed time").all_text_contents() == times
    # What was there before the page is no news.
    await expect(workflows.page.locator("#feed .entry.new")).to_have_count(0)


async def test_a_failed_stage_says_why_and_is_run_again(
    workflows: WorkflowsPage, shop: Shopify
) -> None:
    await workflows.watch()
    await workflows.visit()
    await shop.fault("status", status=403)
    await workflows.choose(csv("F-1,Fork,1,1.00,", name="fails.csv"))
    card = await workflows.becomes("fails.csv", "failed")
    stage = workflows.stage("fails.csv", "Shopify sync")
    await expect(stage.locator(".badge")).to_have_text("Failed")
    await expect(stage.locator(".faults")).not_to_be_empty()
    await expect(card.locator("header .badge")).to_have_text("Failed")
    await expect(card.locator(".whole label")).to_have_text(re.compile(r"Stopped at \d+ %\."))
    await expect(workflows.page.locator("#news")).to_contain_text("fails.csv has failed: ")
    await shop.clear_faults()
    again = card.get_by_role("button", name="Run again: fails.csv")
    await again.focus()
    await workflows.page.keyboard.press("Enter")
    await workflows.becomes("fails.csv", "completed")
    await expect(stage.locator(".faults")).to_be_empty()
    await expect(again).to_be_hidden()
    assert await workflows.page.evaluate("document.activeElement.tagName") == "SUMMARY"
    await expect(workflows.page.locator("#news")).to_contain_text("fails.csv has completed")
    for id, values in (await workflows.told()).items():
        gone = [now for was, now in pairwise(values) if now < was]
        assert set(gone) <= ({0} if id.endswith("-bar") else set()), id


async def test_an_order_is_cancelled(workflows: WorkflowsPage, shop: Shopify) -> None:
    await workflows.visit()
    await shop.fault("delay", seconds=2.0)
    await workflows.choose(csv("X-1,Axe,1,1.00,", name="stop.csv"))
    await workflows.stage("stop.csv", "Shopify sync").locator(".badge", has_text="Run").wait_for()
    cancel = workflows.order("stop.csv").get_by_role("button", name="Cancel: stop.csv")
    await cancel.focus()
    await workflows.page.keyboard.press("Enter")
    await workflows.becomes("stop.csv", "cancelled")
    await expect(workflows.page.locator("#tally-cancelled")).to_have_text("1")
    again = workflows.order("stop.csv").get_by_role("button", name="Run again: stop.csv")
    await expect(again).to_be_focused()
    assert (await workflows.entries())[
        0
    ] == "Cancelled | stop.csv | Shopify sync: It was cancelled."


async def test_what_others_tell_is_shown_and_asked_for(workflows: WorkflowsPage) -> None:
    await workflows.visit()
    await workflows.publish("progress", progress=60, message="Saved 5 line items")
    card = workflows.order("Order po_elsewhere")
    await expect(card.locator(".whole label")).to_have_text("Database save: Saved 5 line items.")
    assert await card.locator(".whole progress").evaluate("bar => bar.value") == 60
    await expect(card.get_by_role("button")).to_have_count(0)
    async with asyncio.timeout(WAIT_SECONDS):
        while not any(r.path.endswith("/po_elsewhere") for r in workflows.proxy.requests):
            await asyncio.sleep(0.02)
    lists = workflows.lists()
    await workflows.publish("failure", error="Database <b>connection</b> timeout")
    await expect(card.locator("header .badge")).to_have_text("Failed")
    assert await card.locator(".whole progress").evaluate("bar => bar.value") == 0
    await expect(card.locator(".faults")).to_have_text("Database <b>connection</b> timeout.")
    await expect(workflows.page.locator("#tally-failed")).to_have_text("1")
    async with asyncio.timeout(WAIT_SECONDS):
        while workflows.lists() == lists:
            await asyncio.sleep(0.02)
    await workflows.publish("completion", "po_2", lineItems=5, confidence=95, over=True)
    await expect(workflows.order("Order po_2").locator("header .badge")).to_have_text("Completed")
    await expect(workflows.page.locator("#tally-lines")).to_have_text("5")
    await expect(workflows.page.locator("#tally-sure")).to_have_text("95 %")


async def test_tones_and_notifications_are_asked_for(workflows: WorkflowsPage) -> None:
    page = workflows.page
    await page.add_init_script(f"({ALERTS})()")
    await workflows.visit()

    async def over(po: str) -> None:
        await workflows.publish("progress", po, progress=1)
        await workflows.order(f"Order {po}").wait_for()
        await workflows.publish("failure", po, error="it is gone")
        await workflows.becomes(f"Order {po}", "failed")

    async def alerts() -> list[Any]:
        made: list[Any] = await page.evaluate("[tones, asked, popped.length]")
        return made

    await over("po_1")
    assert await alerts() == [0, 0, 0]
    sound = page.get_by_role("button", name="Sound")
    notify = page.get_by_role("button", name="Notifications")
    await expect(sound).to_have_attribute("aria-pressed", "false")
    await sound.click()
    await expect(sound).to_have_attribute("aria-pressed", "true")
    assert await alerts() == [2, 0, 0], "one hears what it will be like"
    await page.evaluate("window.answer = 'denied'")
    await notify.click()
    await expect(page.locator("#alerts-problem")).to_contain_text("does not allow notifications")
    await expect(notify).to_have_attribute("aria-pressed", "false")
    await page.evaluate("window.answer = 'granted'")
    await notify.click()
    await expect(notify).to_have_attribute("aria-pressed", "true")
    await over("po_2")
    await page.wait_for_function("() => tones === 4 && popped.length === 1")
    assert await page.evaluate("popped") == [["Order po_2 has failed", "it is gone"]]
    await workflows.upload("bad.json", "{}", "application/json")
    await workflows.becomes("bad.json", "failed")
    await page.wait_for_function("() => tones === 6 && popped.length === 2")
    # What is told again after a reload is no news, though both are still wanted.
    await page.reload()
    await workflows.state("connected")
    await expect(sound).to_have_attribute("aria-pressed", "true")
    await workflows.becomes("bad.json", "failed")
    await workflows.feed.first.wait_for()
    assert await alerts() == [0, 0, 0]


async def test_of_several_tabs_one_sounds_and_one_notifies(workflows: WorkflowsPage) -> None:
    """One that can: in a tab that was never touched a browser allows no sound."""
    untouched = await workflows.page.context.new_page()
    late = await workflows.page.context.new_page()
    tabs = (untouched, workflows.page, late)
    for tab in tabs:
        await tab.add_init_script(f"({ALERTS})()")
        await tab.add_init_script("Notification.permission = 'granted'")
    wanted = "{ sound: true, notifications: true }"
    keep = f"localStorage['lastevent.preferences'] = JSON.stringify({wanted})"
    await workflows.page.add_init_script(keep)
    # Tests touch each page that they ask anything.
    await untouched.add_init_script(
        "Object.defineProperty(navigator, 'userActivation', { value: { hasBeenActive: false } })"
    )
    for tab in tabs:
        await tab.goto(workflows.proxy.url + PATH)
        await tab.locator("#connection[data-state=connected]").wait_for()

    async def over(po: str, *tabs: Page) -> None:
        await workflows.publish("progress", po, progress=1)
        await _show(po, "running", *tabs)
        await workflows.publish("failure", po, error="it is gone")
        await _show(po, "failed", *tabs)
        # As long as a tab may still speak of it, it holds its lock, or waits for its turn.
        await workflows.page.wait_for_timeout(600)
        await workflows.page.wait_for_function(
            "async () => (await navigator.locks.query()).held"
            ".every(({ name }) => !name.startsWith('lastevent once'))"
        )

    async def made(what: str) -> list[int]:
        return [await tab.evaluate(what) for tab in tabs]

    await late.evaluate("document.dispatchEvent(new Event('freeze'))")
    await over("po_1", *tabs[:2])
    assert await made("tones") == [0, 2, 0]
    assert sum(await made("popped.length")) == 1
    # One that stood still hears of it long after: it has been told.
    await late.evaluate("document.dispatchEvent(new Event('resume'))")
    await over("po_2", *tabs)
    assert sum(await made("tones")) == 4
    assert sum(await made("popped.length")) == 2
    # Nothing pops up from tabs beside the one that is looked at, though they hear of it first.
    await late.evaluate("window.isLookedAt = true")
    await over("po_3", *tabs)
    assert sum(await made("tones")) == 6
    assert sum(await made("popped.length")) == 2


async def _show(po: str, state: str, *tabs: Page) -> None:
    """Wait until each tab shows an order in this state."""
    for tab in tabs:
        heading = tab.get_by_role("heading", name=f"Order {po}", exact=True)
        await tab.locator(f".order[data-state={state}]").filter(has=heading).wait_for()


async def test_the_connection_beats_hangs_and_comes_back(workflows: WorkflowsPage) -> None:
    await workflows.visit()
    await workflows.page.evaluate("""() => {
        window.beats = 0;
        document.querySelector("#connection .icon").addEventListener(
            "animationstart", ({ animationName }) => { window.beats += animationName === "beat"; });
    }""")
    await workflows.page.wait_for_function("() => beats >= 2")
    workflows.proxy.stall()
    await workflows.state("reconnecting")
    await expect(workflows.page.locator("#reason")).to_contain_text("two heartbeats")
    workflows.proxy.flow()
    await workflows.state("connected")


async def test_who_wants_no_stream_polls(workflows: WorkflowsPage) -> None:
    keep = "localStorage.setItem('lastevent.preferences', '{\"realtime\":false}')"
    await workflows.page.add_init_script(keep)
    await workflows.page.goto(workflows.proxy.url + PATH)
    await workflows.state("polling")
    await expect(workflows.pill).to_contain_text("Polling")
    await workflows.publish("progress", progress=60, message="Saved 5 line items")
    await workflows.page.get_by_role("button", name="Update now").click()
    card = workflows.order("Order po_elsewhere")
    await expect(card.locator(".whole .percent")).to_have_text("60 %")
    assert workflows.proxy.legs(EVENTS) == []


async def test_an_upload_whose_answer_is_lost_is_one_order(workflows: WorkflowsPage) -> None:
    await workflows.visit()

    async def lose(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await workflows.page.route(f"**{ORDERS}?name=**", lose, times=1)
    await workflows.choose(csv("U-1,Urn,1,1.00,", name="lost.csv"))
    row = workflows.page.locator(".upload", has_text="lost.csv")
    await expect(row).to_contain_text("The server cannot be reached.")
    await row.get_by_role("button", name="Try again: lost.csv").click()
    await expect(row).to_have_count(0)
    await workflows.becomes("lost.csv", "completed")
    assert len(await _runs(workflows)) == 1


async def test_an_answer_that_is_late_does_not_speak_over_the_end(
    workflows: WorkflowsPage,
) -> None:
    await workflows.visit()

    async def hold(route: Route) -> None:
        answer = await route.fetch()
        await workflows.becomes("late.json", "failed")
        await route.fulfill(response=answer)

    await workflows.page.route(f"**{ORDERS}?name=**", hold, times=1)
    await workflows.choose(csv(name="late.json"))
    await workflows.becomes("late.json", "failed")
    await expect(workflows.page.locator(".upload")).to_have_count(0)
    await expect(workflows.page.locator("#news")).to_contain_text("has failed: ")


async def test_what_is_no_order_is_refused_where_it_was_sent(workflows: WorkflowsPage) -> None:
    await workflows.visit()
    large: FilePayload = {"name": "l.csv", "mimeType": "text/csv", "buffer": bytes(300 * 1024)}
    empty: FilePayload = {"name": "none.csv", "mimeType": "text/csv", "buffer": b""}
    await workflows.choose(large, empty)
    rows = workflows.page.locator(".upload")
    await expect(rows.first).to_contain_text("It has 300 KB; an order has at most 256 KB.")
    await expect(rows.last).to_contain_text("The file is empty.")
    for name in ("l.csv", "none.csv"):
        await workflows.page.get_by_role("button", name=f"Dismiss: {name}").click()
    await expect(rows).to_have_count(0)
    await expect(workflows.page.locator("#choose")).to_be_focused()


async def test_lost_history_is_said_and_how_all_is_asked_for(workflows: WorkflowsPage) -> None:
    await workflows.publish("stage", status="started")
    cursor: str = (await workflows.snapshot())["cursor"]
    stale = "0" * 11 + "1" + cursor[12:]  # of a stream that was deleted since

    async def older(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, json=await answer.json() | {"cursor": stale})

    await workflows.page.route(f"**{ORDERS}?**", older, times=1)
    await workflows.visit()
    await expect(workflows.feed.first).to_contain_text("no longer kept by the server")
    assert workflows.proxy.legs(EVENTS)[0].cursor == stale
    async with asyncio.timeout(WAIT_SECONDS):
        while workflows.lists() < 2:
            await asyncio.sleep(0.02)
    await workflows.publish("progress", progress=5)
    await workflows.order("Order po_elsewhere").wait_for()


async def test_who_is_no_merchant_is_told_what_to_do(workflows: WorkflowsPage) -> None:
    await workflows.page.context.clear_cookies()
    await workflows.page.goto(workflows.proxy.url + PATH)
    denied = workflows.page.locator("#denied")
    await expect(denied).to_contain_text("a merchant’s")
    assert await denied.get_by_role("link").get_attribute("href") == "/login"
    await expect(workflows.page.locator("#board")).to_be_hidden()


async def test_a_server_that_is_away_is_asked_again(workflows: WorkflowsPage) -> None:
    await workflows.page.route(f"**{ORDERS}?**", lambda route: route.abort(), times=1)
    await workflows.page.goto(workflows.proxy.url + PATH)
    await expect(workflows.page.locator("#problem")).to_have_text("The server cannot be reached.")
    await workflows.page.get_by_role("button", name="Try again", exact=True).click()
    await workflows.state("connected")
    await expect(workflows.page.locator("#problem")).to_be_empty()


async def test_older_orders_are_asked_for(workflows: WorkflowsPage) -> None:
    bad = json.dumps({"lines": []})
    for name in ("first.json", "second.json", "third.json"):
        await workflows.upload(name, bad, "application/json")

    async def short(route: Route) -> None:
        url = route.request.url.replace("limit=50", "limit=2")
        await route.continue_(url=url)

    await workflows.page.route(f"**{ORDERS}?**", short)
    await workflows.visit()
    names = workflows.page.locator(".order h3")
    await expect(names).to_have_text(["third.json", "second.json"])
    more = workflows.page.get_by_role("button", name="Show older orders")
    await more.click()
    await expect(names).to_have_text(["third.json", "second.json", "first.json"])
    await expect(more).to_be_hidden()
