"""Live sources where a process lives for one request at a time, and is frozen after it."""

import asyncio
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from infra.local.job_service import JobServer
from infra.local.vercel_api import WILD, VercelApi
from lastevent.serve.auth import QUERY_TOKEN_SECONDS, mint
from lastevent.services.deployment import stream_of
from tests.chaos.live import Show, untold
from tests.chaos.subscriber import Seen, follow_client, follow_raw
from tests.platforms.conftest import LEG_SECONDS, SECRET
from tests.platforms.places import WAIT_SECONDS, Deploy, Place, everywhere

pytestmark = [pytest.mark.slow, pytest.mark.node, pytest.mark.timeout(180)]

SPEED = 8.0
"""Of the build: it takes 42 seconds by itself."""

JSON = {"Accept": "application/json"}
KILLED_AFTER = 30
"""So many events of the first viewer."""


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
        place.client(token) as client,
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
        place.client(token) as client,
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
