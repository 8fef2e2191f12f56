"""The example of a source: each line of a file that grows, once, in order, whoever reads it."""

import asyncio
import contextlib
import inspect
import random
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route, Router

from examples import growing_file
from examples.growing_file import GrowingFile
from functions import cron
from infra.local.child import free_port
from infra.local.platforms import Server
from lastevent.client import Stream
from lastevent.core.errors import (
    InvalidName,
    LastEventError,
    NotFound,
    UpstreamLost,
    UpstreamRefused,
)
from lastevent.serve.app import App, router
from lastevent.serve.auth import mint
from lastevent.serve.live import pumps
from lastevent.serve.service import Service
from lastevent.serve.settings import Settings
from tests.project.tree import ROOT
from tests.serve.running import InProcess
from tests.sources.processes import WAIT_SECONDS

SECRET = "s" * 32


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "build.log"


@pytest.fixture
async def files(file: Path) -> AsyncIterator[str]:
    """An object store on loopback: the address of the directory with ``file``."""

    async def get(request: Request) -> Response:
        answer: Response = next(troubles, None) or FileResponse(file)
        return answer

    troubles = iter(TROUBLES)
    port = free_port()
    app = Router([Route("/logs/{name}", get)])
    server = InProcess(uvicorn.Config(app, port=port, log_level="warning"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}/logs"
    server.should_exit = True
    await task


TROUBLES: list[Response] = []


@pytest.fixture(autouse=True)
def no_troubles() -> None:
    TROUBLES.clear()


def write(file: Path, *lines: str) -> None:
    with file.open("a") as log:
        log.writelines(f"{line}\n" for line in lines)


async def read(
    source: GrowingFile, position: str | None = None
) -> AsyncGenerator[tuple[list[str], str | None]]:
    """Yield what the batches hold."""
    async with contextlib.aclosing(source.read(position)) as batches:
        async for events, after, over in batches:
            yield [event.data for event in events], after
            if over:
                return


@contextlib.asynccontextmanager
async def served(
    *routes: BaseRoute, **options: Any
) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    """The application with these routes, and a client of it."""
    app = App(router(routes), **options)
    app.configure(Settings(store_url="memory://", development=True, cron_secret=SECRET))
    service = await app.begin()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield service, client
    await service.close()


async def everything(source: GrowingFile, position: str | None = None) -> list[str]:
    async with asyncio.timeout(WAIT_SECONDS):
        return [line async for lines, _ in read(source, position) for line in lines]


async def test_lines_as_they_are_written(file: Path, files: str) -> None:
    write(file, "one", "two")
    batches = read(GrowingFile(f"{files}/build.log", every_seconds=0.02))
    assert await anext(batches) == (["one", "two"], "8")
    assert await anext(batches) == ([], "8")
    with file.open("a") as log:
        log.write("thr")
    assert await anext(batches) == ([], "8")
    write(file, "ee", "-- end --", "beyond it")
    assert await anext(batches) == (["three"], "14")
    await batches.aclose()


async def test_it_goes_on_at_its_position(file: Path, files: str) -> None:
    write(file, "one", "two", "three", "-- end --")
    source = GrowingFile(f"{files}/build.log")
    assert await everything(source) == ["one", "two", "three"]
    assert await everything(source, "4") == ["two", "three"]


async def test_lines_over_many_pieces(file: Path, files: str) -> None:
    lines = [f"line {n} " + "x" * (n % 50) for n in range(3000)]
    write(file, *lines, "-- end --")
    source = GrowingFile(f"{files}/build.log", every_seconds=0.0, piece_bytes=700)
    assert await everything(source) == lines


async def test_a_line_that_is_longer_than_a_piece(file: Path, files: str) -> None:
    write(file, "short", "l" * 100, "last", "-- end --")
    source = GrowingFile(f"{files}/build.log", every_seconds=0.0, piece_bytes=30)
    found = await everything(source)
    assert "".join(found) == "short" + "l" * 100 + "last"


@pytest.mark.parametrize(("status", "seconds"), [(503, None), (429, 7.0), (500, None)])
async def test_what_passes(file: Path, files: str, status: int, seconds: float | None) -> None:
    headers = {"Retry-After": "7"} if seconds else {}
    TROUBLES.append(Response(status_code=status, headers=headers))
    source = GrowingFile(f"{files}/build.log")
    with pytest.raises(UpstreamLost) as raised:
        await everything(source)
    assert raised.value.retry_after == seconds


async def test_what_does_not(files: str, file: Path) -> None:
    TROUBLES.append(Response(status_code=404))
    with pytest.raises(UpstreamRefused, match="404"):
        await everything(GrowingFile(f"{files}/other.log"))


async def test_nobody_there() -> None:
    with pytest.raises(UpstreamLost, match="ConnectError"):
        await everything(GrowingFile(f"http://127.0.0.1:{free_port()}/build.log"))


async def test_what_nobody_watches_any_more_is_finished_by_the_sweep(
    file: Path, files: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/sources.md has it: one line in functions/cron.py."""
    monkeypatch.setenv("GROWING_FILES", files)
    monkeypatch.setattr(cron, "MODULES", {"files": "examples.growing_file"})
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with served(*cron.routes, tasks=cron.TASKS) as (service, client):
        write(file, "one", "two")
        live = growing_file._live("build.log")
        assert await pumps(service).finish(live, 0.3) == "unfinished"
        write(file, "three", "-- end --")
        swept = await client.post("/api/cron/sweep", headers=headers)
        assert swept.json() == {
            "swept": [{"stream": "file:build.log", "kind": "files", "state": "over"}]
        }
        page = await service.store.log.read("file:build.log", None)
        assert [event.data for event in page.events] == ["one", "two", "three"]
        assert page.closed
        assert (await client.post("/api/cron/sweep", headers=headers)).json() == {"swept": []}


async def test_what_leads_out_of_the_directory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROWING_FILES", "http://127.0.0.1:9/logs")
    async with served(*growing_file.routes) as (service, client):
        for name in ("%2e%2e", ".hidden", "a%3Fb", "x" * 254):
            answer = await client.get(f"/api/files/{name}/stream")
            assert answer.status_code == 400, name
            assert answer.json()["type"] == "urn:lastevent:problem:invalid-name"
        for stream in ("file:..", "file:", "job:a"):
            with pytest.raises((InvalidName, NotFound)):
                await growing_file.resume(service, stream)
        assert (await growing_file.resume(service, "file:build.log")).stream == "file:build.log"


@pytest.mark.slow
async def test_three_viewers_and_servers_that_are_killed(
    file: Path, files: str, tmp_path: Path
) -> None:
    chance = random.Random(5)
    environ = {
        "GROWING_FILES": files,
        "LASTEVENT_AUTH_SECRET": SECRET,
        "LASTEVENT_STORE_URL": f"sqlite:///{tmp_path}/store.db",
        "LASTEVENT_MAX_LEG_SECONDS": "2",
    }
    arguments = ["-m", "uvicorn", "examples.growing_file:app"]
    servers = [Server(arguments, environ, tmp_path / f"{n}.log") for n in range(2)]
    token = mint(SECRET, {"sub": "viewer", "read": ["file:*"]}, 600)

    async def follow() -> list[str]:
        seen: list[str] = []
        cursor = None
        while True:
            url = f"{chance.choice(servers).url}/api/files/build.log/stream"
            async with Stream(url, token=token, cursor=cursor, attempts=2) as events:
                try:
                    async for event in events:
                        seen.append(event.data)
                    return seen
                except LastEventError:
                    cursor = events.cursor

    async with contextlib.AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server)
        viewers = [asyncio.create_task(follow()) for _ in range(3)]
        for n in range(300):
            write(file, f"line {n}")
            await asyncio.sleep(0.02)
            if n % 70 == 69:
                await asyncio.to_thread(chance.choice(servers).kill)
        write(file, "-- end --")
        async with asyncio.timeout(WAIT_SECONDS):
            for viewer in viewers:
                assert await viewer == [f"line {n}" for n in range(300)]


def test_the_documentation_shows_it() -> None:
    shown = (ROOT / "docs" / "sources.md").read_text()
    for part in (GrowingFile, growing_file._live, growing_file._lines):
        assert inspect.getsource(part).strip() in shown
    assert len(inspect.getsource(GrowingFile).splitlines()) < 60
