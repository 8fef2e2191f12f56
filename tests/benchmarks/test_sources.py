"""The measure of live sources: its tables, and a short run of all of it."""

import pytest

from benchmarks.marks import Verdict
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


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_everything_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(["upstash"], TINY)
    told = capsys.readouterr().out
    for source in ("WebSocket", "process", "generator", "deployment", "kill", "planned"):
        assert source in told
    assert "WRONG" not in told


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
    assert "WRONG: sqlite, a job" in capsys.readouterr().out
