"""Restless subscribers: cut at any byte they miss nothing of a right server, and tell of others."""

import asyncio

import pytest

from benchmarks.marks import Verdict
from benchmarks.processes import Worker
from tests.benchmarks.bad_server import resuming

SECONDS = 60.0
EVENTS = 200


@pytest.mark.parametrize(("slip", "fault"), [(0, ""), (1, "lost"), (-1, "repeated")])
async def test_where_a_server_goes_on_is_seen(slip: int, fault: str) -> None:
    async with resuming(EVENTS, slip) as port:
        task = {"port": port, "path": "/", "headers": {}, "clients": 10, "cuts": 50.0}
        task["quiet_seconds"] = 0.5
        async with Worker.started("benchmarks.churn", task) as worker:
            await worker.ready(SECONDS)
            await asyncio.sleep(0.8)
            worker.release({"order": list(range(EVENTS))})
            got = await worker.result(SECONDS)
    verdict = Verdict(**got["verdict"])
    faults = {name for name in ("lost", "repeated", "disordered") if getattr(verdict, name)}
    assert faults == ({fault} if fault else set())
    assert got["cuts"] > 10
    assert got["early"] > 0
    assert 0 < got["wait_p50"] <= got["wait_p99"]
