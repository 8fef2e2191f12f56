"""The page of the connection test, as tests read and work it."""

import re

from playwright.async_api import Locator, Page, expect

from tests.browser.proxy import Proxy, Request

_ID = re.compile(rb"^id: (\S+)\nevent: (\S+)\ndata: (.*)$", re.MULTILINE)


class TrialPage:
    """One visit, through ``network``."""

    def __init__(self, page: Page, network: Proxy) -> None:
        self.page = page
        self.network = network
        self.start = page.get_by_role("button", name=re.compile("^Start"))
        self.stop = page.get_by_role("button", name="Stop")
        self.outcomes = page.locator("#outcomes li")
        self.legs = page.locator("#legs li")
        self.rows = page.locator("#raw .row")

    async def begin(self, pace: str = "10") -> None:
        """Start a test, and wait until its numbers come."""
        await self.page.goto(f"{self.network.url}/test-sse")
        await self.page.get_by_label("Numbers a second").select_option(pace)
        await self.start.click()

    async def flows(self, numbers: int) -> None:
        """Wait until the page was given so many numbers."""
        await self.page.wait_for_function(
            "count => Number(document.querySelector('#readers td')?.textContent) >= count",
            arg=numbers,
        )

    def finding(self, name: str) -> Locator:
        """Return a card."""
        return self.page.locator(".finding").filter(has=self.page.get_by_text(name, exact=True))

    async def says(self, name: str, word: str | re.Pattern[str]) -> None:
        """Wait until a card has this verdict."""
        await expect(self.finding(name).locator(".badge")).to_have_text(word)

    async def is_whole(self) -> None:
        """Nothing is missing, nothing doubled, all in order: of what the page was given and of what
        came over the wire."""
        await self.says("Proof of resume", "Whole")
        await expect(self.finding("Proof of resume")).to_contain_text("missing 0, doubled 0")
        await expect(self.finding("Proof of resume")).to_contain_text("out of order 0")

    async def press(self, fault: str) -> str:
        """Press a button, and return what came of it."""
        count = await self.outcomes.count()
        await self.button(fault).click()
        await expect(self.outcomes).to_have_count(count + 1, timeout=30_000)
        return await self.outcomes.first.inner_text()

    def button(self, fault: str) -> Locator:
        """Return the button of a fault."""
        return self.page.locator("#faults").get_by_role("button", name=re.compile(f"^{fault}\\b"))

    async def reader(self, measure: str) -> list[str]:
        """Return what is said of this page and of the EventSource."""
        row = self.page.locator("#readers tr").filter(
            has=self.page.get_by_role("rowheader", name=measure, exact=True)
        )
        return await row.locator("td").all_text_contents()

    def asked(self) -> list[Request]:
        """Return the page's own requests for the stream, as they went to the server."""
        return self.network.legs("reader=page")

    def sent(self, kind: str) -> dict[str, str]:
        """Return the ids of events that went to the browser, to any reader, and their data."""
        found = _ID.findall(bytes(self.network.received))
        return {id.decode(): data.decode() for id, type, data in found if type.decode() == kind}
