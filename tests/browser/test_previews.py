"""A process's log on its page: all of it, each line once, whatever happens in between."""

import asyncio
import contextlib
import os
import re
import signal
import time

import pytest
from playwright.async_api import expect

from tests.browser.child import BURST
from tests.browser.log_page import LogPage
from tests.browser.proxy import Proxy
from tests.browser.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WAIT_SECONDS = 20.0


def ids_received(proxy: Proxy) -> list[str]:
    """Return the ids of the log's events in the order in which they went to the browser."""
    frames = bytes(proxy.received).split(b"\n\n")
    found = [re.search(rb"^id: (\S+)\nevent: (?!stream)", f, re.MULTILINE) for f in frames]
    return [f[1].decode() for f in found if f]


async def gone(pid: int) -> None:
    """Wait until there is no such process."""
    async with asyncio.timeout(WAIT_SECONDS):
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.kill(pid, 0)
                await asyncio.sleep(0.05)


async def test_a_running_preview_is_followed_across_planned_ends(
    log: LogPage, server: Server, proxy: Proxy
) -> None:
    await server.preview("ticks")
    await log.visit()
    await expect(log.pill).to_have_text("Live")
    await log.count("planned", 3)
    await log.stop.click()
    await log.has_ended()
    numbers = await log.lines("tick ")
    assert len(numbers) > 60
    assert numbers == list(range(1, len(numbers) + 1))
    assert await log.count("cuts", 0) == 0
    # The server was asked for exactly what had not come: the page has nothing to drop.
    ids = ids_received(proxy)
    assert len(ids) == len(set(ids))
    cursors = [leg.cursor or "" for leg in proxy.legs()]
    assert cursors[0] == ""
    resumed = [cursor for cursor in cursors if cursor in ids]
    assert len(resumed) >= 3
    assert resumed == sorted(set(resumed))


async def test_a_cut_within_a_line_loses_and_repeats_nothing(
    log: LogPage, server: Server, proxy: Proxy
) -> None:
    # Half a second: what is drawn by chance may be too short to be seen.
    await log.page.add_init_script("Math.random = () => 0.5")
    await server.preview("ticks")
    await log.visit()
    await log.see("tick 5")
    legs = len(proxy.legs())
    proxy.cut_in_frame()
    await log.state("reconnecting")
    await expect(log.pill).to_contain_text("Reconnecting, attempt 1 of 10")
    await log.state("connected")
    assert await log.count("cuts", 1) == 1
    before = ids_received(proxy)
    assert proxy.legs()[legs].cursor in before
    await log.stop.click()
    await log.has_ended()
    numbers = await log.lines("tick ")
    assert numbers == list(range(1, len(numbers) + 1))
    ids = ids_received(proxy)
    assert len(ids) == len(set(ids))


async def test_a_reload_shows_the_whole_log_again(log: LogPage, server: Server) -> None:
    await server.preview("ticks")
    await log.visit()
    await log.see("tick 20")
    await log.page.reload()
    await log.see("tick 40")
    await log.stop.click()
    await log.has_ended()
    numbers = await log.lines("tick ")
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_killed_server_takes_its_process_along_and_the_log_says_so(
    log: LogPage, server: Server, proxy: Proxy
) -> None:
    await server.preview("ticks")
    await log.visit()
    await log.see("tick 20")
    (started,) = [text for text in await log.rows() if " started as process " in text]
    pid = int(started.split()[4].rstrip(","))
    legs = len(proxy.legs())
    await server.end(signal.SIGKILL)
    await log.state("reconnecting")
    await gone(pid)
    await server.start()
    await log.has_ended()
    assert proxy.legs()[legs].cursor in ids_received(proxy)
    rows = await log.rows()
    assert "gone" in rows[-1]
    numbers = await log.lines("tick ")
    assert len(numbers) >= 20
    assert numbers == list(range(1, len(numbers) + 1))
    await expect(log.outcome).to_contain_text("lost")
    await expect(log.page.locator("#previews li")).to_contain_text("lost")
    await log.page.reload()
    await log.has_ended()
    assert await log.lines("tick ") == numbers


async def test_stopping_ends_the_process_and_the_log(log: LogPage, server: Server) -> None:
    await server.preview("quiet")
    await log.visit()
    await log.see("here")
    await expect(log.outcome).to_contain_text("running for")
    await log.stop.click()
    await log.has_ended()
    await expect(log.outcome).to_contain_text(re.compile(r"ended by SIGTERM after \d"))
    await expect(log.stop).to_be_hidden()


async def test_a_preview_is_started_and_chosen_with_the_keyboard_alone(
    log: LogPage, server: Server
) -> None:
    first = await server.preview("quiet")
    await log.visit()
    await log.see("here")
    button = log.page.get_by_role("button", name="Start shapes")
    for _ in range(20):
        await log.page.keyboard.press("Tab")
        if await button.evaluate("button => button === document.activeElement"):
            break
    await log.page.keyboard.press("Enter")
    await log.see("last line")
    assert f"preview={first}" not in log.page.url
    link = log.page.locator(f'#previews li[data-id="{first}"] a')
    for _ in range(20):
        await log.page.keyboard.press("Tab")
        if await link.evaluate("link => link === document.activeElement"):
            break
    await log.page.keyboard.press("Enter")
    await log.see("here")
    assert f"preview={first}" in log.page.url
    await log.page.go_back()
    await log.see("last line")


