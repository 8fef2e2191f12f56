"""A scene for each page: who looks at it, and what has happened. Pictures and tests show them.

A stage is a server with everything around it that it needs: a service with jobs, Vercel's API and a
shop, all of them local. A scene sets it once; then the page is entered as often as one likes.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Page

from infra.counted import seed
from infra.local.child import HOST, Child, free_port
from infra.local.job_service.server import JobServer
from infra.local.shopify.server import Shopify
from infra.local.vercel_api.server import VercelApi

ROOT = Path(__file__).resolve().parent.parent
ORDERS = ROOT / "examples" / "orders"
WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Stage:
    """The server at ``url`` with its ``store``, and what is around it."""

    url: str
    store: str
    jobs: JobServer
    vercel: VercelApi
    shopify: Shopify

    async def request(
        self, method: str, path: str, body: object = None, *, who: str = "developer", **more: Any
    ) -> Any:
        """Ask the server as one of development's identities; return the JSON of its answer."""
        headers = {"Origin": self.url, **more.pop("headers", {})}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False) as client:
            (await client.post("/api/login", json={"sub": who})).raise_for_status()
            answer = await client.request(method, path, json=body, **more)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@contextlib.asynccontextmanager
async def stage(directory: Path, more: Mapping[str, str] | None = None) -> AsyncIterator[Stage]:
    """Set everything up; ``directory`` holds what it keeps, ``more`` are other settings."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    store = f"sqlite:///{directory}/pictures.db"
    with JobServer(directory) as jobs, VercelApi(directory) as vercel, Shopify(directory) as shop:
        environ = {
            **jobs.environment,
            **vercel.environment,
            **shop.environment,
            "LASTEVENT_DATA_DIR": str(directory),
            "LASTEVENT_STORE_URL": store,
            "LASTEVENT_MAX_LEG_SECONDS": "8",
            "LASTEVENT_HEARTBEAT_SECONDS": "2",
            "LASTEVENT_PREVIEW_COMMANDS": f"checkout={sys.executable} examples/preview.py",
            **(more or {}),
        }
        command = [sys.executable, "-m", "lastevent.cli", "serve", "--port", str(port)]
        server = Child(command, directory / "server.log", lambda: _serves(url), environ)
        try:
            yield Stage(url, store, jobs, vercel, shop)
        finally:
            server.stop()


def _serves(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/api/health", trust_env=False).is_success
    return False


@dataclass(frozen=True, slots=True)
class Scene:
    """The page at the path ``page``, named as its pictures, seen by ``who``.

    ``prepare`` sets the stage, once, and returns the address to visit; ``settle`` waits until the
    page shows it, and may work the page as its reader does.
    """

    name: str
    page: str
    settle: Callable[[Page], Awaitable[None]]
    prepare: Callable[[Stage], Awaitable[str]] | None = None
    who: str = "developer"

    async def set(self, stage: Stage) -> str:
        """Set the stage; return the address to enter at."""
        return await self.prepare(stage) if self.prepare else self.page

    async def enter(self, page: Page, stage: Stage, address: str) -> None:
        """Sign in, go there, and wait until the page shows what it has."""
        await page.context.request.post(
            f"{stage.url}/api/login",
            data={"sub": self.who},
            headers={"Origin": stage.url},
            fail_on_status_code=True,
        )
        await page.goto(stage.url + address)
        await self.settle(page)


def sees(*selectors: str) -> Callable[[Page], Awaitable[None]]:
    """Return what waits until all of these are in sight."""

    async def settle(page: Page) -> None:
        for selector in selectors:
            await page.locator(selector).first.wait_for()

    return settle


_DONE: list[dict[str, Any]] = [{"type": "completed", "result": {"created": 96, "skipped": 4}}]
_FAILED: list[dict[str, Any]] = [
    {"type": "progress", "progress": 12},
    {"type": "failed", "error": "row 13 has no price"},
]
_RUNNING: list[dict[str, Any]] = [
    {"type": "progress", "progress": 2, "status": "reading", "message": "Reading products.csv"},
    {"type": "progress", "progress": 5, "status": "reading", "message": "100 rows found"},
    {"type": "progress", "progress": 24, "status": "importing", "message": "Row 24 of 100"},
    {"type": "progress", "progress": 46, "status": "importing", "message": "Row 46 of 100"},
]
_BACK = {"type": "progress", "progress": 64, "status": "importing", "message": "Row 64 of 100"}


async def _jobs(stage: Stage) -> str:
    for job, said in (("import-41", _DONE), ("import-42", _FAILED), ("import-43", _RUNNING)):
        await stage.jobs.begin(job)
        async with _watching(stage, job):
            for update in said:
                await stage.jobs.say(job, **update)
            if said is _RUNNING:
                await stage.jobs.cut(job)
                await _joined(stage, job, 2)
                await stage.jobs.say(job, **_BACK)
    return "/jobs"


@contextlib.asynccontextmanager
async def _watching(stage: Stage, job: str) -> AsyncIterator[None]:
    """Follow a job meanwhile: what its service says while nobody does, nobody hears."""
    path, headers = f"/api/jobs/{job}/progress", {"Accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(base_url=stage.url, headers=headers, trust_env=False) as client,
        client.stream("GET", path, timeout=None),
    ):
        await _joined(stage, job, 1)
        yield


async def _joined(stage: Stage, job: str, times: int) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while (await stage.jobs.look(job))["connections"]["total"] < times:  # noqa: ASYNC110  it has to be asked
            await asyncio.sleep(0.02)


async def _job_list(page: Page) -> None:
    # What was looked at before is known to this browser.
    for job in ("import-41", "import-42", "import-43"):
        await page.get_by_label("Id of a job").fill(job)
        await page.keyboard.press("Enter")
        await page.locator("#state:not(:text('Waiting'))").wait_for()
    await page.locator("#percent:text('64 %')").wait_for()
    await page.locator("#connection[data-state=connected]").wait_for()


async def _preview(stage: Stage) -> str:
    created = await stage.request("POST", "/api/previews", {"name": "checkout"})
    return f"/previews?preview={created['id']}"


async def _deployment(stage: Stage) -> str:
    await stage.vercel.play_next("next", speed=60)
    site = {"name": "shop", "files": [{"file": "index.html", "data": "<h1>Shop</h1>"}]}
    published = await stage.request("POST", "/api/deploy/vercel", site)
    return f"/deployments?deployment={published['id']}"


_TALK = (
    ("client", "Good morning! Our garden wall has a crack, about two metres long."),
    ("client", "Could you have a look this week?"),
    ("professional", "Good morning, Clara. Yes: Thursday at ten would do."),
    ("professional", "Please send me a picture of it beforehand."),
    ("client", "Thursday at ten is fine. The picture is at https://pictures.example.com/wall"),
)


async def _conversation(stage: Stage) -> str:
    conversation = ""
    for number, (who, text) in enumerate(_TALK, 1):
        where = {"conversation": conversation} if conversation else {"to": "professional"}
        body = {**where, "text": text, "clientMessageId": f"scene-{number}"}
        sent = await stage.request("POST", "/api/messages/send", body, who=who)
        conversation = sent["conversation"]
    await stage.request(
        "POST",
        "/api/messages/send",
        {"to": "professional-2", "text": "Hello Petra", "clientMessageId": "scene-petra"},
        who="client",
    )
    read = {"conversation": conversation, "number": len(_TALK)}
    await stage.request("POST", "/api/messages/read", read, who="professional")
    return f"/dashboard/messages?conversation={conversation}"


_TYPES = {".csv": "text/csv", ".json": "application/json", ".txt": "text/plain"}


async def _orders(stage: Stage) -> str:
    for name in ("good/commas.csv", "good/mail.txt", "good/semicolons.csv", "bad/no-quantity.csv"):
        file = ORDERS / name
        await stage.request(
            "POST",
            f"/api/purchase-orders?name={file.name}",
            who="merchant",
            content=file.read_bytes(),
            headers={"Content-Type": _TYPES[file.suffix]},
        )
    return "/dashboard/workflows"


async def _metrics(stage: Stage) -> str:
    await seed(stage.store, 61)
    return "/dashboard/metrics"


async def _trial(page: Page) -> None:
    await page.get_by_role("button", name="Start").click()
    at_once = page.locator(".finding .badge:text('At once')")
    await at_once.wait_for()
    for place, fault in enumerate(("end", "cut", "replay")):
        await page.locator(f"#faults [value={fault}]").click()
        await page.locator("#outcomes li").nth(place).wait_for()
    await page.locator(".finding .badge:text('Regular')").wait_for()
    await page.evaluate("scrollTo(0, 0)")


SCENES = (
    Scene("front", "/", sees("#server:not(:empty)")),
    Scene("login", "/login", sees("#identities [aria-pressed=true]"), who="client"),
    Scene("deployments", "/deployments", sees("#connection[data-state=ended]"), _deployment),
    Scene("jobs", "/jobs", _job_list, _jobs),
    Scene("previews", "/previews", sees("#planned:not(:text('0 planned ends'))"), _preview),
    Scene("messages", "/dashboard/messages", sees("#rows li"), _conversation, "client"),
    Scene("workflows", "/dashboard/workflows", sees("#orders > li"), _orders, "merchant"),
    Scene("metrics", "/dashboard/metrics", sees("#chart-pages canvas"), _metrics),
    Scene("test-sse", "/test-sse", _trial),
)
