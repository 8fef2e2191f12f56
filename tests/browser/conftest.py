"""A real server, a real Chromium, and a network between them that can be made to fail."""

import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from tests.browser.log_page import LogPage
from tests.browser.proxy import Proxy
from tests.browser.server import Server

ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
EXPECT_MS = 15_000
expect.set_options(timeout=EXPECT_MS)
NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """Where the system's Chromium is."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    assert path, "there is no Chromium: make prerequisites"
    return path


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium, one for all tests."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page of its own context; the test fails if it logs an error or breaks its policy."""
    context = await browser.new_context(viewport={"width": 1100, "height": 700})
    context.set_default_timeout(EXPECT_MS)
    page = await context.new_page()
    faults: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        # Requests that fail are logged by the browser itself; tests make them fail.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            faults.append(message.text)

    page.on("console", on_console)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    await context.close()
    assert faults == []


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("LASTEVENT_"):
            monkeypatch.delenv(name)


@pytest_asyncio.fixture(loop_scope="session")
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server that runs."""
    server = Server(tmp_path)
    await server.start()
    yield server
    await server.end(signal.SIGTERM)


@pytest_asyncio.fixture(loop_scope="session")
async def log(page: Page, proxy: Proxy) -> LogPage:
    """The page of the previews, reached through the proxy."""
    return LogPage(page, proxy.url)


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    """The network before the server."""
    async with Proxy(server.port) as proxy:
        yield proxy
