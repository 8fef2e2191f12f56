"""The measure of the platforms: its client, its control, and a short run on each of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import grounds
from benchmarks.cases import Scale as CaseScale
from benchmarks.marks import Verdict
from benchmarks.places import FUNCTION, PLACES, BareServer, Built, bare_lambda, megabytes
from benchmarks.platforms import Figures, Scale, measure, share, table
from benchmarks.rig import PATH, fresh
from benchmarks.subjects import SQLITE
from benchmarks.visits import Follower, first_byte
from infra.local.platforms import build_for_vercel, bundle_for_lambda
from tests.benchmarks.bad_server import serving_wrongly
from tests.platforms.built import shared

TINY = Scale(starts=1, requests=2, events=3, rate=10.0)
WAIT_SECONDS = 30.0
UVICORN, VERCEL, *LAMBDAS = PLACES


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[BareServer]:
    async with BareServer(tmp_path) as server:
        yield server


async def test_a_first_byte(bare: BareServer) -> None:
    for whole in (True, False):
        assert 0 < await first_byte(bare.port, "/?events=2&rate=20", {}, whole=whole) < WAIT_SECONDS


async def test_a_first_byte_comes_before_the_last(bare: BareServer) -> None:
    path = "/?events=1&rate=2"
    loop = asyncio.get_running_loop()
    began = loop.time()
    took = await first_byte(bare.port, path, {}, whole=True)
    assert took < 0.5 <= loop.time() - began


async def test_the_controls_events_are_followed_over_its_ends(bare: BareServer) -> None:
    follower = Follower(bare.port, "/?events=2&rate=50", {})
    async with asyncio.timeout(WAIT_SECONDS), asyncio.TaskGroup() as group:
        task = group.create_task(follower.run())
        await follower.until(5)
        task.cancel()
    assert follower.numbers[:5] == [0, 1, 0, 1, 0]
    assert all(0 < delay < WAIT_SECONDS * 1e3 for delay in follower.delays)


async def test_a_follower_comes_back_with_its_cursor() -> None:
    short = replace(SQLITE, settings={"LASTEVENT_MAX_LEG_SECONDS": "0.5"})
    async with fresh(short) as rig:
        follower = Follower(rig.server.port, PATH, short.read_headers)
        async with asyncio.timeout(WAIT_SECONDS), asyncio.TaskGroup() as group:
            task = group.create_task(follower.run())
            published = await rig.publish_straight(events=6, rate=4.0)  # over three legs
            await follower.until(6)
            task.cancel()
    assert follower.numbers == published["order"]


async def test_a_refusal_is_neither_a_first_byte_nor_followed() -> None:
    async with fresh(SQLITE) as rig:
        with pytest.raises(RuntimeError, match="answered 401"):
            await first_byte(rig.server.port, PATH, {}, whole=True)
        with pytest.raises(RuntimeError, match="answered 401"):
            await Follower(rig.server.port, PATH, {}).run()
