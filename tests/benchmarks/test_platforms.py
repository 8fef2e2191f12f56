"""The measure of the platforms: its client, its control, and a short run on each of them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import grounds
from benchmarks.marks import Verdict
from benchmarks.places import (
    PLACES,
    BareServer,
    Built,
    Place,
    bare_lambda,
    bare_vercel,
    megabytes,
)
from benchmarks.platforms import Figures, Scale, measure, table
from benchmarks.report import share
from benchmarks.rig import STREAM, fresh
from benchmarks.subjects import SQLITE, Wire
from benchmarks.visits import Follower, first_byte
from infra.local.platforms import build_for_vercel, bundle_for_lambda
from tests.platforms.built import shared

PATH = Wire().follow.format(STREAM)
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


@pytest.mark.parametrize("whole", [True, False])
async def test_a_refusal_is_neither_a_first_byte_nor_followed(whole: bool) -> None:
    async with fresh(SQLITE) as rig:
        with pytest.raises(RuntimeError, match="answered 401"):
            await first_byte(rig.server.port, PATH, {}, whole=whole)
        with pytest.raises(RuntimeError, match="answered 401"):
            await Follower(rig.server.port, PATH, {}).run()


def test_shares() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (share(values, 0.5), share(values, 0.99), share([3.0], 0.99)) == (50.0, 99.0, 3.0)


def test_a_table_has_ours_beside_the_control() -> None:
    ours = Figures([30.0, 10.0, 20.0], [1.0], [1.0, 2.0, 9.0], Verdict())
    bare = Figures([10.0], [3.0], [0.5], Verdict())
    lines = table({"uvicorn": (ours, bare)}).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["", "uvicorn"]
    assert [row[1] for row in cells[2:]] == [
        *("20.0 (+10.0)", "10.0", "1.0 (-2.0)", "3.0"),
        *("2.0 (+1.5)", "0.5", "9.0 (+8.5)", "0.5"),
    ]


def test_sizes_are_those_of_files(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.pyc").write_bytes(b"x" * 1_000_000)
    (tmp_path / "b.py").write_bytes(b"x" * 500_000)
    assert (megabytes(tmp_path), megabytes(tmp_path, "*.pyc")) == (1.5, 1.0)


def test_the_control_takes_the_place_of_ours(tmp_path: Path) -> None:
    built = tmp_path / "built"
    (built / "functions").mkdir(parents=True)
    (built / "functions" / "streams.py").write_text("ours = True\n")
    (built / "starlette.py").touch()
    (built / "lambda-stream").write_text("exec python -m lastevent.adapters.lambda_stream\n")
    bare = bare_lambda(built, tmp_path / "bare")
    assert (bare / "starlette.py").is_symlink()
    assert "bare_buffered" in (bare / "functions" / "streams.py").read_text()
    assert (bare / "lambda-stream").read_text() == "exec python -m benchmarks.bare_runtime\n"
    assert (built / "lambda-stream").read_text().endswith("lambda_stream\n")
    assert "ours" in (built / "functions" / "streams.py").read_text()


async def test_a_server_is_measured(tmp_path: Path) -> None:
    nothing = Built(*[tmp_path] * 4)
    async with grounds.upstash(tmp_path) as ground:
        _check(*await measure(UVICORN, nothing, ground, tmp_path, TINY))


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "place",
    [pytest.param(VERCEL, marks=pytest.mark.node), *LAMBDAS],
    ids=lambda place: place.name,
)
async def test_what_is_built_is_measured(
    place: Place, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    built = Built(*[tmp_path] * 4)
    if place is VERCEL:
        output = shared(tmp_path_factory, "vercel-with-boto3", build_for_vercel)
        built = replace(built, vercel=output, bare_vercel=bare_vercel(output, tmp_path / "bare"))
    else:
        bundle = shared(tmp_path_factory, "lambda-bundle", bundle_for_lambda)
        built = replace(built, on_lambda=bundle, bare_lambda=bare_lambda(bundle, tmp_path / "bare"))
    async with grounds.upstash(tmp_path) as ground:
        _check(*await measure(place, built, ground, tmp_path, TINY))


def _check(ours: Figures, control: Figures) -> None:
    assert ours.verdict == control.verdict == Verdict()
    for figures in (ours, control):
        assert (len(figures.cold), len(figures.warm), len(figures.delays)) == (1, 2, 3)
        assert all(value > 0 for value in (*figures.cold, *figures.warm, *figures.delays))
