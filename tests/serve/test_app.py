"""The application around the functions: first use, static pages, what it does not serve."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from functions.streams import routes
from lastevent.serve.app import App, Functions, router
from lastevent.serve.service import Service
from lastevent.serve.settings import Settings


@pytest.fixture
async def client(settings: Settings, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    pages = tmp_path / "public"
    pages.mkdir()
    (pages / "index.html").write_text("<title>home</title>")
    (pages / "jobs.html").write_text("<title>jobs</title>")
    (pages / "a.js").write_text("export {}")
    app = App(Functions({"/api": "functions.streams"}), pages)
    app.configure(settings)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as it:
        yield it
    await (await app._service()).close()


async def test_pages(client: httpx.AsyncClient) -> None:
    for path, text in [("/", "home"), ("/jobs", "jobs"), ("/jobs.html", "jobs"), ("/a.js", "{}")]:
        answer = await client.get(path)
        assert answer.status_code == 200
        assert text in answer.text
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    for path in ("/nothing", "/../settings", "/a.css", "/jobs/x"):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


async def test_it_starts_without_a_lifespan(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get("/api/health") for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5


async def test_it_begins_anew_in_another_event_loop(settings: Settings) -> None:
    app = App(router(routes))
    app.configure(replace(settings, store_url="memory://"))

    async def health() -> int:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as it:
            return (await it.get("/api/health")).status_code

    for _ in range(2):
        assert await asyncio.to_thread(asyncio.run, health()) == 200


async def test_a_websocket_is_refused(settings: Settings) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await App(router(routes))({"type": "websocket"}, lambda: asyncio.sleep(0), send)  # type: ignore[arg-type, return-value]
    assert sent == [{"type": "websocket.close"}]


async def test_parts_are_made_once_and_closed(settings: Settings) -> None:
    app = App(router(routes))
    app.configure(settings)
    service = await app._service()
    closed: list[str] = []

    class Part:
        def __init__(self, service: Service) -> None:
            self.service = service

        async def aclose(self) -> None:
            closed.append("part")
            raise RuntimeError("it does not end well, and the others do")

    class Other(Part):
        async def aclose(self) -> None:
            closed.append("other")

    assert service.part(Part) is service.part(Part)
    assert service.part(Other).service is service
    await service.close()
    assert closed == ["part", "other"]
