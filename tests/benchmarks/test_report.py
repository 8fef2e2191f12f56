"""The table: medians, ratios to the control, and every figure that a case gives."""

import pytest

from benchmarks.cases import CASES, Measured, Scale
from benchmarks.report import ROWS, machine, medians, table
from benchmarks.run import measure
from benchmarks.subjects import CONTROL, MEMORY, PEERS

TINY = Scale(
    rounds=1,
    saturated_seconds=0.1,
    paced_seconds=0.2,
    crowd=4,
    history=40,
    replays=2,
    imports=1,
    multitude=4,
    beating_seconds=0.2,
)


def test_medians_are_over_the_runs_of_a_subject() -> None:
    runs = [
        *((CONTROL.name, Measured({"replay": value})) for value in (3.0, 1.0, 100.0)),
        (MEMORY.name, Measured({"replay": 6.0})),
    ]
    assert medians(runs) == {"control": {"replay": 3.0}, "memory": {"replay": 6.0}}


def test_ours_stands_beside_the_control() -> None:
    lines = table(
        {
            "control": {"replay": 2000.0, "latency_p50": 1.0},
            "memory": {"replay": 1000.0},
            "sqlite": {"crossing_p50": 5.0},
        }
    ).splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == [
        "", "control", "memory", "sqlite",
    ]  # fmt: skip
    rows = {cells[0]: cells[1:] for line in lines[2:] if (cells := _cells(line))}
    assert rows["publish to subscriber, p50, ms"] == ["1.00", "", ""]
    assert rows["replay of 10,000 events, from memory, events/s"] == ["2,000", "1,000 (×0.50)", ""]
    # Compared with the control's own figure for the ordinary way.
    assert rows["the same, another process writes the file, p50, ms"] == ["", "", "5.00 (×5.00)"]
    assert len(rows) == 3


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_machine_is_described() -> None:
    about = machine()
    assert "unknown" not in about.values()
    assert {"processor", "memory", "system", "python", "packages"} <= set(about)


@pytest.mark.slow
async def test_every_case_runs_and_every_figure_has_a_row() -> None:
    runs = await measure(CASES, TINY, without=PEERS)
    assert {case for case, _, _ in runs} == {case.name for case in CASES}
    assert all(measured.verdict.is_right for _, _, measured in runs)
    keys = {key for _, _, measured in runs for key in measured.figures}
    assert keys == {row.key for row in ROWS}
    differences = (
        "imports",
        "idle_memory",
        "beating_memory",
    )  # of so little that they may be under the noise
    for _, _, measured in runs:
        assert all(value > 0 for key, value in measured.figures.items() if key not in differences)
