"""Cold starts: what is measured starts, and with the bytecode that is said to be there."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import grounds
from benchmarks.cold_start import (
    CONTROL,
    EVERYTHING,
    REALTIME,
    SUBJECTS,
    Bench,
    Start,
    Subject,
    table,
)

APP = Subject("app", "asgi", "functions.app:app", "sqlite")
HANDLER = Subject("handler", "handler", "functions.streams:handler", "sqlite")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    directory = tmp_path_factory.mktemp("cold")
    stores = {"sqlite": {"LASTEVENT_STORE_URL": f"sqlite:///{directory}/cold.db"}}
    return Bench.laid_out(directory, stores, (CONTROL, APP, HANDLER))


@pytest.mark.parametrize("subject", [CONTROL, APP, HANDLER], ids=lambda subject: subject.name)
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "sources"])
def test_a_start_gives_a_first_byte(bench: Bench, subject: Subject, compiled: bool) -> None:
    start = bench.start(subject, compiled=compiled)
    assert start.cpu_milliseconds > 0
    assert 0 < start.milliseconds < 60_000
    assert 5 < start.megabytes < 500


def test_sources_have_no_bytecode_and_get_none(bench: Bench) -> None:
    bench.start(CONTROL, compiled=False)
    inside = bench.tree.relative_to("/")
    assert list((bench.compiled / inside / "starlette").glob("routing.*.pyc"))
    assert list(bench.plain.rglob("base_events.*.pyc"))  # the standard library's
    assert not (bench.plain / inside).exists()


def test_bytecode_is_looked_for_where_it_is_said_to_be(bench: Bench, tmp_path: Path) -> None:
    empty = replace(bench, plain=tmp_path)
    empty.start(CONTROL, compiled=False)
    empty.start(CONTROL, compiled=True, writes=True)
    assert not list(tmp_path.iterdir())
    empty.start(CONTROL, compiled=False, writes=True)
    assert list(tmp_path.rglob("routing.*.pyc"))


def test_what_does_not_start_is_said(bench: Bench) -> None:
    with pytest.raises(RuntimeError, match=r"No module named 'functions\.nobody'"):
        bench.start(Subject("nobody", "asgi", "functions.nobody:app"), compiled=True)


def test_a_refusal_is_no_first_byte(bench: Bench) -> None:
    other = {"LASTEVENT_AUTH_SECRET": "another secret, of thirty-six characters"}
    refused = replace(bench, stores={"sqlite": {**bench.stores["sqlite"], **other}})
    with pytest.raises(RuntimeError, match="app did not start: the answer is 401"):
        refused.start(APP, compiled=True)


@pytest.mark.node
async def test_a_peer_in_javascript_starts(bench: Bench, tmp_path: Path) -> None:
    async with grounds.upstash(tmp_path) as ground:
        other = replace(bench, stores={"upstash": dict(ground.environ)})
        start = await asyncio.to_thread(other.start, REALTIME, compiled=True)
        assert min(start) > 0
        nobody = {**ground.environ, "UPSTASH_REDIS_REST_TOKEN": "wrong"}
        refused = replace(bench, stores={"upstash": nobody})
        with pytest.raises(RuntimeError, match="did not start"):
            await asyncio.to_thread(refused.start, REALTIME, compiled=True)


def test_medians_stand_beside_the_control_and_everything() -> None:
    starts = {subject.name: [Start(50.0, 25.0, 10.0)] for subject in SUBJECTS}
    starts[CONTROL.name] = [Start(100.0, 50.0, 20.0), Start(90.0, 45.0, 18.0), Start(900.0, 1, 1)]
    starts[EVERYTHING.name] = [Start(400.0, 200.0, 70.0)]
    lines = table(starts, starts).splitlines()
    (control,) = (line for line in lines if CONTROL.name in line)
    assert "100 (×1.00, ×0.25)" in control
    (first,) = (line for line in lines if SUBJECTS[0].name in line)
    assert [cell.strip() for cell in first.strip("|").split("|")][1:] == [
        *["50 (×0.50, ×0.12)", "25 (×0.56, ×0.12)"] * 2, "10",
    ]  # fmt: skip
