"""What holds for every page: anybody can use it, on any screen, and it keeps to its policy."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from infra.scenes import Scene, Stage, stage
from tests.browser.visits import ENVIRON, VISITS
from tests.project.tree import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"

# What the keyboard must get to: all that can be used and is in sight. Of radio buttons one is.
_FOCUSABLE = """() => {
    const all = [...document.querySelectorAll(
        "a[href], button, input, select, textarea, summary, [tabindex='0']")];
    const seen = all.filter((one) => !one.disabled && one.tabIndex >= 0 && one.type !== "radio"
        && one.checkVisibility({ checkVisibilityCSS: true, checkOpacity: false }));
    seen.forEach((one, place) => (one.dataset.place = place));
    return seen.map((one) => one.outerHTML.slice(0, 120));
}"""
# What can be scrolled sideways, and is neither code nor a log.
_SIDEWAYS = """() => [...document.querySelectorAll("*")].filter((one) =>
    one.scrollWidth > one.clientWidth && !one.matches("pre, [role=log], input, textarea")
    && ["auto", "scroll"].includes(getComputedStyle(one).overflowX))
    .map((one) => one.outerHTML.slice(0, 120))"""
_FOCUSED = """() => {
    const one = document.activeElement;
    const { outlineStyle } = getComputedStyle(one);
    return [one.dataset.place ?? null, outlineStyle !== "none"];
}"""


class Site:
    """A stage with all scenes set, and the pages to visit there."""

    def __init__(self, stage: Stage, addresses: dict[str, str]) -> None:
        self.url = stage.url
        self._stage = stage
        self._addresses = addresses

    async def visit(self, page: Page, scene: Scene) -> None:
        """Go to a page, and wait until it shows what it has."""
        await scene.enter(page, self._stage, self._addresses[scene.name])


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """One site for all visits."""
    async with stage(tmp_path_factory.mktemp("site"), ENVIRON) as set_up:
        yield Site(set_up, {scene.name: await scene.set(set_up) for scene in VISITS})


visits = pytest.mark.parametrize("scene", VISITS, ids=lambda scene: scene.page)


async def check_with_axe(page: Page) -> list[Any]:
    """Return what axe-core finds: the rule, and where."""
    await page.evaluate(AXE.read_text())
    # Targets of 24 px are off by default, since not everybody asks for that much. What is preloaded
    # are copies of imported sheets as inline styles, which the policy of these pages forbids.
    options = {"rules": {"target-size": {"enabled": True}}, "preload": False}
    run = "options => axe.run(options).then(({ violations }) => violations)"
    found: list[Any] = await page.evaluate(run, options)
    return [(it["id"], [node["html"] for node in it["nodes"]]) for it in found]


async def out_of_reach(page: Page) -> list[str]:
    """Return what the keyboard does not get to, or has no outline when it does."""
    wanted: list[str] = await page.evaluate(_FOCUSABLE)
    missing = set(range(len(wanted)))
    await page.evaluate("document.activeElement.blur()")
    for _ in range(len(wanted) + 10):
        await page.keyboard.press("Tab")
        place, has_outline = await page.evaluate(_FOCUSED)
        if place is not None and has_outline:
            missing.discard(int(place))
    return [wanted[place] for place in sorted(missing)]


@visits
async def test_a_light_wide_screen_without_a_mouse(page: Page, site: Site, scene: Scene) -> None:
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    await site.visit(page, scene)
    assert await check_with_axe(page) == []
    assert re.fullmatch(r"(.+ · )?Lastevent", await page.title())
    await expect(page.locator("h1")).to_have_count(1)
    await expect(page.locator("main")).to_have_count(1)
    running = "document.getAnimations().filter(({ playState }) => playState === 'running').length"
    assert await page.evaluate(running) == 0
    assert await out_of_reach(page) == []


@visits
async def test_a_dark_narrow_screen(page: Page, site: Site, scene: Scene) -> None:
    await page.emulate_media(color_scheme="dark")
    await page.set_viewport_size({"width": 320, "height": 640})
    await site.visit(page, scene)
    assert await page.evaluate("document.documentElement.scrollWidth") == 320
    assert await page.evaluate(_SIDEWAYS) == []
    assert await check_with_axe(page) == []
    pages = page.get_by_role("navigation", name="Pages")
    await expect(pages).to_be_hidden()
    button = page.get_by_role("button", name="Pages", exact=True)
    await button.press("Enter")
    await expect(pages.get_by_role("link")).to_have_count(len(VISITS) - 1)
    assert await page.evaluate("document.documentElement.scrollWidth") == 320
    await page.keyboard.press("Escape")
    await expect(pages).to_be_hidden()
    await expect(button).to_be_focused()


async def test_axe_finds_what_is_there(page: Page, site: Site) -> None:
    await page.goto(site.url)
    await page.evaluate("""() => {
        document.querySelector(".lead").style.color = "#bbb";
        for (const text of "ab") {
            const button = document.createElement("button");
            Object.assign(button.style, { minHeight: 0, padding: 0, lineHeight: 1 });
            button.textContent = text;
            document.querySelector("main h1").after(button);
        }
        document.querySelector("main").style.gap = 0;
    }""")
    found = [rule for rule, _ in await check_with_axe(page)]
    assert sorted(found) == ["color-contrast", "target-size"]


async def test_what_the_policy_forbids_is_noticed(browser: Browser, site: Site) -> None:
    page = await browser.new_page()
    await page.goto(site.url)
    async with page.expect_console_message(lambda said: said.type == "error"):
        await page.evaluate("""() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'taken'";
            document.body.append(script);
        }""")
    assert await page.title() == "Lastevent"
    await page.close()
