"""Live sources where a process lives for one request at a time, and is frozen after it."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.job_service import JobServer
from infra.local.platforms import LambdaStream
from infra.local.vercel import VercelServer
from infra.local.vercel.pool import Options
from infra.local.vercel_api import WILD, VercelApi
from lastevent.serve.auth import QUERY_TOKEN_SECONDS, mint
from lastevent.services.deployment import stream_of
from tests.chaos.live import Show, untold
from tests.chaos.subscriber import Seen, follow_client, follow_raw
from tests.platforms.conftest import SECRET

pytestmark = [pytest.mark.slow, pytest.mark.node, pytest.mark.timeout(180)]

LEG_SECONDS = 4
SPEED = 8.0
"""Of the build: it takes 42 seconds by itself."""

SWEEP_SECONDS = 0.5
JSON = {"Accept": "application/json"}
KILLED_AFTER = 30
"""So many events of the first viewer."""

WAIT_SECONDS = 60.0
"""A safety limit: what takes longer than this has hung."""

Stores = Callable[[str], Awaitable[dict[str, str]]]
Deploy = Callable[..., AbstractAsyncContextManager["Place"]]


@dataclass(frozen=True, slots=True)
class Place:
    """A platform: where it is, how its processes are killed, and why sweeps failed so far."""

    url: str
    kill: Callable[[], Awaitable[None]]
    failed_sweeps: Callable[[], list[str]]


@asynccontextmanager
async def on_lambda(
    environment: Mapping[str, str], directory: Path, request: pytest.FixtureRequest, sweeps: bool
) -> AsyncIterator[Place]:
    """Deploy what ``sam build`` made, with the schedule of the template."""
    built = request.getfixturevalue("on_lambda") / "StreamFunction"
    seconds = SWEEP_SECONDS if sweeps else None
    async with LambdaStream(environment, directory, built, sweep_seconds=seconds) as platform:

        def failed() -> list[str]:
            return [it.failure for it in platform.events.outcomes if it.failure is not None]

        async def kill() -> None:
            await asyncio.to_thread(platform.kill)

        yield Place(platform.url, kill, failed)


@asynccontextmanager
async def on_vercel(
    environment: Mapping[str, str], directory: Path, request: pytest.FixtureRequest, sweeps: bool
) -> AsyncIterator[Place]:
    """Deploy with one request at a time for each instance, and call what is on a schedule."""
    built = request.getfixturevalue("on_vercel")
    options = Options(freeze=True, concurrency=1)
    failures: list[str] = []
    async with VercelServer(built, directory, environment, options) as server:

        async def call_crons() -> None:
            while True:
                await asyncio.sleep(SWEEP_SECONDS)
                answers = await server.call_crons()
                failures.extend(it["body"] for it in answers if it["status"] != 200)

        async with asyncio.TaskGroup() as schedule:
            calling = schedule.create_task(call_crons()) if sweeps else None
            yield Place(server.url, server.kill, lambda: failures)
            if calling is not None:
                calling.cancel()


PLATFORMS = {"lambda-stream": on_lambda, "vercel": on_vercel}
everywhere = pytest.mark.parametrize("platform", PLATFORMS)


@pytest.fixture
async def deploy(stores: Stores, tmp_path: Path, request: pytest.FixtureRequest) -> Deploy:
    """Return a function that deploys to a platform, by its name, with these settings."""
    common = {
        **await stores("upstash"),
        "LASTEVENT_AUTH_SECRET": SECRET,
        "LASTEVENT_MAX_LEG_SECONDS": str(LEG_SECONDS),
        "CRON_SECRET": "c" * 32,
    }

    def deployed(
        platform: str, settings: Mapping[str, str], *, sweeps: bool = False
    ) -> AbstractAsyncContextManager[Place]:
        return PLATFORMS[platform]({**common, **settings}, tmp_path, request, sweeps)

    return deployed


def client_of(place: Place, token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(
        base_url=place.url, headers=headers, timeout=WAIT_SECONDS, trust_env=False
    )


async def show(place: Place, path: str) -> Show:
    """Follow ``path`` with two viewers to its end, and kill what serves them once."""
    token = mint(SECRET, {"sub": "viewer", "read": ["*"]}, QUERY_TOKEN_SECONDS)
    result = Show([Seen("by hand"), Seen("by the client")])
    with suppress(TimeoutError):  # the report says who did not reach the end
        async with asyncio.timeout(WAIT_SECONDS), asyncio.TaskGroup() as viewers:
            for follow, seen in zip((follow_raw, follow_client), result.seen, strict=True):
                asked = f"{path}?token={token}"
                viewers.create_task(follow(seen, asked, [place.url], random.Random(seen.name)))
            while len(result.seen[0].ids) < KILLED_AFTER:
                await asyncio.sleep(0.05)
            await place.kill()
            result.kills += 1
    return result


@everywhere
async def test_a_deployments_log(platform: str, deploy: Deploy, tmp_path: Path) -> None:
    async with VercelApi(tmp_path) as vercel:
        async with deploy(platform, vercel.environment) as place:
            made = await vercel.deploy("next", speed=SPEED, chaos=WILD)
            seen = await show(place, f"/api/deploy/vercel/{made.id}/stream")
        truth = await vercel.truth(made.id)
        calls = await vercel.calls(made.id)
    assert seen.faults() == []
    assert seen.seen[0].legs >= 3, "invocations took turns"
    lines_are_true(seen.said("log"), truth.ids)
    assert seen.said("state")[-1]["state"] == "ready"
    assert seen.said("gap", "failure") == []
    assert calls.most_at_once["events"] <= 2, "one poller, and a moment of hand-over"


def lines_are_true(lines: list[dict[str, Any]], true: list[str]) -> None:
    """Every line is there once; the assignment of a name has no id of the vendor's."""
    ids = [line["id"] for line in lines]
    assert len(ids) == len(set(ids)), "a line came twice"
    assert set(true) <= set(ids), "a line is missing"
    assert len(ids) <= len(true) + 1


