"""The measure of live sources: its tables, and a short run of all of it."""

import pytest

from benchmarks.marks import Verdict
from benchmarks.source_aims import KILL, PROCESS, WEBSOCKET, aims
from benchmarks.source_cases import Delays, Scale
from benchmarks.sources import CONTROL, hand_over_table, latency_table, run

TINY = Scale(events=3, lines=2, hand_overs=1, counting=1.0, viewers=(1, 2))


def test_a_source_stands_beside_the_control() -> None:
    table = latency_table(
        {"sqlite": {CONTROL: Delays([1.0, 2.0, 9.0, 4.0]), "a job": Delays([3.0, 5.0])}}
    )
    assert [line.split("|")[2:-1] for line in table.splitlines()[2:]] == [
        ["         2.0 ", "         9.0 "],
        [" 3.0 (×1.50) ", " 5.0 (×0.56) "],
    ]


def test_the_worst_hand_over_is_told() -> None:
    table = hand_over_table({"sqlite": {"a kill": [900.0, 1000.0, 1400.0]}})
    assert table.splitlines()[-1].split("|")[1:-1] == [
        " after a kill ",
        "          1,000 ",
        "         1,400 ",
    ]


def test_an_aim_that_is_missed_is_told() -> None:
    fast, slow = Delays([1.0] * 98 + [9.0, 9.0]), Delays([1.0] * 98 + [2000.0, 2000.0])
    table = aims(
        {"sqlite": {WEBSOCKET: fast, PROCESS: fast}, "upstash": {WEBSOCKET: slow}},
        {"sqlite": {KILL: [900.0, 1501.0]}},
        {1: 80.0, 50: 84.0},
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    assert rows[2:] == [
        [f"{WEBSOCKET}, p50, ms", "≤ 10", "sqlite 1.0, upstash 1.0", "met"],
        [f"{WEBSOCKET}, p99, ms", "≤ 100", "sqlite 9.0, upstash 2,000.0", "**missed**"],
        [f"{PROCESS}, p50, ms", "≤ 10", "sqlite 1.0", "met"],
        [f"{PROCESS}, p99, ms", "≤ 100", "sqlite 9.0", "met"],
        ["hand-over after a kill, worst, ms", "≤ 1,500", "sqlite 1,501.0", "**missed**"],
        ["calls of the API, most to fewest by viewers", "≤ 1.1", "1.05", "met"],
        ["sources with every event once and in order", "all", "3 of 3", "met"],
    ]


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_everything_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(["upstash"], TINY)
    told = capsys.readouterr().out
    for source in ("WebSocket", "polled", "process", "generator", "deployment", "kill", "planned"):
        assert source in told
    assert "WRONG" not in told
    assert "every event once and in order | all | 6 of 6 | met" in " ".join(told.split())


@pytest.mark.slow
async def test_what_is_lost_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def lost(*_: object) -> dict[str, Delays]:
        return {CONTROL: Delays([1.0]), "a job": Delays([1.0], Verdict(lost=1))}

    async def nothing(*_: object) -> dict[str, list[float]]:
        return {"a kill": [1.0]}

    async def costs(*_: object) -> tuple[dict[int, float], dict[int, float]]:
        return {1: 60.0}, {}

    monkeypatch.setattr("benchmarks.sources.latencies", lost)
    monkeypatch.setattr("benchmarks.sources.hand_overs", nothing)
    monkeypatch.setattr("benchmarks.sources.costs", costs)
    assert not await run(["sqlite"], TINY)
    told = capsys.readouterr().out
    assert "WRONG: sqlite, a job" in told
    assert "1 of 2 | **missed**" in " ".join(told.split())
