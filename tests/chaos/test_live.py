"""Live sources under kills: all of what can be told again, and word of what cannot."""

import asyncio
import json
import random
import signal
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path

import httpx
import pytest

from infra.local.job_service import JobServer
from infra.local.vercel_api import WILD, VercelApi
from tests.chaos.grounds import GROUNDS
from tests.chaos.live import (
    END_SECONDS,
    VIEWERS,
    Show,
    hand_overs,
    pollers_at_once,
    servers,
    show,
    unannounced,
    untold,
)
from tests.chaos.subscriber import Seen, follow_raw

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

STORES = ["sqlite", "upstash", "dynamodb"]
POLL_SECONDS = 0.2


@pytest.mark.parametrize("store", STORES)
async def test_a_deployments_log(store: str, tmp_path: Path) -> None:
    async with GROUNDS[store](tmp_path) as ground, VercelApi(tmp_path) as vercel:
        made = await vercel.deploy("next", speed=5, chaos=WILD)
        await vercel.fault("status", status=429, retry_after=0.5, probability=0.15, seed=1)
        await vercel.fault("cut", probability=0.15, seed=2)
        await vercel.fault("delay", seconds=0.4, probability=0.3, seed=3)
        path = f"/api/deploy/vercel/{made.id}/stream"
        seen = await show(ground, tmp_path, path, seed=1, environ=vercel.environment)
        truth = await vercel.truth(made.id)
        calls = await vercel.calls(made.id)
    assert seen.faults() == []
    assert seen.kills >= 3, "there was no chaos"
    assert calls.counts["events"] >= 10, "too few calls for each of the faults"
    lines = [line["id"] for line in seen.said("log")]
    assert len(lines) == len(set(lines)), "a line came twice"
    assert set(truth.ids) <= set(lines), "a line is missing"
    assert len(lines) <= len(truth.ids) + 1, "beside the assignment of its name, which has no id"
    in_order(seen)
    percents = [said["percent"] for said in seen.said("progress")]
    assert percents == sorted(percents)
    assert seen.said("state")[-1]["state"] == "ready"
    assert seen.said("gap", "failure") == []
    # One poller, and a moment of hand-over; of each call, since a killed one may still be answered.
    assert calls.most_at_once["events"] <= 2


def in_order(seen: Show) -> None:
    """Lines are in the order of their dates, but for those that were late."""
    dates = [line["date"] for line in seen.said("log")]
    late = sum(later < sooner for sooner, later in pairwise(dates))
    assert late < len(dates) / 3


@pytest.mark.parametrize(
    ("store", "tells_state"), [*((store, True) for store in STORES), ("sqlite", False)]
)
async def test_an_external_jobs_progress(store: str, tells_state: bool, tmp_path: Path) -> None:
    async with (
        GROUNDS[store](tmp_path) as ground,
        JobServer(tmp_path, key="k" * 20, tells_state=tells_state) as service,
        asyncio.TaskGroup() as group,
    ):
        await service.run("import-7", 100, 0.1)
        ending = None if tells_state else group.create_task(end_again(service, "import-7"))
        path = "/api/jobs/import-7/progress"
        seen = await show(ground, tmp_path, path, seed=2, environ=service.environment)
        if ending is not None:
            ending.cancel()
        job = await service.look("import-7")
    assert seen.faults() == []
    assert seen.kills >= 3, "there was no chaos"
    numbers = [said["data"]["seq"] for said in seen.said("progress", "done")]
    assert len(numbers) == len(set(numbers)), "an update came twice"
    assert numbers == sorted(numbers)
    assert seen.said("gap"), "no takeover was told of"
    assert untold(seen, job) == [], "something is missing that no gap tells of"
    assert job["connections"]["max"] <= 2
    assert seen.events[-1][0] == "done"


