"""The example of a source: each line of a file that grows, once, in order, whoever reads it."""

import asyncio
import contextlib
import inspect
import random
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route, Router

from examples.growing_file import GrowingFile
from infra.local.child import free_port
from infra.local.platforms import Server
from lastevent.client import Stream
from lastevent.core.errors import LastEventError, UpstreamLost, UpstreamRefused
from lastevent.serve.auth import mint
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
    assert inspect.getsource(GrowingFile).strip() in (ROOT / "docs" / "sources.md").read_text()
    assert len(inspect.getsource(GrowingFile).splitlines()) < 60
