"""Regressions are seen: ratios beside those of the last full run."""

from pathlib import Path

import pytest

from benchmarks import recorded
from benchmarks.recorded import MAIN, compared, known, ratios, record
from benchmarks.report import ROWS

FIGURES = {
    "control": {"fan_out_100_delivered": 100.0, "crowd_p50": 10.0, "imports": 50.0},
    "memory": {"fan_out_100_delivered": 50.0, "crowd_p50": 30.0, "imports": 100.0},
    "sqlite": {"fan_out_100_delivered": 40.0, "replay": 7.0},
}


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recorded, "FILE", tmp_path / "recorded.json")


def test_what_was_recorded_is_known() -> None:
    assert known() == {}
    record(FIGURES, {"processor": "one"})
    assert known() == ratios(FIGURES)
    assert ratios(FIGURES) == {
        "memory": {"fan_out_100_delivered": 0.5, "crowd_p50": 3.0, "imports": 2.0},
        "sqlite": {"fan_out_100_delivered": 0.4},
    }


def test_what_is_worse_is_pointed_at() -> None:
    before = {
        "memory": {"fan_out_100_delivered": 1.0, "crowd_p50": 1.5, "imports": 1.9},
        "sqlite": {"fan_out_100_delivered": 0.2},
    }
    lines = compared(FIGURES, before).splitlines()[2:]
    told = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [cells[1:] for cells in told] == [
        ["0.50", "1.00", "worse, ×2.0"],
        ["3.00", "1.50", "worse, ×2.0"],
        ["2.00", "1.90", ""],
        ["0.40", "0.20", ""],
    ]


def test_every_main_figure_has_a_row() -> None:
    assert set(MAIN) <= {row.key for row in ROWS}
