"""The page of the workflows, as tests read and work it, and a merchant of its own for each."""

from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Any

import httpx
import jwt
from playwright.async_api import FilePayload, Locator, Page

from tests.browser.proxy import Proxy
from tests.browser.server import Server

SECRET = "s" * 40
COOKIE = "lastevent_token"
PATH = "/dashboard/workflows"
EVENTS = "/api/realtime/events"
ORDERS = "/api/purchase-orders"

# What the page says of how far orders are, and of its connection, at each change of its document.
_WATCH = """() => {
    window.told = [];
    window.said = [];
    const look = () => {
        window.said.push(document.getElementById("connection")?.textContent);
        const bars = [...document.querySelectorAll(".order progress")];
        window.told.push(bars.map(({ id, value }) => [id, value]));
    };
    new MutationObserver(look).observe(document, {
        subtree: true, childList: true, attributes: true, characterData: true,
    });
}"""


class WorkflowsPage:
    """One visit by a merchant, through the proxy."""

    def __init__(self, page: Page, proxy: Proxy, server: Server, merchant: str) -> None:
        self.page = page
        self.proxy = proxy
        self.server = server
        self.merchant = merchant
        self.pill = page.locator("#connection")
        self.feed = page.locator("#feed .entry")
        stream = f"merchant:{merchant}"
        claims = {"sub": f"m{merchant}", "merchant": merchant, "exp": time() + 3600}
        self.token = jwt.encode({**claims, "append": [stream]}, SECRET, "HS256")

    async def sign_in(self) -> None:
        """Have the browser be the merchant."""
        cookie = {"name": COOKIE, "value": self.token, "url": self.proxy.url}
        await self.page.context.add_cookies([{**cookie, "httpOnly": True}])  # type: ignore[typeddict-item]

    async def visit(self) -> None:
        """Open the page, and wait until it follows."""
        await self.page.goto(self.proxy.url + PATH)
        await self.state("connected")

    async def state(self, name: str) -> None:
        """Wait until the connection is in this state."""
        await self.page.locator(f"#connection[data-state={name}]").wait_for()

    def order(self, name: str) -> Locator:
        """Return the card of the order of this name."""
        heading = self.page.get_by_role("heading", name=name, exact=True)
        return self.page.locator(".order").filter(has=heading)

    def stage(self, name: str, title: str) -> Locator:
        """Return a stage of it."""
        label = self.page.locator("label").get_by_text(title, exact=True)
        return self.order(name).locator(".stage").filter(has=label)

    async def becomes(self, name: str, state: str) -> Locator:
        """Wait until an order is ``state``; return its card."""
        card = self.order(name)
        await (
            self.page.locator(f".order[data-state={state}]")
            .filter(has=self.page.get_by_role("heading", name=name, exact=True))
            .wait_for()
        )
        return card

    async def choose(self, *files: Path | FilePayload) -> None:
        """Choose files by the button's chooser."""
        async with self.page.expect_file_chooser() as chooser:
            await self.page.get_by_role("button", name="Choose files").click()
        await (await chooser.value).set_files(list(files))  # type: ignore[arg-type]

    async def entries(self) -> list[str]:
        """Return the activity, the newest first, without the times."""
        texts: list[str] = await self.feed.evaluate_all(
            "all => all.map((one) => [...one.querySelectorAll('.badge, a, .text')]"
            ".map(({ textContent }) => textContent).join(' | '))"
        )
        return texts

    async def watch(self) -> None:
        """Remember what the bars and the connection say from now on, also after reloads."""
        await self.page.add_init_script(f"({_WATCH})()")

    async def says(self, text: str) -> None:
        """Wait until the connection has said this, however briefly."""
        script = "text => window.said.some((one) => one?.includes(text))"
        await self.page.wait_for_function(script, arg=text)

    async def told(self) -> dict[str, list[float]]:
        """Return what each bar has shown since the page was loaded."""
        shown: dict[str, list[float]] = {}
        looks: list[list[tuple[str, float]]] = await self.page.evaluate("window.told")
        for look in looks:
            for id, value in look:
                shown.setdefault(id, []).append(value)
        return shown

    async def upload(self, name: str, content: str | bytes, type: str = "text/csv") -> str:
        """Send an order in past the page; return its id."""
        headers = {"Content-Type": type}
        answer = await self._ask("POST", f"{ORDERS}?name={name}", content, headers)
        return str(answer["id"])

    async def snapshot(self) -> dict[str, Any]:
        """Return what the page is told first."""
        return await self._ask("GET", ORDERS)

    async def publish(self, type: str, po: str = "po_elsewhere", **fields: Any) -> None:
        """Tell of an order from elsewhere."""
        named = {"poId": po, "workflowId": "wf_elsewhere", "stage": "database_save"}
        body = {"type": type, "data": named | fields}
        async with self._client() as client:
            url = f"{self.server.url}/api/streams/merchant:{self.merchant}"
            answer = await client.post(url, json=body)
        assert answer.status_code == 201, answer.text

    def lists(self) -> int:
        """Return how often the page asked for the list of orders."""
        return sum(
            r.method == "GET" and r.path.startswith(f"{ORDERS}?") for r in self.proxy.requests
        )

    async def _ask(
        self,
        method: str,
        path: str,
        content: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        async with self._client() as client:
            answer = await client.request(
                method, self.server.url + path, content=content, headers=headers
            )
        assert answer.is_success, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(headers={"Authorization": f"Bearer {self.token}"})
