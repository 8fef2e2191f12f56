"""The pages themselves: who one is, what everybody can use, and what fits a narrow screen."""

import signal
from typing import Any, Literal

import pytest
from playwright.async_api import Page, expect

from tests.browser.log_page import LogPage
from tests.browser.server import Server
from tests.project.tree import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
PATHS = ("/", "/login", "/previews")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


async def check_with_axe(page: Page) -> list[Any]:
    """Return what axe-core finds: the rule, and where."""
    await page.evaluate(AXE.read_text())
    found: list[Any] = await page.evaluate("axe.run().then(({ violations }) => violations)")
    return [(it["id"], [node["html"] for node in it["nodes"]]) for it in found]


async def settle(log: LogPage, path: str) -> None:
    """Visit a page and wait until it shows what it has."""
    await log.page.goto(log.url + path)
    if path == "/previews":
        await log.has_ended()
        await log.see("last line")
    elif path == "/login":
        await expect(log.page.get_by_role("button", name="Rita Reader")).to_be_visible()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("path", PATHS)
async def test_axe_finds_nothing(
    log: LogPage, server: Server, path: str, scheme: Literal["light", "dark"]
) -> None:
    await server.preview("shapes")
    await log.page.emulate_media(color_scheme=scheme)
    await settle(log, path)
    assert await check_with_axe(log.page) == []


async def test_axe_finds_what_is_there(log: LogPage) -> None:
    await log.page.goto(log.url)
    await log.page.evaluate("document.querySelector('.lead').style.color = '#bbb'")
    assert [rule for rule, _ in await check_with_axe(log.page)] == ["color-contrast"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_narrow_screen_scrolls_one_way_only(
    log: LogPage, server: Server, path: str
) -> None:
    await server.preview("shapes")
    await log.page.set_viewport_size({"width": 320, "height": 640})
    await settle(log, path)
    assert await log.page.evaluate("document.documentElement.scrollWidth") == 320


async def test_the_front_page_names_the_server_that_it_came_from(
    page: Page, server: Server
) -> None:
    await page.goto(server.url)
    await expect(page.locator("pre").first).to_contain_text(f"curl -N {server.url}/api/streams/")


async def test_signing_in_as_somebody_else(log: LogPage) -> None:
    page = log.page
    await page.goto(f"{log.url}/login")
    who = page.locator("#who")
    await expect(who).to_have_text("You are Developer.")
    reader = page.get_by_role("button", name="Rita Reader")
    await reader.click()
    await expect(who).to_have_text("You are Rita Reader.")
    await expect(reader).to_have_attribute("aria-pressed", "true")
    await page.reload()
    await expect(who).to_have_text("You are Rita Reader.")
    await log.visit()
    await expect(page.get_by_role("button", name="Start shapes")).to_have_count(0)
    await page.goto(f"{log.url}/login")
    await page.get_by_role("button", name="Sign out").click()
    await expect(who).to_have_text("You are Developer.")


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