@everywhere
async def test_an_external_jobs_progress(platform: str, deploy: Deploy, tmp_path: Path) -> None:
    # Told again to whoever joins: a job whose end falls into a gap would have none.
    async with JobServer(tmp_path, key="k" * 20, tells_state=True) as service:
        async with deploy(platform, service.environment) as place:
            await service.run("import-7", 110, 0.1)
            seen = await show(place, "/api/jobs/import-7/progress")
        job = await service.look("import-7")
    assert seen.faults() == []
    numbers = [said["data"]["seq"] for said in seen.said("progress", "done")]
    assert numbers == sorted(set(numbers)), "an update came twice, or out of order"
    assert untold(seen, job) == [], "something is missing that no gap tells of"
    assert seen.said("gap"), "a takeover was not told of"
    assert job["connections"]["total"] >= 3, "invocations took turns"
    assert job["connections"]["max"] <= 2
    assert seen.events[-1][0] == "done"


@everywhere
async def test_a_process_that_sleeps_holds_no_connection(
    platform: str, deploy: Deploy, token: str, tmp_path: Path
) -> None:
    async with (
        JobServer(tmp_path) as service,
        deploy(platform, service.environment) as place,
        client_of(place, token) as client,
        asyncio.timeout(WAIT_SECONDS),
    ):
        await service.begin("import-7")

        async def connections() -> int:
            now: int = (await service.look("import-7"))["connections"]["now"]
            return now

        async with client.stream("GET", "/api/jobs/import-7/progress"):
            while not await connections():
                await asyncio.sleep(0.05)
        # The platform does not say that the viewer left: the leg lasts to its end.
        async with asyncio.timeout(2 * LEG_SECONDS):
            while await connections():
                await asyncio.sleep(0.05)


@everywhere
async def test_the_sweep_finishes_what_nobody_watches(
    platform: str, deploy: Deploy, token: str, tmp_path: Path
) -> None:
    async with (
        VercelApi(tmp_path) as vercel,
        deploy(platform, vercel.environment, sweeps=True) as place,
        client_of(place, token) as client,
        asyncio.timeout(WAIT_SECONDS),
    ):
        made = await vercel.deploy("next", speed=SPEED)
        async with client.stream("GET", f"/api/deploy/vercel/{made.id}/stream") as leg:
            async for text in leg.aiter_text():
                if "event: log" in text:
                    break  # and nobody ever comes back

        async def page() -> dict[str, Any]:
            """Look at the log, which pumps nothing."""
            answer = await client.get(f"/api/streams/{stream_of(made.id)}?limit=1000", headers=JSON)
            found: dict[str, Any] = answer.json()
            return found

        begun = await page()
        while not (log := await page())["closed"]:
            await asyncio.sleep(0.5)
        truth = await vercel.truth(made.id)
        failed = place.failed_sweeps()
    assert not begun["closed"], "nothing was left to the sweep"
    assert failed == []
    lines = [json.loads(it["data"]) for it in log["events"] if it["type"] == "log"]
    lines_are_true(lines, truth.ids)
