"""What the benchmarks compare with does the same work; and the aims are read off the figures.

nchan is not here: `make peers` installs it, and each run of `make bench` judges what it delivers.
"""

import pytest

from benchmarks import cases
from benchmarks.aims import AIMS, aims
from benchmarks.cases import Scale
from benchmarks.marks import Verdict
from benchmarks.rig import fresh
from benchmarks.subjects import NCHAN, PEERS, Subject

SECONDS = 30.0
OTHERS = [peer for peer in PEERS if peer is not NCHAN]


@pytest.mark.node
@pytest.mark.slow
@pytest.mark.parametrize("peer", OTHERS, ids=lambda peer: peer.name)
async def test_a_peer_follows_and_replays(peer: Subject) -> None:
    async with fresh(peer) as rig, rig.subscribers(3, timed=1) as audience:
        published = await rig.publish(events=50, workers=4)
        audience.release({"order": published["order"]})
        got = await audience.result(SECONDS)
    assert (got["delivered"], got["broken"]) == (150, 0)
    assert Verdict(**got["verdict"]) == Verdict()
    assert 0 < got["latency"]["p50"] <= got["latency"]["p99"]
    replayed = await cases.replay(peer, Scale(history=40, replays=2))
    assert replayed.verdict == Verdict()
    assert replayed.figures["replay"] > 0


def test_an_aim_is_a_ratio_in_the_same_run() -> None:
    figures = {
        "memory": {"fan_out_100_delivered": 250.0, "fan_out_1000_p99": 50.0, "idle_memory": 9.5},
        "nchan": {"fan_out_100_delivered": 200.0, "fan_out_1000_p99": 10.0, "replay": 10.0},
        "sqlite": {"cold_replay": 99.0},
    }
    _, _, *rows = aims(figures).splitlines()
    assert [[cell.strip() for cell in row.strip("|").split("|")][1:] for row in rows] == [
        ["≤ 4× nchan", "5.00", "**missed**"],
        ["≥ 1.2× nchan", "1.25", "met"],
        ["≥ 10× nchan", "9.90", "**missed**"],
        ["≤ 10", "9.50", "met"],
    ]


def test_every_aim_is_at_a_figure() -> None:
    names = {"memory", "sqlite", "control"} | {peer.name for peer in PEERS}
    keys = {key for aim in AIMS for key in (aim.key, aim.peer_key) if key}
    figures = {name: dict.fromkeys(keys, 1.0) for name in names}
    assert len(aims(figures).splitlines()) == 2 + len(AIMS)