async def end_again(service: JobServer, job: str) -> None:
    """Once a job is done, have it say so again and again: what is said once may fall into a gap."""
    while True:
        await asyncio.sleep(0.5)
        said = (await service.look(job))["said"]
        if said and said[-1]["type"] == "completed":
            await service.say(job, type="completed")


async def test_a_polled_jobs_progress(tmp_path: Path) -> None:
    async with GROUNDS["sqlite"](tmp_path) as ground, JobServer(tmp_path) as service:
        await service.run("import-8", 80, 0.1)
        environ = {
            "JOBS_UPSTREAM_URL": f"{service.url}/jobs/{{job}}",
            "JOBS_UPSTREAM_MODE": "poll",
            "JOBS_POLL_SECONDS": str(POLL_SECONDS),
        }
        path = "/api/jobs/import-8/progress"
        seen = await show(ground, tmp_path, path, seed=3, environ=environ)
        job = await service.look("import-8")
    assert seen.faults() == []
    assert seen.kills >= 3, "there was no chaos"
    numbers = [said["data"]["seq"] for said in seen.said("progress")]
    assert len(numbers) >= 5, "the job was over before it was followed"
    assert numbers == sorted(set(numbers)), "a state came twice"
    assert seen.events[-1][0] == "done", "the state at the end is never missed"
    assert hand_overs(job), "there was no takeover"
    assert unannounced(seen, job) == [], "a takeover that no gap tells of"
    assert pollers_at_once(job) <= 2
    polls = sorted(chain.from_iterable(job["polled"]))
    early = [sooner for sooner, later in pairwise(polls) if later - sooner < 990 * POLL_SECONDS]
    assert len(early) <= len(hand_overs(job)), "two polled, and not only while one took over"


def test_a_takeover_that_is_not_told_is_seen() -> None:
    def told(*gaps: tuple[int, int]) -> Show:
        data = [json.dumps({"from": start, "to": end}) for start, end in gaps]
        return Show([Seen("a viewer", data=data, types=["gap"] * len(data))])

    job = {"polled": [[9000, 12000], [0, 5000]]}
    assert unannounced(told((5100, 9100)), job) == []
    for wrong in (told(), told((5100, 8900)), told((6100, 9100))):
        assert unannounced(wrong, job) == [(5000, 9000)]
    assert pollers_at_once(job) == 1
    assert pollers_at_once({"polled": [[0, 5000], [4000, 9000]]}) == 2


async def test_a_previews_log(tmp_path: Path) -> None:
    """Nobody can go on with a process: it dies with its server, and that is told."""
    printer = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done"
    environ = {
        "LASTEVENT_PREVIEW_COMMANDS": f"printer=sh -c '{printer}'",
        "LASTEVENT_LEASE_SECONDS": "2",
    }
    async with GROUNDS["sqlite"](tmp_path) as ground:
        known = replace(ground, environ=environ)
        async with servers(known, tmp_path) as (host, other):
            async with httpx.AsyncClient() as client:
                answer = await client.post(f"{host.url}/api/previews", json={"name": "printer"})
            id = answer.raise_for_status().json()["id"]
            path = f"/api/previews/{id}/logs/stream"
            seen = Show([Seen(f"viewer {n}") for n in range(VIEWERS)])
            urls = [host.url, other.url]
            viewers = [
                asyncio.create_task(follow_raw(it, path, urls, random.Random(n)))
                for n, it in enumerate(seen.seen)
            ]
            async with asyncio.timeout(END_SECONDS):
                while not seen.seen[0].ids:
                    await asyncio.sleep(0.05)
                await asyncio.sleep(random.Random(4).uniform(0.0, 2.5))
                host.kill(signal.SIGKILL)
                await host.gone()
                host.start()
                await asyncio.gather(*viewers)
    assert seen.faults() == []
    lines = [said["text"] for said in seen.said("stdout")]
    assert lines
    assert lines == [f"line {n + 1}" for n in range(len(lines))]
    assert [kind for kind, _ in seen.events if kind != "stdout"] == ["started", "failure"]
