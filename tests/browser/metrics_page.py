"""The page of the metrics, as tests read and work it."""

from playwright.async_api import Locator, Page, expect

# The columns of a chart's canvas that hold a colour of the style sheet, or nearly.
_COLUMNS = """([id, name]) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const wanted = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
    probe.remove();
    const canvas = document.querySelector(`#chart-${id} canvas`);
    const { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    const found = [];
    for (let x = 0; x < width; x += 1) {
        for (let y = 0; y < height; y += 1) {
            const at = 4 * (y * width + x);
            const isNear = wanted.every((part, place) => Math.abs(data[at + place] - part) < 24);
            if (isNear && data[at + 3] > 200) {
                found.push(x / width);
                break;
            }
        }
    }
    return found;
}"""


class MetricsPage:
    """One visit."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.asked: list[str] = []
        page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if "/api/metrics/history" in url:
            self.asked.append(url)

    async def visit(self, query: str = "") -> None:
        """Open the page, and wait until it has been answered."""
        async with self.page.expect_response("**/api/metrics/history*"):
            await self.page.goto(f"{self.url}/dashboard/metrics{query}")
        await expect(self.page.locator("#metrics")).to_have_attribute("aria-busy", "false")

    def card(self, name: str) -> Locator:
        """Return the value of a card."""
        card = self.page.locator(".number").filter(has=self.page.get_by_text(name, exact=True))
        return card.locator(".value")

    async def table(self, id: str) -> list[list[str]]:
        """Open a chart's table; return its rows, the newest first, without their times."""
        details = self.page.locator(f"#chart-{id} details")
        if await details.get_attribute("open") is None:
            await details.locator("summary").click()
        rows = details.locator("tbody tr")
        await rows.first.wait_for()
        texts: list[list[str]] = await rows.evaluate_all(
            "rows => rows.map((row) => [...row.querySelectorAll('td')].map((it) => it.textContent))"
        )
        return texts

    async def compared(self, name: str) -> list[str]:
        """Return what is said of real time and of polling."""
        row = self.page.locator("#compared tr").filter(
            has=self.page.get_by_role("rowheader", name=name, exact=True)
        )
        return await row.locator("td").all_text_contents()

    async def drawn(self, id: str, colour: str) -> list[float]:
        """Return where a chart holds a colour, as shares of its width."""
        found: list[float] = await self.page.evaluate(_COLUMNS, [id, colour])
        return found
