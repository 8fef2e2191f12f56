"""The cases of the stores: all of them run, and every figure has its place in the tables."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from benchmarks import held_cases, store_cases
from benchmarks.cases import Case, Scale
from benchmarks.marks import Verdict
from benchmarks.rig import STREAM, fresh
from benchmarks.run import measure
from benchmarks.store_report import COUNTED, SPEED, UNITS, tables
from benchmarks.stores import hold, main
from benchmarks.subjects import STORES, Subject

TINY = Scale(
    rounds=1,
    saturated_seconds=0.1,
    paced_seconds=0.5,
    history=40,
    replays=2,
    held_seconds=1.0,
    settle_seconds=0.5,
)
SQLITE, *_, WIDEST = STORES
"""One that asks nobody, and one that asks two services."""


def test_a_count_is_shown_where_there_is_one() -> None:
    units = dict.fromkeys((f"idle_1_{unit}" for unit in UNITS), 0.0)
    some: Mapping[str, Mapping[str, float]] = {
        "sqlite": {"replay": 100.0},
        "upstash": {**units, "idle_1_commands": 1.5, "replay": 50.0},
        "redis": units,
        "dynamodb": {**units, "idle_1_requests": 31.0, "idle_1_read_units": 3100.0},
    }
    speed, counts = tables(some).split("\n\n")
    assert "50 (×0.50)" in speed
    (line,) = counts.splitlines()[2:]
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        COUNTED["idle_1"], "1.5 c", "", "0", "31 q 3,100 r", "",
    ]  # fmt: skip


@pytest.mark.parametrize("processes", [1, 3])
async def test_publishers_of_several_processes_make_one_order(processes: int) -> None:
    async with fresh(SQLITE) as rig:
        published = await rig.publish_straight(events=20, workers=2, processes=processes)
        assert len(set(published["order"])) == 20 * processes
        assert published["ids"] == sorted(published["ids"])
        assert published["events_per_second"] > 0
        assert await rig.read_back(published["order"]) == Verdict()
        wrong = [*published["order"][1:], published["order"][0]]
        assert (await rig.read_back(wrong)).disordered


async def test_subscribers_are_spread_over_streams() -> None:
    async with fresh(SQLITE) as rig:
        published = await rig.publish(f"{STREAM}-1", events=6)
        async with rig.subscribers(5, streams=3, quiet_seconds=0.5) as audience:
            audience.release({"order": published["order"]})
            got = await audience.result(30)
    assert got["delivered"] == 2 * 6  # to the second of the three, and to the fifth


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("subject", [SQLITE, WIDEST], ids=lambda subject: subject.name)
async def test_every_case_runs(subject: Subject) -> None:
    runs = await hold(_on(subject, held_cases.CASES), TINY)
    runs += await measure(_on(subject, store_cases.CASES), TINY)
    assert all(name == subject.name for _, name, _ in runs)
    assert all(measured.verdict.is_right for _, _, measured in runs)
    figures = {key: value for _, _, measured in runs for key, value in measured.figures.items()}
    counted = {f"{key}_{unit}" for key in COUNTED for unit in UNITS}
    assert figures.keys() == {row.key for row in SPEED} | counted
    assert all(value > 0 for key, value in figures.items() if key in {row.key for row in SPEED})
    asked = sum(figures[f"append_{unit}"] for unit in UNITS)
    assert (asked > 0) == (subject is not SQLITE)


@pytest.mark.slow
@pytest.mark.parametrize("subject", STORES[1:-1], ids=lambda subject: subject.name)
async def test_a_case_runs_on_every_store(subject: Subject) -> None:
    ((_, name, measured),) = await measure(_on(subject, store_cases.CASES[:1]), TINY)
    assert name == subject.name
    assert measured.verdict.is_right
    assert sum(measured.figures[f"append_{unit}"] for unit in UNITS) > 0


def _on(subject: Subject, cases: tuple[Case, ...]) -> list[Case]:
    return [replace(case, subjects=(subject,)) for case in cases]


def test_counts_of_a_short_run_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["stores.py", "--counts", "--quick", "--only", "looking"])
    with pytest.raises(SystemExit):
        main()
