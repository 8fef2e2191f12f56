"""A site is published on its page, its build followed to the end, and its project handed over."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, Request, expect

from infra.local.vercel_api import VercelApi
from tests.browser.log_page import LogPage
from tests.browser.proxy import Proxy
from tests.browser.server import Server, serving
from tests.browser.test_pages import check_with_axe

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

READY_MS = 30_000
SITE = {"name": "hello", "files": [{"file": "index.html", "data": "<h1>Hello</h1>"}]}
PICTURE = bytes(range(256))


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VercelApi]:
    """The vendor's API."""
    with VercelApi(tmp_path_factory.mktemp("vercel")) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def grounds(
    vendor: VercelApi, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    """One server for the tests: each has deployments of its own."""
    async with serving(tmp_path_factory.mktemp("server"), vendor.environment) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(grounds: Server) -> AsyncIterator[Proxy]:
    """The network before the server."""
    async with Proxy(grounds.port) as proxy:
        yield proxy


class DeploymentPage(LogPage):
    """One visit of the page of the deployments."""

    def __init__(self, page: Page, url: str) -> None:
        super().__init__(page, url, "/deployments?deployment=")
        self.opener = page.get_by_role("button", name="Publish a site")
        self.dialog = page.get_by_role("dialog", name="Publish a site")
        self.publish = self.dialog.get_by_role("button", name=re.compile("Publish"))
        self.badge = page.locator("#state")
        self.claim = page.get_by_role("button", name="Hand over")
        self.problem = page.locator("#problem")
        self.list = page.locator("#deployments li")

    @property
    def asked(self) -> Locator:
        """The field that takes an id or a host."""
        return self.page.get_by_label("Follow one by its id or host")


@pytest_asyncio.fixture(loop_scope="session")
async def site(page: Page, proxy: Proxy) -> DeploymentPage:
    """The page, reached through the proxy."""
    return DeploymentPage(page, proxy.url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A site, and what is no part of it."""
    root = tmp_path / "My Shop"
    for name, content in {
        "index.html": "<h1>Grüße</h1>".encode(),
        "img/logo.png": PICTURE,
        ".git/config": b"[core]",
        "node_modules/left/pad.js": b"",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def bodies(page: Page) -> list[dict[str, Any]]:
    """Return the list to which what the page publishes is added."""
    found: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/api/deploy/vercel"):
            found.append(json.loads(request.post_data or ""))

    page.on("request", note)
    return found


def ids_received(proxy: Proxy) -> list[str]:
    """Return the ids of the events that went to the browser, in their order."""
    frames = bytes(proxy.received).split(b"\n\n")
    found = [re.search(rb"^id: (\S+)\nevent: (?!stream)", f, re.MULTILINE) for f in frames]
    return [f[1].decode() for f in found if f]


async def true_lines(vendor: VercelApi, id: str) -> list[str]:
    """Return the text of all lines that a deployment's log must have."""
    truth = await vendor.truth(id)
    kinds = {"command", "fatal", "stderr", "stdout"}
    return [re.sub(r"\x1b\[\d*m", "", line.text) for line in truth.lines if line.type in kinds]


def built(rows: list[str]) -> list[str]:
    """Return rows without what is made of the deployment's state."""
    return [row for row in rows if row != "Ready." and not row.startswith("Assigned to ")]


def id_of(page: Page) -> str:
    """Return the id in the page's address."""
    return page.url.partition("deployment=")[2].partition("#")[0]


async def test_a_folder_is_published_and_its_build_followed_to_the_end(
    site: DeploymentPage, vendor: VercelApi, folder: Path, proxy: Proxy
) -> None:
    await vendor.play_next("next", speed=8)
    sent = bodies(site.page)
    await site.visit()
    await expect(site.page.locator("#nothing")).to_contain_text("Publish a site")
    await site.opener.click()
    await site.dialog.get_by_label("Choose a folder").set_input_files(folder)
    chosen = site.page.locator("#chosen")
    await expect(chosen).to_contain_text("2 files of My Shop, 1 kB; 2 left out")
    await expect(site.dialog.get_by_label("Name of the project")).to_have_value("my-shop")
    await site.publish.click()
    await expect(site.badge).to_have_text(re.compile(r"\w+ \d+ %"))
    await expect(site.page.get_by_role("progressbar")).to_have_js_property("max", 100)
    await expect(site.page).to_have_title(re.compile(r"\d+ % · my-shop: build"))
    await expect(site.dialog).to_be_hidden()
    await expect(site.badge).to_have_text("Ready", timeout=READY_MS)
    await expect(site.page.get_by_role("link", name=re.compile("Open my-shop"))).to_have_attribute(
        "href", re.compile(r"^https://my-shop-[\w-]+\.vercel\.app$")
    )
    await expect(site.page.get_by_role("progressbar")).to_be_hidden()
    await expect(site.outcome).to_contain_text(re.compile(r"after \d"))
    files = {file["file"]: file for file in sent[0]["files"]}
    assert files["index.html"] == {"file": "index.html", "data": "<h1>Grüße</h1>"}
    assert files["img/logo.png"]["encoding"] == "base64"
    assert sorted(files) == ["img/logo.png", "index.html"]
    assert sent[0]["target"] == "preview"
    await expect(site.pill).to_have_text("Ended", timeout=READY_MS)
    rows = await site.rows()
    assert rows[-1] == "Ready."
    assert built(rows) == await true_lines(vendor, id_of(site.page))
    # Over planned ends, the server was asked for exactly what had not come.
    assert await site.count("planned", 2) >= 2
    assert await site.count("cuts", 0) == 0
    ids = ids_received(proxy)
    assert len(ids) == len(set(ids))
    cursors = [leg.cursor or "" for leg in proxy.legs()]
    assert cursors == sorted(cursors)
    assert any(cursor in ids for cursor in cursors)


async def test_a_cut_within_a_line_loses_and_repeats_nothing(
    site: DeploymentPage, vendor: VercelApi, proxy: Proxy
) -> None:
    made = await vendor.deploy("next", speed=15)
    await site.visit(made.id)
    await site.page.locator("#log .row.command").first.wait_for()
    legs = len(proxy.legs())
    proxy.cut_in_frame()
    await site.count("cuts", 1)
    received = ids_received(proxy)
    assert proxy.legs()[legs].cursor in received
    # The last line of all; the log ends some seconds later.
    await site.see("Build cache uploaded: 1.861s")
    assert built(await site.rows()) == await true_lines(vendor, made.id)
    ids = ids_received(proxy)
    assert len(ids) == len(set(ids))


async def test_files_are_dropped(site: DeploymentPage, vendor: VercelApi, folder: Path) -> None:
    sent = bodies(site.page)
    await vendor.play_next("next", speed=400)
    await site.visit()
    session = await site.page.context.new_cdp_session(site.page)
    # As by hand: onto the page, whose dialog opens.
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        await session.send(
            "Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 400, "data": data}
        )
    await expect(site.dialog).to_be_visible()
    await expect(site.page.locator("#chosen")).to_contain_text("2 files of My Shop")
    await site.publish.click()
    await expect(site.dialog).to_be_hidden()
    assert sorted(file["file"] for file in sent[0]["files"]) == ["img/logo.png", "index.html"]


async def test_a_git_source_is_published_with_the_keyboard_alone(
    site: DeploymentPage, vendor: VercelApi
) -> None:
    sent = bodies(site.page)
    await vendor.play_next("next", speed=400)
    await site.visit()
    await reach(site.page, site.opener)
    await site.page.keyboard.press("Enter")
    await expect(site.dialog).to_be_visible()
    await site.page.keyboard.press("Escape")
    await expect(site.dialog).to_be_hidden()
    await expect(site.opener).to_be_focused()
    await site.page.keyboard.press("Enter")
    await reach(site.page, site.dialog.get_by_label("Files", exact=True))
    await site.page.keyboard.press("ArrowRight")
    await reach(site.page, site.dialog.get_by_label("Repository", exact=True))
    await site.page.keyboard.type("https://bitbucket.org/team/website.git")
    await expect(site.dialog.get_by_label("Host")).to_have_value("bitbucket")
    await reach(site.page, site.dialog.get_by_label("Name of the project"))
    await site.page.keyboard.type("website")
    await site.page.keyboard.press("Enter")
    await expect(site.dialog).to_be_hidden()
    source = {"type": "bitbucket", "owner": "team", "slug": "website", "ref": "main"}
    assert sent == [{"name": "website", "gitSource": source, "target": "preview"}]
    await expect(site.page.locator("#title")).to_have_text("website")


async def reach(page: Page, element: Locator) -> None:
    """Go to an element by the keyboard."""
    for _ in range(25):
        if await element.evaluate("one => one === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError("the keyboard does not get there")


async def test_what_is_refused_is_told_in_the_dialog(site: DeploymentPage) -> None:
    await site.visit()
    await site.opener.click()
    refused = site.page.locator("#refused")
    await site.dialog.get_by_label("Name of the project").fill("a---b")
    await site.publish.click()
    await expect(refused).to_have_text("Drop or choose the files of the site first.")
    await site.dialog.get_by_label("Git repository").check()
    await site.dialog.get_by_label("Repository", exact=True).fill("only-a-name")
    await site.publish.click()
    await expect(refused).to_have_text("Write the repository as owner/repository.")
    await site.dialog.get_by_label("Repository", exact=True).fill("acme/site")
    await site.publish.click()
    await expect(refused).to_contain_text("three hyphens")
    await expect(site.publish).to_be_enabled()


async def test_a_failed_build_says_why_and_where(site: DeploymentPage, vendor: VercelApi) -> None:
    made = await vendor.deploy("failing", speed=10, age=600, name="broken")
    await site.visit(made.id)
    await expect(site.badge).to_have_text("Failed")
    await expect(site.page.locator("#error")).to_have_text('Command "npm run build" exited with 1')
    await site.has_ended()
    assert "Failed: Command" in (await site.rows())[-1]
    await site.first_error.click()
    current = site.page.locator("#log .row.current")
    await expect(current.locator(".text")).to_have_text("Failed to compile.")
    await expect(current.locator(".mark")).to_have_text("err")
    await expect(site.claim).to_be_hidden()
    assert await check_with_axe(site.page) == []
    await site.page.set_viewport_size({"width": 320, "height": 640})
    assert await site.page.evaluate("document.documentElement.scrollWidth") == 320
    await site.opener.click()
    await expect(site.dialog).to_be_visible()
    assert await site.page.evaluate("document.documentElement.scrollWidth") == 320
    assert await check_with_axe(site.page) == []


async def test_a_project_is_handed_over_by_a_link(
    site: DeploymentPage, vendor: VercelApi, grounds: Server
) -> None:
    await site.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await vendor.play_next("next", speed=400)
    published = await grounds.publish_site(SITE)
    foreign = await vendor.deploy("next", speed=400, age=600, name="foreign")
    await site.visit(foreign.id)
    await expect(site.badge).to_have_text("Ready")
    await site.claim.click()
    await expect(site.problem).to_contain_text("can be handed over")
    await site.visit(published)
    await expect(site.badge).to_have_text("Ready", timeout=READY_MS)
    await site.claim.click()
    link = site.page.locator("#claim-link")
    await expect(link).to_be_focused()
    await expect(link).to_have_attribute(
        "href", re.compile(r"^https://vercel\.com/claim-deployment\?code=\S+&returnUrl=http")
    )
    await site.page.get_by_role("button", name="Copy link").click()
    await expect(site.problem).to_have_text("Copied the link.")
    copied = await site.page.evaluate("navigator.clipboard.readText()")
    assert copied == await link.get_attribute("href")


async def test_one_is_found_by_its_host_and_remembered_until_it_is_forgotten(
    site: DeploymentPage, vendor: VercelApi
) -> None:
    made = await vendor.deploy("next", speed=400, age=600, name="landing")
    await site.visit()
    await site.asked.fill("dpl_nothing")
    await site.asked.press("Enter")
    await expect(site.problem).not_to_be_empty()
    await site.asked.fill(f"https://{made.url}/about")
    await site.asked.press("Enter")
    await expect(site.badge).to_have_text("Ready")
    assert id_of(site.page) == made.id
    await expect(site.page.locator("#title")).to_have_text(made.url.partition(".")[0])
    await site.visit()
    await expect(site.list).to_have_count(1)
    await expect(site.list).to_contain_text("Ready")
    await expect(site.page.locator("#title")).to_have_text(made.url.partition(".")[0])
    await site.list.get_by_role("button").press("Enter")
    await expect(site.list).to_have_count(0)
    await expect(site.asked).to_be_focused()
    await expect(site.page.locator("#nothing")).to_be_visible()


async def test_while_the_vendor_is_away_the_page_says_so(
    site: DeploymentPage, vendor: VercelApi
) -> None:
    made = await vendor.deploy("next", speed=2)
    await site.visit(made.id)
    await expect(site.badge).to_have_text(re.compile(r"\w+ \d+ %"))
    try:
        await vendor.fault("status", status=503)
        await expect(site.page.locator("#news")).to_contain_text(
            "Vercel does not answer", timeout=READY_MS
        )
    finally:
        await vendor.clear_faults()
    await expect(site.page.locator("#news")).to_be_empty(timeout=READY_MS)


async def test_the_state_is_told_although_no_log_gets_through(
    site: DeploymentPage, vendor: VercelApi
) -> None:
    made = await vendor.deploy("next", speed=400, age=600, name="quiet")
    await site.page.route("**/stream?*", lambda route: route.abort())
    await site.visit(made.id)
    await expect(site.badge).to_have_text("Ready")
    await expect(site.page.get_by_role("link", name=re.compile("Open quiet"))).to_be_visible()
    await expect(site.page.locator(".log-empty")).to_have_text("Waiting for the first line.")


async def test_who_may_only_read_is_not_offered_more(
    site: DeploymentPage, vendor: VercelApi
) -> None:
    made = await vendor.deploy("next", speed=400, age=600)
    await become(site.page, site.url, "Rita Reader")
    await site.visit(made.id)
    await expect(site.badge).to_have_text("Ready")
    await expect(site.opener).to_be_disabled()
    await expect(site.page.locator("#may-not")).to_be_visible()
    await expect(site.claim).to_be_hidden()
    await become(site.page, site.url, "Clara Client")
    await site.visit(made.id)
    await site.state("denied")
    await expect(site.problem).to_contain_text("may not read")


async def become(page: Page, url: str, name: str) -> None:
    """Sign in as one of development's identities."""
    await page.goto(f"{url}/login")
    button = page.get_by_role("button", name=re.compile(name))
    await button.click()
    await expect(button).to_have_attribute("aria-pressed", "true")


async def test_a_server_without_an_account_says_what_is_missing(page: Page, tmp_path: Path) -> None:
    async with asyncio.timeout(60), serving(tmp_path, {}) as server:
        site = DeploymentPage(page, server.url)
        await site.visit("dpl_1")
        await expect(site.problem).to_contain_text("VERCEL_TOKEN")
        await expect(site.pill).to_have_text("Disconnected")
