"""The load generator against real servers: right ones, and ones that are wrong on purpose."""

import asyncio
import sys
from asyncio.subprocess import PIPE

import pytest

from benchmarks.grounds import Ground
from benchmarks.processes import ROOT, Worker, serving
from benchmarks.rig import fresh
from benchmarks.subjects import CONTROL, MEMORY, SQLITE, SUBJECTS, Subject, Wire
from tests.benchmarks.bad_server import answering, serving_wrongly

SECONDS = 30.0
LIVE = Wire().live
RIGHT = {"lost": 0, "repeated": 0, "disordered": 0}


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
async def test_three_subscribers_and_fifty_events(subject: Subject) -> None:
    async with fresh(subject) as rig, rig.subscribers(3, timed=1) as audience:
        published = await rig.publish(events=50, workers=4)
        audience.release({"order": published["order"]})
        got = await audience.result(SECONDS)
    assert sorted(published["order"]) == list(range(50))
    assert got["verdict"] == RIGHT
    assert (got["delivered"], got["broken"]) == (150, 0)
    assert 0 < got["latency"]["p50"] <= got["latency"]["p99"] <= SECONDS * 1e3
    assert got["seconds"] > 0


async def test_a_publisher_that_does_not_wait_for_answers() -> None:
    async with fresh(MEMORY) as rig, rig.subscribers(2) as audience:
        published = await rig.publish(events=200, workers=16, pipelined=True)
        audience.release({"order": published["order"]})
        got = await audience.result(SECONDS)
    assert published["order"] == list(range(200))
    assert got["verdict"] == RIGHT


async def test_the_log_s_order_is_that_of_its_ids() -> None:
    async with answering(["b", "d", "a", "c"]) as port:
        task = {"port": port, "path": "/", "events": 4, "workers": 1}
        async with Worker.started("benchmarks.publisher", task) as publisher:
            published = await publisher.result(SECONDS)
    assert published["order"] == [2, 0, 3, 1]
    assert published["last_id"] == "d"


async def test_a_publisher_that_writes_the_file_itself() -> None:
    async with fresh(SQLITE) as rig, rig.subscribers(2, timed=1) as audience:
        published = await rig.publish_straight(rate=200.0, events=20)
        audience.release({"order": published["order"]})
        got = await audience.result(SECONDS)
    assert published["order"] == list(range(20))
    assert got["verdict"] == RIGHT


@pytest.mark.parametrize("subject", [CONTROL, MEMORY], ids=lambda subject: subject.name)
async def test_a_history_read_again(subject: Subject) -> None:
    async with fresh(subject) as rig:
        first = await rig.publish(events=1)
        async with rig.subscribers(replays=3) as audience:
            published = await rig.publish(events=400, batch=100, workers=1, first=1)
            audience.release({"order": published["order"], "after": first["last_id"]})
            got = await audience.result(SECONDS)
    assert published["order"] == list(range(1, 401))
    assert got["verdict"] == RIGHT
    assert len(got["seconds"]) == 3


INTERRUPTED = """
import signal
from benchmarks.lines import say
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
say("x" * 1_000_000)
"""


async def test_a_long_answer_comes_whole() -> None:
    """A write that is interrupted is taken in part, and an unbuffered print() drops the rest."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", INTERRUPTED, stdout=PIPE, cwd=ROOT
    )
    await asyncio.sleep(0.3)  # the pipe is full, and the writer waits
    async with asyncio.timeout(SECONDS):
        said, _ = await process.communicate()
    assert len(said) == 1_000_001


async def test_events_that_never_come_are_missed() -> None:
    """The log is said to hold three events more than were published."""
    async with fresh(CONTROL) as rig, rig.subscribers(2, quiet_seconds=0.5) as audience:
        published = await rig.publish(events=10)
        audience.release({"order": [*published["order"], 10, 11, 12]})
        got = await audience.result(SECONDS)
    assert got["verdict"] == {**RIGHT, "lost": 6}


RIGHTLY = list(range(30))


@pytest.mark.parametrize(
    ("streams", "verdict"),
    [
        ([RIGHTLY, RIGHTLY, RIGHTLY], RIGHT),
        ([RIGHTLY, RIGHTLY[:10] + RIGHTLY[11:], RIGHTLY], {**RIGHT, "lost": 1}),
        ([RIGHTLY, RIGHTLY, [*RIGHTLY, 29]], {**RIGHT, "repeated": 1}),
        ([RIGHTLY, [1, 0, *RIGHTLY[2:]], RIGHTLY], {**RIGHT, "disordered": 1}),
    ],
    ids=["right", "loses", "repeats", "swaps"],
)
async def test_what_a_wrong_server_does_is_seen(
    streams: list[list[int]], verdict: dict[str, int]
) -> None:
    async with serving_wrongly(streams) as port:
        task = {"port": port, "paths": ["/"], "headers": {}, "subscribers": len(streams)}
        task["marker"] = LIVE
        task["quiet_seconds"] = 0.5
        async with Worker.started("benchmarks.subscribers", task) as audience:
            await audience.ready(SECONDS)
            audience.release({"order": RIGHTLY})
            got = await audience.result(SECONDS)
    assert got["verdict"] == verdict


async def test_a_refused_subscription_fails_the_run() -> None:
    async with serving(MEMORY.app, MEMORY.environ(Ground("memory://"))) as server:
        task = {"port": server.port, "paths": ["/api/streams/s"], "headers": {}, "marker": LIVE}
        async with Worker.started("benchmarks.subscribers", task) as audience:
            with pytest.raises(RuntimeError, match="instead of READY"):
                await audience.ready(SECONDS)
