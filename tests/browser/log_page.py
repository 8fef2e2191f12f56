"""A page with a log, of a preview or a deployment, as tests read and work it."""

from typing import Any

from playwright.async_api import Locator, Page

# Only the rows in sight are in the document: whoever wants all of them scrolls through.
_COLLECT = """async () => {
    const pane = document.getElementById("log");
    const frame = () => new Promise((done) => requestAnimationFrame(() => done()));
    const rows = new Map();
    // What was asked of the page before may still scroll.
    await frame();
    await frame();
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

    def __init__(self, page: Page, url: str, path: str = "/previews?preview=") -> None:
        self.page = page
        self.url = url
        self._path = path
        self.pill = page.locator("#connection")
        self.outcome = page.locator("#outcome")
        self.jump = page.locator("#jump")
        self.stop = page.get_by_role("button", name="Stop", exact=True)
        self.pane = page.locator("#log")
        self.search = page.get_by_role("searchbox")
        self.found = page.locator(".log-search .count")
        self.said = page.locator(".log-said")
        self.errors_only = page.get_by_role("button", name="Errors only")
        self.first_error = page.get_by_role("button", name="First error")
        self.wrap = page.get_by_role("button", name="Wrap")
        self.times = page.get_by_label("Times of the lines")

    async def visit(self, id: str | None = None, lines: str = "") -> None:
        """Open the page, at one log and the ``lines`` of it, or at the log that it chooses."""
        path = self._path + id if id else self._path.partition("?")[0]
        await self.page.goto(self.url + path + lines)

    def row(self, text: str) -> Locator:
        """Return the row in sight with exactly this text."""
        return self.page.locator("#log .row").filter(
            has=self.page.locator(".text").get_by_text(text, exact=True)
        )

    async def see(self, text: str) -> None:
        """Wait until a row in sight has exactly this text."""
        await self.row(text).first.wait_for()

    def number(self, number: int) -> Locator:
        """Return the number of a line in sight."""
        return self.page.locator(f'#log .number[data-number="{number}"]')

    async def in_sight(self, number: int) -> None:
        """Wait until a line is within the pane."""
        await self.page.wait_for_function(
            """(number) => {
                const row = document.querySelector(`#log .number[data-number="${number}"]`);
                if (!row) return false;
                const pane = document.getElementById("log").getBoundingClientRect();
                const { top, bottom } = row.getBoundingClientRect();
                return top >= pane.top - 1 && Math.min(bottom, top + 20) <= pane.bottom + 1;
            }""",
            arg=number,
        )

    async def marked(self) -> list[int]:
        """Return the numbers of the lines in sight that a link has marked."""
        found = await self.page.locator("#log .row.marked .number[data-number]").evaluate_all(
            "all => all.map((one) => Number(one.dataset.number))"
        )
        return [int(number) for number in found]

    async def downloaded(self) -> str:
        """Return the text of the file that Download saves."""
        async with self.page.expect_download() as saving:
            await self.page.get_by_role("button", name="Download").click()
        path = await (await saving.value).path()
        return path.read_text(encoding="utf-8")

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
