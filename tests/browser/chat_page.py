"""The page of the messages, as tests read and work it, and the people who talk there."""

import re
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
from playwright.async_api import BrowserContext, Locator, Page, expect

from lastevent.serve.auth import COOKIE, mint
from tests.browser.proxy import Proxy, Request
from tests.browser.server import Server

SECRET = "s" * 40
PATH = "/dashboard/messages"
EVENTS = "/api/sse"

_ids = count(1)

# What a window is that lies behind another one, as far as a page can tell.
_ATTENTION = """isThere => {
    document.hasFocus = () => isThere;
    Object.defineProperty(document, "visibilityState", {
        configurable: true, value: isThere ? "visible" : "hidden",
    });
    dispatchEvent(new Event(isThere ? "focus" : "blur"));
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a token, who can also act without a page: by another device."""

    server: Server
    id: str
    role: str
    name: str

    @property
    def token(self) -> str:
        """Who they are; they may also write to their own stream, for tests of what comes there."""
        streams = [f"user:{self.id}", f"typing:{self.id}"]
        claims = {"sub": self.id, "role": self.role, "name": self.name, "append": streams}
        return mint(SECRET, claims, 3600)

    async def sign_in(self, context: BrowserContext, url: str) -> None:
        """Have a browser be this person."""
        await context.clear_cookies()
        await context.add_cookies([{"name": COOKIE, "value": self.token, "url": url}])

    async def ask(self, method: str, path: str, *bodies: object) -> Any:
        """Ask the server, once for each body; return the JSON of its last answer."""
        headers = {"Authorization": f"Bearer {self.token}"}
        # Nothing to verify on loopback, and reading all authorities takes longer than asking.
        async with httpx.AsyncClient(
            base_url=self.server.url, headers=headers, verify=False, trust_env=False
        ) as client:
            for body in bodies or (None,):
                answer = await client.request(method, path, json=body)
                answer.raise_for_status()
        return answer.json() if answer.content else None

    async def send(self, where: str, *texts: str) -> str:
        """Send to a person or within a conversation; return the conversation's id."""
        to = {"conversation": where} if re.fullmatch("[0-9a-f]{32}", where) else {"to": where}
        bodies = [{**to, "text": text, "clientMessageId": f"device-{next(_ids)}"} for text in texts]
        sent = await self.ask("POST", "/api/messages/send", *bodies)
        return str(sent["conversation"])

    async def texts(self, conversation: str) -> list[str]:
        """Return what the server has of a conversation: its last 100 messages."""
        path = f"/api/messages?conversation={conversation}&limit=100"
        history = await self.ask("GET", path)
        return [message.get("text", "") for message in history["messages"]]

    async def mark(self, how: str, conversation: str, number: int) -> None:
        """Say that messages came here, or were read."""
        body = {"conversation": conversation, "number": number}
        await self.ask("POST", f"/api/messages/{how}", body)


class ChatPage:
    """One visit by a person, through a proxy."""

    def __init__(self, page: Page, proxy: Proxy, person: Person) -> None:
        self.page = page
        self.proxy = proxy
        self.person = person
        self.field = page.locator("#field")
        self.texts = page.locator("#rows .bubble .text")
        self.own = page.locator("#rows .own")
        self.items = page.locator("#conversations li")
        self.badge = page.locator("#conversations .unread")
        self.typing = page.locator("#typing")
        self.divider = page.locator("#rows .new")
        self.tools = page.get_by_role("group", name="Your message")
        self.jump = page.locator("#jump")

    async def visit(self, conversation: str | None = None) -> None:
        """Open the page, of one conversation or of the list, and wait until it has it."""
        query = f"?conversation={conversation}" if conversation else ""
        await self.page.goto(f"{self.proxy.url}{PATH}{query}")
        await self.state("connected")
        if conversation:
            await expect(self.field).to_be_visible()

    async def state(self, name: str) -> None:
        """Wait until the connection is in this state."""
        await self.page.locator(f"#connection[data-state={name}]").wait_for()

    async def open(self, name: str) -> None:
        """Choose a conversation of the list."""
        await self.items.filter(has_text=name).get_by_role("link").click()
        await expect(self.field).to_be_visible()

    async def write(self, text: str) -> None:
        """Write a message, and send it by Enter."""
        await self.field.fill(text)
        await self.field.press("Enter")

    async def attention(self, is_there: bool) -> None:
        """Have the window come to the front, or lie behind another one."""
        await self.page.evaluate(_ATTENTION, is_there)

    def said(self, text: str) -> Locator:
        """Return the row of the message with this text."""
        return self.page.locator("#rows .said").filter(
            has=self.page.locator(".text").get_by_text(text, exact=True)
        )

    async def has_state(self, text: str, state: str) -> None:
        """Wait until one's own message is in this state, and says so."""
        row = self.said(text)
        await expect(row).to_have_attribute("data-state", state)
        words = {"failed": "Not sent"}
        await expect(row.locator(".state")).to_have_text(words.get(state, state.capitalize()))

    async def sees(self, *texts: str) -> None:
        """Wait until exactly these messages are there, in this order."""
        await expect(self.texts).to_have_text(list(texts))

    def posts(self, part: str) -> list[Request]:
        """Return what the page posted to paths with ``part`` in them."""
        return [r for r in self.proxy.requests if r.method == "POST" and part in r.path]