async def test_what_the_process_writes_is_text_and_nothing_else(
    log: LogPage, server: Server
) -> None:
    await log.visit(await server.preview("shapes"))
    await log.has_ended()
    rows = await log.rows()
    markup = "<script>document.title = 'taken'</script>"
    assert any(text.startswith(markup) for text in rows)
    assert await log.page.title() != "taken"
    assert await log.page.locator("#log :is(script, img, b, [style*=color])").count() == 0
    await log.page.locator("#log").evaluate("pane => { pane.scrollTop = 0 }")
    red = log.page.locator("#log .ansi-red-fg", has_text="red <b>")
    await expect(red).to_be_visible()
    await expect(log.page.locator("#log .bold.ansi-red-fg")).to_have_text("bold")
    orange = log.page.locator("#log .fg")
    assert await orange.evaluate("e => e.style.getPropertyValue('--fg')") == "rgb(255,140,0)"
    await expect(log.row("and goes on here").locator(".ansi-green-fg")).to_be_visible()


async def test_every_shape_of_line(log: LogPage, server: Server) -> None:
    await log.visit(await server.preview("shapes"))
    await log.has_ended()
    rows = await log.rows()
    assert "done 100%" in rows
    assert not any("10%" in text or "60%" in text for text in rows)
    assert "name? answered" in rows
    assert "long " + "x" * 30_000 + " end" in "".join(rows)
    await expect(log.outcome).to_contain_text(re.compile(r"exited with code 3 after \d"))
    assert rows[-1].startswith("exited with code 3")
    marked = log.row("a warning")
    await expect(marked.locator(".mark")).to_have_text("err")


async def test_numbers_and_marks_are_not_copied(log: LogPage, server: Server) -> None:
    await log.visit(await server.preview("shapes"))
    await log.has_ended()
    await log.see("a warning")
    copied = await log.page.evaluate(
        """() => {
            getSelection().selectAllChildren(document.querySelector("#log .log-window"));
            return getSelection().toString();
        }"""
    )
    lines = [line.strip() for line in copied.splitlines()]
    assert "a warning" in lines
    assert "last line" in lines
    assert "err" not in lines
    number = await log.row("a warning").locator(".number").get_attribute("data-number")
    assert number and number not in lines


async def test_a_burst_of_lines(log: LogPage, server: Server) -> None:
    began = time.monotonic()
    await log.visit(await server.preview("burst"))
    assert await log.count("lines", BURST) == BURST
    await log.has_ended()
    print(f"{BURST} lines took {time.monotonic() - began:.1f} s")
    await log.see(f"line {BURST}")
    assert await log.page.locator("#log .row").count() < 200
    for number in (1, BURST // 2, BURST - 40):
        await log.page.locator("#log").evaluate(
            "(pane, at) => { pane.scrollTop = pane.scrollHeight * at }", (number - 1) / BURST
        )
        row = log.row(f"line {number}")
        await row.wait_for()
        assert await row.locator(".number").get_attribute("data-number") == str(number)


async def test_who_scrolls_up_is_left_in_peace(log: LogPage, server: Server) -> None:
    await server.preview("ticks")
    await log.visit()
    await log.see("tick 60")
    await log.page.locator("#log").hover()
    await log.page.mouse.wheel(0, -400)
    await expect(log.jump).to_have_text(re.compile(r"\d+ new: jump to latest"))
    top = await log.page.locator("#log").evaluate("pane => pane.scrollTop")
    await expect(log.jump).to_have_text(re.compile(r"[23]\d new: jump to latest"))
    assert await log.page.locator("#log").evaluate("pane => pane.scrollTop") == top
    await log.jump.click()
    await expect(log.jump).to_be_hidden()
    seen = await log.count("lines", 0)
    await log.see(f"tick {seen + 20}")
    await log.page.locator("#log").focus()
    await log.page.keyboard.press("Home")
    await expect(log.jump).to_be_visible()
    await log.page.keyboard.press("End")
    await expect(log.jump).to_be_hidden()


async def test_lost_history_is_marked(log: LogPage, server: Server) -> None:
    server.environ["LASTEVENT_RETENTION"] = "preview:*=7d,100"
    await server.end(signal.SIGTERM)
    await server.start()
    id = await server.preview("burst")
    await log.visit()
    await log.has_ended()
    await log.visit(id)
    await log.has_ended()
    rows = await log.rows()
    assert "no longer kept" in rows[0]
    numbers = await log.lines("line ")
    assert numbers == list(range(numbers[0], BURST + 1))
    assert numbers[0] > 1


async def test_a_preview_that_does_not_exist_is_told(log: LogPage, server: Server) -> None:
    await log.visit("none-such")
    await log.state("disconnected")
    await expect(log.page.locator("#reason")).to_contain_text("none-such")
    await expect(log.page.get_by_role("button", name="Reconnect now")).to_be_visible()


async def test_after_ten_attempts_the_reader_decides(log: LogPage, server: Server) -> None:
    await server.preview("quiet")
    await log.page.clock.install()
    await log.visit()
    await log.see("here")
    await server.end(signal.SIGTERM)
    async with asyncio.timeout(WAIT_SECONDS):
        while await log.pill.get_attribute("data-state") != "disconnected":
            await log.page.clock.run_for(30_000)
    # The clock runs ahead of the requests: what the last of them met is either.
    met = re.compile("cannot be reached|nothing was heard")
    await expect(log.page.locator("#reason")).to_contain_text(met)
    await server.start()
    await log.page.get_by_role("button", name="Reconnect now").click()
    await log.page.clock.resume()
    await log.has_ended()
