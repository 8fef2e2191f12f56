"""Live sources under kills: all of what can be told again, and word of what cannot."""

from itertools import pairwise
from pathlib import Path

import pytest

from infra.local.job_service import JobServer
from infra.local.vercel_api import WILD, VercelApi
from tests.chaos.grounds import GROUNDS
from tests.chaos.live import Show, show, untold

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

STORES = ["sqlite", "upstash", "dynamodb"]


@pytest.mark.parametrize("store", STORES)
async def test_a_deployments_log(store: str, tmp_path: Path) -> None:
    async with GROUNDS[store](tmp_path) as ground, VercelApi(tmp_path) as vercel:
        made = await vercel.deploy("next", speed=5, chaos=WILD)
        path = f"/api/deploy/vercel/{made.id}/stream"
        seen = await show(ground, tmp_path, path, seed=1, environ=vercel.environment)
        truth = await vercel.truth(made.id)
        calls = await vercel.calls(made.id)
    assert seen.faults() == []
    assert seen.kills >= 3, "there was no chaos"
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


@pytest.mark.parametrize("store", STORES)
async def test_an_external_jobs_progress(store: str, tmp_path: Path) -> None:
    async with GROUNDS[store](tmp_path) as ground, JobServer(tmp_path, key="k" * 20) as service:
        await service.run("import-7", 100, 0.1)
        path = "/api/jobs/import-7/progress"
        seen = await show(ground, tmp_path, path, seed=2, environ=service.environment)
        job = await service.look("import-7")
    assert seen.faults() == []
    assert seen.kills >= 3, "there was no chaos"
    numbers = [said["data"]["seq"] for said in seen.said("progress", "done")]
    assert len(numbers) == len(set(numbers)), "an update came twice"
    assert numbers == sorted(numbers)
    assert seen.said("gap"), "no takeover was told of"
    assert untold(seen, job) == [], "something is missing that no gap tells of"
    assert job["connections"]["max"] <= 2
    assert seen.events[-1][0] in ("done", "failure")
