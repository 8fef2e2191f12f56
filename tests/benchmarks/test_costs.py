"""What a month costs: worked out by hand, and the documents hold what the measurements say."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import counts
from benchmarks.bill import (
    LAMBDA,
    LAMBDA_API,
    PLATFORMS,
    SERVER,
    VERCEL,
    Bill,
    Course,
    Platform,
    Prices,
    Viewing,
    course,
    following,
    polling,
    wait,
)
from benchmarks.costs import CLIENTS, CROWDS, IDLE, POLLED, dial, hour, month
from benchmarks.counts import Counts, Cpu
from benchmarks.store_report import tables as measured
from benchmarks.usage import Usage
from lastevent.core.policy import RetryPolicy

DOCS = Path(__file__).parent.parent.parent / "docs"

VIEWING = Viewing(
    hours=100,
    machine_hours=730,
    events_an_hour=10,
    kept_days=3,
    stored_bytes=1e6,
    poll_every=4,
    poll_seconds=0.1,
)
"""1000 events a month, of which 100 MB are kept; 6000 minutes; 360,000 seconds."""

PRICES = Prices(
    upstash_command=0.001,
    upstash_gb_month=10,
    dynamodb_write_unit=0.01,
    dynamodb_read_unit=0.001,
    dynamodb_gb_month=20,
    lambda_gb_second=0.0001,
    lambda_request=0.002,
    http_api_request=0.01,
    vercel_cpu_hour=36,
    vercel_gb_hour=0.5,
    vercel_invocation=0.003,
    machine_hour=0.1,
)
CPU = Cpu(process_minute=0.1, viewer_minute=0.01, event=0.02, response=0.03, poll=0.004)
REDIS = Counts(
    idle=Usage(commands=2),
    stream=Usage(commands=0.5),
    append=Usage(commands=1),
    delivery=Usage(commands=3),
    arrival=Usage(commands=5),
    look=Usage(commands=2),
    poll=Usage(commands=1),
    cpu=CPU,
)
TABLE = Counts(
    idle=Usage(requests=30, read_units=4),
    stream=Usage(read_units=3),
    append=Usage(requests=2, write_units=2),
    delivery=Usage(requests=1, read_units=1),
    arrival=Usage(read_units=7),
    look=Usage(read_units=2),
    poll=Usage(read_units=1),
    cpu=CPU,
)
FILE = Counts(Usage(), Usage(), Usage(), Usage(), Usage(), Usage(), Usage(), CPU)


def _away(seconds: float, hold_seconds: float | None = None) -> dict[str, RetryPolicy]:
    """The one policy of a platform whose clients stay away for so long on average."""
    idle = (int(seconds * 500), int(seconds * 1500))
    return {"balanced": RetryPolicy(idle=idle, hold_seconds=hold_seconds)}


def test_one_viewer_of_a_server() -> None:
    bill = following(SERVER, REDIS, 1, VIEWING, PRICES)
    # 6000 minutes of 2 commands, 1000 events of 4, 0.1 GB; nobody comes from another process.
    assert bill.store == pytest.approx(12 + 4 + 0.1 * 10)
    assert bill.platform == pytest.approx(73)  # 730 hours, seen or not
    assert bill.total == pytest.approx(90)


def test_a_hundred_viewers_of_a_table() -> None:
    bill = following(SERVER, TABLE, 100, VIEWING, PRICES)
    # One process: its first stream 4 read units a minute, 99 more of 3; 100,000 events, 10 GB.
    reads = 6000 * (4 + 99 * 3) + 100_000
    assert bill.store == pytest.approx(reads * 0.001 + 200_000 * 0.01 + 10 * 20)
    assert bill.platform == pytest.approx(73)


def test_a_file_costs_nothing_but_its_machine() -> None:
    for bill in (following, polling):
        assert bill(SERVER, FILE, 100, VIEWING, PRICES) == Bill(0.0, 730 * 0.1)


def test_vercel_bills_processors_memory_and_responses() -> None:
    platform = replace(VERCEL, viewers=2, leg=8, policies=_away(2))
    bill = following(platform, REDIS, 4, VIEWING, PRICES)
    # Two processes of two viewers; 36,000 responses a viewer, half of them from the other process.
    commands = 6000 * (2 * 2 + 2 * 0.5) + 4000 * 4 + 4 * 36_000 / 2 * 5
    assert bill.store == pytest.approx(commands * 0.001 + 0.4 * 10)
    cpu = 6000 * (2 * 0.1 + 4 * 0.01) + 4000 * 0.02 + 4 * 36_000 * 0.03
    memory = 2 * 100 * 2.0
    assert bill.platform == pytest.approx(cpu / 100 + memory * 0.5 + 4 * 36_000 * 0.003)


def test_a_process_of_lambda_has_one_viewer_and_begins_anew_each_time() -> None:
    platform = replace(LAMBDA, leg=6, policies=_away(4))
    bill = following(platform, REDIS, 2, VIEWING, PRICES)
    # Nothing is asked while it is frozen, which is 4 of 10 seconds.
    commands = 2 * (3600 * 2 + 1000 * 4 + 36_000 * 5)
    assert bill.store == pytest.approx(commands * 0.001 + 0.2 * 10)
    held = 2 * 36_000 * 6
    assert bill.platform == pytest.approx(held * 0.25 * 0.0001 + 2 * 36_000 * 0.002)


def test_events_end_the_responses_of_a_buffered_function() -> None:
    platform = replace(LAMBDA_API, leg=6, policies=_away(4))
    streaming = following(replace(LAMBDA, leg=6, policies=_away(4)), REDIS, 1, VIEWING, PRICES)
    bill = following(platform, REDIS, 1, VIEWING, PRICES)
    responses = 36_000 + 1000
    assert bill.store == pytest.approx(streaming.store + 1000 * 5 * 0.001)
    held = 36_000 * 6
    assert bill.platform == pytest.approx(held * 0.25 * 0.0001 + responses * (0.002 + 0.01))


def test_a_quiet_stream_is_held_for_a_while_after_each_event_and_looked_at_for_the_rest() -> None:
    (policy,) = _away(3.9, hold_seconds=60).values()
    # An event every six minutes: 60 s in legs of 20 with pauses of 3.9 between, then 300 s of looks
    # that take 0.1 and leave 3.9.
    platform = replace(LAMBDA, leg=20, policies={"balanced": policy})
    held, responses, looks = course(platform, policy, VIEWING)
    assert (held, responses, looks) == pytest.approx((10 * (60 - 2 * 3.9), 10 * 3, 10 * 75))
    bill = following(platform, REDIS, 1, VIEWING, PRICES)
    held, looks = 1000 * (60 - 2 * 3.9), 75_000
    commands = held / 60 * 2 + 3000 * 5 + looks * 2 + 1000 * 4
    assert bill.store == pytest.approx(commands * 0.001 + 0.1 * 10)
    seconds = held + looks * 0.1
    assert bill.platform == pytest.approx(seconds * 0.25 * 0.0001 + (3000 + looks) * 0.002)
    assert wait(platform, policy, VIEWING) == pytest.approx((3.9 / 4 * 3.9 / 2, 5.85))


def test_events_that_come_often_keep_a_stream_held() -> None:
    (policy,) = _away(4, hold_seconds=60).values()
    platform = replace(LAMBDA, leg=6, policies={"balanced": policy})
    often = replace(VIEWING, events_an_hour=60)
    assert course(platform, policy, often) == Course(3600 * 0.6, 360, 0)
    # A client that is held is away between two responses only.
    (held,) = _away(4).values()
    assert wait(platform, held, often) == pytest.approx((0.4 * 2, 6))


@pytest.mark.parametrize("platform", [LAMBDA, LAMBDA_API], ids=lambda platform: platform.name)
@pytest.mark.parametrize("store", POLLED)
def test_the_cheapest_policy_lets_an_idle_client_cost_what_polling_does(
    platform: Platform, store: str
) -> None:
    counted = Counts.of(counts.read()[store])
    bill = following(platform, counted, CLIENTS, IDLE, policy="cost")
    instead = polling(platform, counted, CLIENTS, IDLE)
    assert bill.store <= instead.store
    assert bill.platform <= instead.platform


def test_a_table_that_nothing_is_written_to_is_billed_its_reads() -> None:
    quiet = replace(VIEWING, events_an_hour=0)
    assert polling(SERVER, TABLE, 1, quiet, PRICES).store == pytest.approx(90_000 * 0.001)


def test_polling_instead() -> None:
    polls = 2 * 90_000
    store = (polls + 2000) * 0.001 + 0.2 * 10
    assert polling(SERVER, REDIS, 2, VIEWING, PRICES) == pytest.approx((store, 73))
    held = polls * 0.1
    assert polling(LAMBDA, REDIS, 2, VIEWING, PRICES) == pytest.approx(
        (store, held * 0.25 * 0.0001 + polls * 0.002)
    )
    # Vercel's memory is there while a poll is, and no longer than its process.
    cpu = polls * 0.004 / 100
    for viewers, hours in ((200, 5.0), (1, 2 * 100.0)):
        platform = replace(VERCEL, viewers=viewers)
        viewing = replace(VIEWING, poll_seconds=0.1 if viewers == 200 else 50.0)
        assert polling(platform, REDIS, 2, viewing, PRICES).platform == pytest.approx(
            cpu + hours * 2.0 * 0.5 + polls * 0.003
        )


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)
@pytest.mark.parametrize("kind", [REDIS, TABLE], ids=["redis", "table"])
def test_nobody_costs_nothing_but_a_machine_that_runs_anyway(
    platform: Platform, kind: Counts
) -> None:
    for bill in (following(platform, kind, 0), polling(platform, kind, 0)):
        assert bill.store == 0.0
        assert bill.platform == (pytest.approx(12.264) if platform is SERVER else 0.0)


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)
def test_more_viewers_cost_more(platform: Platform) -> None:
    for figures in counts.read().values():
        bills = [following(platform, Counts.of(figures), viewers) for viewers in CROWDS]
        totals = [bill.total for bill in bills]
        assert totals == sorted(totals)


def test_what_crowds_add_is_told_apart_from_what_processes_cost() -> None:
    figures = {
        **Usage(1.0, 0, 31).figures("idle_1"),
        **Usage(1.0, 0, 3100).figures("idle_100_on_100"),
        **Usage(1).figures("append"),
        **Usage(1.2, -0.5).figures("sparse_1"),
        **Usage(3).figures("arrival"),
        **Usage(0, 2, 3).figures("look"),
        **Usage(1).figures("poll"),
        "idle_1_cpu": 80.0,
        "idle_100_on_100_cpu": 1.8,
        "delivery_1_cpu": 2.0,
        "response_cpu": 0.5,
        "poll_cpu": 1.5,
    }
    counted = Counts.of(figures)
    assert counted.idle == Usage(1.0, 0, 31)
    assert counted.stream == Usage(0, 0, 31)
    assert counted.delivery == Usage(1.2)
    assert (counted.look, counted.poll) == (Usage(0, 2, 3), Usage(1))
    # 80 ms of one viewer's process; 100 viewers need 180.
    assert counted.cpu.viewer_minute == pytest.approx(100e-3 / 99)
    assert counted.cpu.process_minute + counted.cpu.viewer_minute == pytest.approx(80e-3)
    assert (counted.cpu.event, counted.cpu.response, counted.cpu.poll) == (2e-3, 5e-4, 1.5e-3)


def test_counts_are_kept_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    counts.write({"processor": "one"}, {"redis": {"idle": 1.23456789, "append": 123456.7}}, path)
    assert counts.read(path) == {"redis": {"idle": 1.235, "append": 123500.0}}


def test_counts_of_some_cases_are_written_over_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    counts.write({"processor": "one"}, {"redis": {"idle": 1.0, "look": 2.0}}, path)
    counts.update({"redis": {"look": 3.0}, "sqlite": {"look": 0.0}}, path)
    assert counts.read(path) == {"redis": {"idle": 1.0, "look": 3.0}, "sqlite": {"look": 0.0}}
    assert '"processor": "one"' in path.read_text()


def test_the_documents_hold_what_was_measured() -> None:
    medians = counts.read()
    for table in (month(medians), dial(), hour(medians)):
        assert table in (DOCS / "costs.md").read_text()
    assert measured(medians) in (DOCS / "performance.md").read_text()
