"""Tasks and schedules on Vercel's own runtime: an instance stays awake for what it has begun."""

import asyncio
import time
from pathlib import Path

import pytest

from infra.local.upstash import UpstashServer
from infra.local.vercel.instance import ENDED_SECONDS
from infra.local.vercel.pool import Options
from infra.local.vercel.server import Running
from tests.infra.vercel_output import WAIT_SECONDS, Deployed, with_app

pytestmark = [pytest.mark.node, pytest.mark.slow, pytest.mark.timeout(180)]

APP = Path(__file__).with_name("task_app.py").read_text()
TASK_SECONDS = ENDED_SECONDS + 1.0
"""Longer than the emulator would wait for a runtime that has nothing more to say."""

OTHER_SECONDS = 0.3
"""Long enough for whatever would freeze an instance to have done it."""


async def notes(deployed: Deployed, stream: str) -> list[str]:
    """Look at what a stream holds, by a request of its own."""
    answer = await deployed.client.get(f"/api/notes/{stream}")
    found: list[str] = answer.json()
    return found


async def only(deployed: Deployed) -> Running:
    (instance,) = await deployed.server.running()
    return instance


async def frozen(deployed: Deployed) -> None:
    """Wait until the one instance is asleep."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not (await only(deployed)).frozen:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("disconnects", [False, True])
async def test_the_answer_comes_at_once_and_the_task_goes_on(
    vercel_output: Path, tmp_path: Path, server: UpstashServer, disconnects: bool
) -> None:
    output = with_app(vercel_output, tmp_path, APP)
    options = Options(freeze=True, disconnects=disconnects)
    async with Deployed.on(output, tmp_path, server, options) as deployed:
        assert await notes(deployed, "s") == []  # the cold start is over
        await frozen(deployed)
        asked = time.monotonic()
        begun = await deployed.client.post(f"/api/begin?stream=s&seconds={TASK_SECONDS}")
        assert begun.status_code == 202
        assert time.monotonic() - asked < TASK_SECONDS, "the answer did not wait for the task"
        await asyncio.sleep(OTHER_SECONDS)
        instance = await only(deployed)
        assert (instance.in_flight, instance.frozen) == (1, False)
        # Nothing else is in flight: it is the task alone that keeps the instance awake.
        await frozen(deployed)
        assert await notes(deployed, "s") == ["begun", "ended"]
        assert await deployed.server.started() == 1


async def test_a_task_ends_before_its_requests_deadline(
    vercel_output: Path, tmp_path: Path, server: UpstashServer
) -> None:
    output = with_app(vercel_output, tmp_path, APP)
    options = Options(freeze=True, max_duration=3)
    async with Deployed.on(output, tmp_path, server, options) as deployed:
        begun = await deployed.client.post("/api/begin?stream=s&seconds=60")
        assert begun.status_code == 202
        await frozen(deployed)
        assert await notes(deployed, "s") == ["begun", "cancelled"]
        assert "the task write did not end in its time" in deployed.server.log.read_text()


async def test_the_schedule_has_the_secret(
    vercel_output: Path, tmp_path: Path, server: UpstashServer
) -> None:
    async with Deployed.on(
        vercel_output, tmp_path / "a", server, CRON_SECRET="c" * 32
    ) as with_secret:
        (answer,) = await with_secret.server.call_crons()
        assert (answer["path"], answer["status"]) == ("/api/cron/sweep", 200), answer["body"]
        assert '"swept":[]' in answer["body"]
    async with Deployed.on(vercel_output, tmp_path / "b", server) as without:
        (answer,) = await without.server.call_crons()
        assert answer["status"] == 401, "nobody can sweep by accident"
