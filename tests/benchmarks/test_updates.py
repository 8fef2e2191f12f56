"""The measure of messages and workflows: its tables, its judgement, and a short run of it."""

from collections.abc import Sequence

import pytest

from benchmarks import update_rig
from benchmarks.marks import Verdict
from benchmarks.processes import Server
from benchmarks.source_cases import Delays
from benchmarks.store_report import UNITS
from benchmarks.update_cases import Scale, messages
from benchmarks.update_rig import SUBJECTS, Pair, judged, pair
from benchmarks.updates import ROWS, Measured, count_table, late, latency_table, run
from benchmarks.visits import Follower

TINY = Scale(
    events=10,
    crowd_events=5,
    viewers=2,
    published=5,
    steps=2,
    orders=2,
    steps_each=2,
    counted=4,
    counted_orders=1,
)
MEMORY = SUBJECTS[0]
DYNAMODB = SUBJECTS[-1]


def _cells(table: str, label: str) -> list[str]:
    [line] = [line for line in table.splitlines() if line.startswith(f"| {label} ")]
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]


def test_a_message_stands_beside_a_bare_event_of_the_same_store() -> None:
    measured = {
        "memory": Measured({"plain": Delays([1.0, 2.0, 4.0])}),
        "sqlite": Measured(
            {"plain": Delays([2.0, 4.0, 8.0]), "message": Delays([3.0, 6.0, 9.0])}, order=46.4
        ),
    }
    table = latency_table(measured, TINY)
    assert _cells(table, "ms") == ["memory, one server", "sqlite"]
    assert _cells(table, "a bare event, 1 viewer, p99") == ["4.0", "8.0"]
    assert _cells(table, "a message, 1 viewer, p50") == ["", "6.0 (×1.50)"]
    assert _cells(table, "a message, 1 viewer, p99") == ["", "9.0 (×1.12)"]
    assert _cells(table, "a purchase order, from its upload to its end, median") == ["", "46"]


def test_what_takes_too_long_is_named_if_it_is_an_update() -> None:
    slow = Delays([1.0, 100.0])
    measured = {"redis": Measured({"reported_many": slow, "message_answer": slow})}
    assert late(measured, TINY) == ["redis, stage.progress, 2 orders: 100.0 ms"]
    measured = {"redis": Measured({"reported_many": Delays([99.9])})}
    assert late(measured, TINY) == []


def test_only_stores_that_bill_something_are_counted() -> None:
    units = {f"{key}_{unit}": 0.0 for key in ("sent", "read", "order") for unit in UNITS}
    counts = {**units, "sent_commands": 16.0, "read_commands": 30.05}
    table = count_table({"sqlite": Measured(), "upstash": Measured(counts=counts)})
    assert _cells(table, "a message, sent and told to both") == ["16 c"]
    assert _cells(table, "the same, marked as delivered and as read") == ["30.05 c"]


@pytest.mark.parametrize(
    ("log", "got", "verdict"),
    [
        ([0, 1, 3, 2], [0, 1, 3, 2], Verdict()),  # each lane's are in order
        ([0, 1, 2, 3], [0, 1, 3, 2], Verdict(disordered=1)),
        ([0, 3, 2, 1], [0, 3, 2, 1], Verdict(disordered=1)),
        ([0, 1, 2, 2, 3], [0, 1, 2, 3], Verdict(repeated=1)),
        ([0, 1, 2, 3], [0, 1, 2, 2, 3], Verdict(repeated=1)),
        ([0, 1, 2, 3], [0, 1, 3], Verdict(lost=1)),
        ([0, 1, 3], [0, 1, 3], Verdict(lost=1)),
    ],
)
async def test_what_goes_wrong_is_seen_in_the_log_and_at_the_viewer(
    log: Sequence[int], got: Sequence[int], verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def logged(*_: object) -> list[int]:
        return list(log)

    monkeypatch.setattr(update_rig, "logged", logged)
    monkeypatch.setattr(update_rig, "ARRIVAL_SECONDS", 0.01)
    monkeypatch.setattr(update_rig, "LINGER_SECONDS", 0.01)
    nowhere = Server(0, 0)
    follower = Follower(nowhere.port, "/", {})
    follower.numbers += got
    found = await judged(Pair(nowhere, nowhere), [follower], "s", 4, 2)
    assert found.verdict == verdict


async def test_what_is_seen_is_timed_and_judged_by_the_log() -> None:
    async with pair(MEMORY) as where:
        seen, answered = await messages(where, TINY, 1)
        assert await update_rig.logged(where.near, "user:paul-1") == list(range(TINY.events))
    assert seen.verdict == Verdict()
    assert len(seen.values) == len(answered.values) == TINY.events
    assert 0 < min(seen.values) < 1e4


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_everything_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run([DYNAMODB], TINY)
    told = capsys.readouterr().out
    assert "WRONG" not in told
    for row in ROWS:
        label = row.label.format(viewers=TINY.viewers, orders=TINY.orders)
        assert all(_cells(told, f"{label}, {part}") != [""] for part in ("p50", "p99"))
    [sent] = _cells(told, "a message, sent and told to both")
    requests = float(sent.split(" q")[0].split()[-1])
    assert 0 < requests < 20, "a document that is known is written without a look"


async def test_what_is_lost_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def lost(*_: object) -> Measured:
        return Measured({"plain": Delays([1.0]), "message": Delays([1.0], Verdict(lost=1))})

    monkeypatch.setattr("benchmarks.updates.measure", lost)
    assert not await run([MEMORY], TINY)
    told = capsys.readouterr().out
    assert "WRONG: memory, message: Verdict(lost=1" in told
    assert "asked of the store" not in told
