"""Promise 1 under kills, cuts and planned ends."""

from pathlib import Path

import pytest

from tests.chaos.grounds import GROUNDS
from tests.chaos.run import Report, chaos
from tests.chaos.subscriber import Seen


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("store", GROUNDS)
async def test_every_acknowledged_event_arrives_once_in_order(store: str, tmp_path: Path) -> None:
    async with GROUNDS[store](tmp_path) as ground:
        report = await chaos(1, 12.0, tmp_path, ground)
    print(report)
    assert report.faults() == []
    assert report.kills >= 3, "there was no chaos"
    assert report.troubles >= 3 or not ground.mischief, "the store had no bad day"
    assert all(len(ids) >= 20 for ids in report.acknowledged.values()), "there was no work"


def test_the_report_sees_what_is_broken() -> None:
    def faults(*seen: Seen) -> str:
        report = Report(0, {"s": ["1", "2"]}, {"s": list(seen)})
        return " ".join(report.faults())

    whole = Seen("whole", ["1", "2"], ["a", "b"], ended=True)
    assert faults(whole) == ""
    assert "lost 1 of 2" in faults(Seen("x", ["1"], ["a"], ended=True))
    assert "ids twice" in faults(Seen("x", ["1", "2", "2"], ["a", "b", "c"], ended=True))
    assert "events twice" in faults(Seen("x", ["1", "2", "3"], ["a", "b", "b"], ended=True))
    assert "not in order" in faults(Seen("x", ["2", "1"], ["b", "a"], ended=True))
    assert "losses" in faults(Seen("x", ["1", "2"], ["a", "b"], resets=1, ended=True))
    assert "differs" in faults(whole, Seen("x", ["1", "2", "3"], ["a", "b", "c"], ended=True))
    assert "never reached" in faults(Seen("x", ["1", "2"], ["a", "b"]))
