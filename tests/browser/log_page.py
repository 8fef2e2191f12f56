"""The page of the previews, as tests read and work it."""

from typing import Any

from playwright.async_api import Locator, Page

# Only the rows in sight are in the document: whoever wants all of them scrolls through.
_COLLECT = """async () => {
    const pane = document.getElementById("log");
    const frame = () => new Promise((done) => requestAnimationFrame(() => done()));
    const rows = new Map();
    pane.scrollTop = 0;
    for (;;) {
        await frame();
        await frame();
        for (const row of document.querySelectorAll("#log .row")) {
            const { top } = row.getBoundingClientRect();
            rows.set(Math.round(top + pane.scrollTop), row.querySelector(".text").textContent);
        }
        if (pane.scrollTop + pane.clientHeight >= pane.scrollHeight - 1) break;
        pane.scrollTop += pane.clientHeight;
    }
    return [...rows].sort(([a], [b]) => a - b).map(([, text]) => text);
}"""


class LogPage:
    """One visit."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.pill = page.locator("#connection")
        self.outcome = page.locator("#outcome")
        self.jump = page.locator("#jump")
        self.stop = page.get_by_role("button", name="Stop", exact=True)

    async def visit(self, id: str | None = None) -> None:
        """Open the page, of one preview or of the one that it chooses."""
        await self.page.goto(f"{self.url}/previews" + (f"?preview={id}" if id else ""))

    def row(self, text: str) -> Locator:
        """Return the row in sight with exactly this text."""
        return self.page.locator("#log .row").filter(
            has=self.page.locator(".text").get_by_text(text, exact=True)
        )

    async def see(self, text: str) -> None:
        """Wait until a row in sight has exactly this text."""
        await self.row(text).first.wait_for()

    async def state(self, name: str) -> None:
        """Wait until the connection is in this state."""
        await self.page.locator(f"#connection[data-state={name}]").wait_for()

    async def has_ended(self) -> None:
        """Wait until the log has."""
        await self.state("ended")

    async def count(self, of: str, at_least: int) -> int:
        """Wait until the page counts so many ``lines``, ``planned`` ends or ``cuts``."""
        found = await self.page.wait_for_function(
            """([id, least]) => {
                const text = document.getElementById(id).textContent;
                const count = parseInt(text.replaceAll(",", ""));
                return count >= least ? String(count) : null;
            }""",
            arg=[of, at_least],
        )
        return int(await found.json_value())

    async def rows(self) -> list[str]:
        """Return the text of all rows, from first to last; the page no longer follows then."""
        collected: list[Any] = await self.page.evaluate(_COLLECT)
        return [str(text) for text in collected]

    async def lines(self, prefix: str) -> list[int]:
        """Return the numbers of all lines that are ``prefix`` and a number."""
        texts = [text for text in await self.rows() if text.startswith(prefix)]
        return [int(text.removeprefix(prefix)) for text in texts]
