"""A generator where a process lives for one invocation: the example of one, as it is deployed."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from lastevent.client import Backoff, Stream
from lastevent.client.follower import StreamEvent
from tests.platforms.places import WAIT_SECONDS, Deploy, everywhere
from tests.project.tree import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.node, pytest.mark.timeout(180)]

LINES = 40
SETTINGS = {"LASTEVENT_MAX_LEG_SECONDS": "1", "LASTEVENT_LEASE_SECONDS": "2"}
QUICK = Backoff(first=0.05, longest=0.5)
VERCEL_FUNCTION = Path("functions") / "python.func"


def with_the_example(built: Path, target: Path) -> None:
    """Make of a built function one that serves examples/report.py, in place of our functions."""
    target.mkdir(parents=True)
    for path in built.iterdir():
        if path.name not in ("functions", "__pycache__"):
            (target / path.name).symlink_to(path.resolve())
    for package in ("functions", "examples"):
        (target / package).mkdir()
        (target / package / "__init__.py").touch()
    shutil.copy(ROOT / "examples" / "report.py", target / "examples")
    (target / "functions" / "app.py").write_text("from examples.report import app as app\n")


@pytest.fixture
def on_vercel(on_vercel: Path, tmp_path: Path) -> Path:
    """What Vercel would deploy of the example."""
    output = tmp_path / "on-vercel"
    with_the_example(on_vercel / VERCEL_FUNCTION, output / VERCEL_FUNCTION)
    shutil.copy(on_vercel / "config.json", output)
    return output


@pytest.fixture
def on_lambda(on_lambda: Path, tmp_path: Path) -> Path:
    """What would be deployed of the example to Lambda."""
    with_the_example(on_lambda / "StreamFunction", tmp_path / "on-lambda" / "StreamFunction")
    return tmp_path / "on-lambda"


def lines(events: list[StreamEvent]) -> list[int]:
    return [json.loads(event.data)["line"] for event in events if event.type == "line"]


@everywhere
async def test_it_is_written_in_an_invocation_of_its_own(
    platform: str, deploy: Deploy, token: str
) -> None:
    async with (
        deploy(platform, SETTINGS) as place,
        place.client(token) as client,
        asyncio.timeout(WAIT_SECONDS),
    ):

        async def start(lines: int) -> str:
            """Have a report written; return where."""
            answer = await client.post("/api/reports", json={"lines": lines, "pause": 0.05})
            assert (answer.status_code, answer.json()["state"]) == (202, "starting")
            return str(answer.json()["url"])

        async def read(url: str, count: int, cursor: str | None = None) -> list[StreamEvent]:
            """Read so many events, or all."""
            events: list[StreamEvent] = []
            async with Stream(
                place.url + url, token=token, cursor=cursor, attempts=None, backoff=QUICK
            ) as stream:
                async for event in stream:
                    events.append(event)
                    if len(events) == count:
                        break
            return events

        whole = await start(LINES)
        stopped = await start(100_000)
        first = await read(whole, 10)
        rest, begun = await asyncio.gather(read(whole, LINES + 1, first[-1].id), read(stopped, 5))
        told = (await client.delete(stopped.removesuffix("/stream"))).json()
        cancelled = await read(stopped, 100_000)
        started = await place.started()
    assert lines(first + rest) == list(range(1, LINES + 1)), "who resumes gets exactly the rest"
    assert rest[-1].type == "done"
    assert told["state"] == "stopping"
    assert cancelled[:5] == begun
    assert lines(cancelled) == list(range(1, len(cancelled)))
    assert cancelled[-1].type == "cancelled"
    assert started >= 3, "each is written in an invocation of its own, and read in another"
