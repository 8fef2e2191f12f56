"""What a reader can do with a log, on a page with a real one."""

import re
from collections.abc import AsyncIterator, Iterable

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from tests.browser.child import MIXED
from tests.browser.log_page import LogPage
from tests.browser.server import Server, serving
from tests.project.tree import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LONG = 595
"""The number of the longest line."""

# Lines of many colours, as fast as they go; then ten a frame at the end of all.
_HUNDRED_THOUSAND = """async () => {
    const { LogPanel } = await import("/log/panel.js");
    const host = document.createElement("div");
    document.querySelector("#log-panel").id = "other";
    document.querySelector("#other").replaceChildren(host);
    const panel = new LogPanel(host);
    panel.begin("many", { url: "", write() {}, cursor: () => null }, () => null);
    const line = (n) => `\\x1b[${31 + (n % 6)}m[${n}]\\x1b[0m \\x1b[38;5;${n % 256}m` +
        `${"module/".repeat(3 + (n % 20))}\\x1b[0m took \\x1b[1m${n % 977} ms\\x1b[0m`;
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const began = performance.now();
    let n = 0;
    while (n < 100_000) {
        for (const end = n + 5000; n < end; n += 1) panel.lines.add("stdout", line(n), false, n);
        panel.update();
        await frame();
    }
    const ingest = performance.now() - began;
    const gaps = [];
    let last = await frame();
    for (let step = 0; step < 120; step += 1) {
        for (const end = n + 10; n < end; n += 1) panel.lines.add("stdout", line(n), false, n);
        panel.update();
        const now = await frame();
        gaps.push(now - last);
        last = now;
    }
    gaps.sort((a, b) => a - b);
    return [ingest, gaps[Math.floor(gaps.length * 0.95)], host.querySelectorAll(".row").length];
}"""


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def grounds(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One server for the tests that only read."""
    async with serving(tmp_path_factory.mktemp("log"), {}) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def mixed(grounds: Server) -> str:
    """A log of lines of all lengths, some of them errors."""
    return await grounds.preview("mixed")


@pytest_asyncio.fixture(loop_scope="session")
async def log(page: Page, grounds: Server) -> LogPage:
    """The page of the previews."""
    return LogPage(page, grounds.url)


def expected(number: int) -> str:
    """Return the text of a line of the mixed log."""
    if number % 100 == 0:
        return f"line {number} went wrong"
    if number % 7 == 0:
        return f"line {number} " + "long words " * (number // 5)
    return f"line {number} is wellmade"


WHOLE = [expected(number) for number in range(1, MIXED + 1)]


def whole(lines: Iterable[str]) -> bool:
    """Return whether these are the lines of the mixed log, beside what the page itself says.

    Each of its two channels has an order; between them there is none.
    """
    found = [line for line in lines if line.startswith("line ")]
    return sorted(found, key=_channel) == sorted(WHOLE, key=_channel)


def _channel(line: str) -> bool:
    return "wrong" in line


async def test_the_whole_log_is_searched(log: LogPage, mixed: str) -> None:
    await log.visit(mixed)
    await log.has_ended()
    await log.page.keyboard.press("/")
    await expect(log.search).to_be_focused()
    # It is not in the document yet, and its colours begin within the word.
    await log.search.fill("LINE 1 IS WELLMADE")
    await expect(log.found).to_have_text("1 of 1")
    await at_match(log, "line 1 is wellmade")
    await log.search.fill("went wrong")
    await expect(log.found).to_have_text("1 of 6")
    await at_match(log, "line 100 went wrong")
    await log.search.press("Enter")
    await expect(log.found).to_have_text("2 of 6")
    await at_match(log, "line 200 went wrong")
    await log.search.press("Shift+Enter")
    await log.search.press("Shift+Enter")
    await expect(log.found).to_have_text("6 of 6")
    await at_match(log, "line 600 went wrong")
    await log.page.get_by_role("button", name="Next match").click()
    await expect(log.found).to_have_text("1 of 6")
    await at_match(log, "line 100 went wrong")
    marked = "[...CSS.highlights.get('log-current')].map((range) => range.toString())"
    assert await log.page.evaluate(marked) == ["went wrong"]
    await log.search.fill("is nowhere")
    await expect(log.found).to_have_text("No match")
    await expect(log.page.get_by_role("button", name="Next match")).to_be_disabled()
    await log.search.press("Escape")
    await expect(log.search).to_have_value("")
    await expect(log.pane).to_be_focused()


async def at_match(log: LogPage, text: str) -> None:
    """Wait until the row with this text is the match that the reader is at, and in sight."""
    current = log.page.locator("#log .row.current")
    await expect(current.locator(".text")).to_have_text(text)
    await expect(current).to_be_in_viewport()


async def test_a_search_goes_on_finding_while_lines_come(log: LogPage, grounds: Server) -> None:
    id = await grounds.preview("ticks")
    await log.visit(id)
    await log.see("tick 5")
    await log.search.fill("tick ")
    await expect(log.found).to_have_text(re.compile(r"\d+ of \d+"))
    await expect(log.found).to_have_text(re.compile(r"\d+ of [3-9]\d"))
    # What is searched stays where it is: the reader is told of the rest.
    await expect(log.jump).to_be_visible()
    await log.stop.click()
    await log.has_ended()
    numbers = await log.lines("tick ")
    await expect(log.found).to_have_text(re.compile(rf"\d+ of {len(numbers)}"))


async def test_errors_only_and_the_first(log: LogPage, mixed: str) -> None:
    await log.visit(mixed)
    await log.has_ended()
    await log.first_error.click()
    await at_match(log, "line 100 went wrong")
    await expect(log.page.locator("#log .row.current .mark")).to_have_text("err")
    await expect(log.errors_only).to_have_text("Errors only (6)")
    await log.errors_only.click()
    await expect(log.errors_only).to_have_attribute("aria-pressed", "true")
    assert await log.rows() == [text for text in WHOLE if "wrong" in text]
    await log.errors_only.click()
    assert len(await log.rows()) > MIXED


async def test_a_log_without_errors_says_so(log: LogPage, grounds: Server) -> None:
    await log.visit(await grounds.preview("colours"))
    await log.has_ended()
    await expect(log.errors_only).to_be_disabled()
    await expect(log.first_error).to_be_disabled()


async def test_links_to_lines_survive_a_reload(log: LogPage, mixed: str) -> None:
    await log.visit(mixed)
    await log.has_ended()
    await log.search.fill(":120")
    await log.search.press("Enter")
    await log.in_sight(120)
    assert await log.marked() == [120]
    await log.number(122).click()
    assert log.page.url.endswith("#L122")
    await log.number(118).click(modifiers=["Shift"])
    assert log.page.url.endswith("#L118-L122")
    await log.number(123).click(modifiers=["Shift"])
    assert log.page.url.endswith("#L122-L123")
    await log.number(120).click(modifiers=["Shift"])
    await log.page.reload()
    await log.in_sight(120)
    assert await log.marked() == [120, 121, 122]
    await log.has_ended()
    await log.in_sight(120)
    await expect(log.jump).to_be_visible()
    await log.visit(mixed, "#L9000")
    await expect(log.said).to_contain_text("There is no line 9000: the log has 600 lines")


async def test_wrapped_rows_are_as_high_as_they_need(log: LogPage, mixed: str) -> None:
    await log.visit(mixed)
    await log.has_ended()
    assert await log.pane.evaluate("pane => pane.scrollWidth > pane.clientWidth")
    await log.wrap.click()
    assert await log.pane.evaluate("pane => pane.scrollWidth === pane.clientWidth")
    last = log.page.locator("#log .row").last
    await expect(last).to_contain_text("exited with code 1")
    await expect(last).to_be_in_viewport()
    # Words make a row higher than its length says, and each row above has to be counted in.
    for number in (590, 350, 7, 301, 590):
        await log.search.fill(f":{number}")
        await log.search.press("Enter")
        await log.in_sight(number)
        await expect(log.number(number)).to_have_count(1)
        place = await log.number(number).evaluate(
            """(one) => {
                const pane = document.getElementById("log");
                const { top } = pane.getBoundingClientRect();
                return one.getBoundingClientRect().top - top - pane.clientHeight / 3;
            }"""
        )
        assert abs(place) < 2 or number == 7
    height = "one => one.closest('.row').getBoundingClientRect().height"
    longest = log.page.locator("#log .row", has_text="line 595 long words")
    await log.search.fill("line 595 long")
    assert await longest.evaluate(height) > 10 * 20
    # The first time they become as high as they are, and others move.
    await log.rows()
    assert whole(await log.rows())
    await log.page.reload()
    await log.has_ended()
    await expect(log.wrap).to_have_attribute("aria-pressed", "true")


async def test_times_are_off_relative_or_absolute(log: LogPage, mixed: str) -> None:
    await log.visit(mixed)
    await log.has_ended()
    assert await log.page.locator("#log .time").count() == 0
    await log.times.select_option("relative")
    time = log.page.locator(f'.row:has([data-number="{MIXED}"]) .time')
    await expect(time).to_have_attribute("data-time", re.compile(r"^\+0:0\d\.\d{3}$"))
    await log.times.select_option("absolute")
    await expect(time).to_have_attribute("data-time", re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))
    await log.page.reload()
    await log.has_ended()
    await expect(time).to_have_attribute("data-time", re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))
    text = await log.downloaded()
    stamped = [line for line in text.splitlines() if re.match(r"\d\d:\d\d:\d\d\.\d{3} ", line)]
    assert whole(line.partition(" ")[2] for line in stamped)


async def test_copy_and_download_have_all_lines(log: LogPage, mixed: str) -> None:
    await log.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await log.visit(mixed)
    await log.has_ended()
    assert await log.page.locator("#log .row").count() < 200
    text = await log.downloaded()
    assert whole(text.splitlines())
    assert "\x1b" not in text
    assert "exited with code 1" in text.splitlines()[-1]
    await log.page.get_by_role("button", name="Copy").click()
    await expect(log.said).to_have_text("Copied 602 lines.")
    copied = await log.page.evaluate("navigator.clipboard.readText()")
    assert copied.replace("\r\n", "\n") == text


async def test_what_the_page_no_longer_keeps_is_read_from_the_server(
    log: LogPage, mixed: str
) -> None:
    async def keep_less(route: Route) -> None:
        text = (ROOT / "public" / "log" / "lines.js").read_text()
        for much, little in (("MOST_ROWS = 100_000", "MOST_ROWS = 100"), ("K = 5000", "K = 50")):
            assert much in text
            text = text.replace(much, little)
        await route.fulfill(body=text, content_type="text/javascript")

    await log.page.route("**/log/lines.js", keep_less)
    await log.visit(mixed)
    await log.has_ended()
    await expect(log.page.locator("#lines")).to_have_text(
        re.compile(r"600 lines, the first \d{3} no longer on this page")
    )
    assert len(await log.rows()) < 200
    assert whole((await log.downloaded()).splitlines())
    # The rows that are kept are still known by their numbers, and the others are said to be gone.
    await log.number(590).click()
    assert log.page.url.endswith("#L590")
    await log.search.fill(":3")
    await log.search.press("Enter")
    await expect(log.said).to_have_text("Line 3 is no longer on this page. Download has it.")


async def test_colours_by_number_and_by_value(log: LogPage, grounds: Server) -> None:
    await log.visit(await grounds.preview("colours"))
    await log.has_ended()
    first = log.row("by number by value").nth(0).locator(".fg")
    second = log.row("by number by value").nth(1).locator(".fg")
    for one in (first, second):
        colours = await one.evaluate_all(
            "all => all.map((one) => one.style.getPropertyValue('--fg'))"
        )
        assert colours == ["rgb(255,135,0)", "rgb(255,140,0)"]
    behind = log.row("behind by number behind by value").locator(".bg")
    colours = await behind.evaluate_all(
        "all => all.map((one) => one.style.getPropertyValue('--bg'))"
    )
    assert colours == ["rgb(0,0,175)", "rgb(0,0,175)"]
    assert await first.first.evaluate("one => getComputedStyle(one).color") != (
        await log.pane.evaluate("one => getComputedStyle(one).color")
    )
    await log.see("nothing of that is seen")


async def test_a_hundred_thousand_lines_are_smooth(log: LogPage, mixed: str) -> None:
    await log.visit(mixed)
    await log.has_ended()
    ingest, frame, rows = await log.page.evaluate(_HUNDRED_THOUSAND)
    print(f"ingest {ingest / 1000:.2f} s, tail frame p95 {frame:.1f} ms, {rows} rows")
    assert rows < 200
    # Three times what two cores take that have eight others to serve; one element a line takes 19 s
    # and 747 ms.
    assert ingest < 4_000
    assert frame < 150
