"""The cases: what is done to a subject, and which figures come of it.

Every case starts a fresh server on a fresh store, warms it up, and checks what was delivered.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.marks import Verdict
from benchmarks.processes import ROOT, Worker
from benchmarks.rig import RESULT_SECONDS, Followed, Rig, fresh, grounded, heard
from benchmarks.subjects import MEMORY, RANKED, SQLITE, SUBJECTS, Subject

SATURATING = 32
"""Publishing requests in flight at once."""

SAMPLE = 64
"""Subscribers of a saturated crowd whose deliveries are timed: to time all would slow the tool."""

BEAT_SECONDS = 15.0
CROWD_RATE = 50.0
LATENCY_RATE = 100.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How long a run takes: seconds of publishing, counts, and rounds to take medians of.

    ``settle_seconds``: until pauses between looks at a store have grown to their longest, and
    subscriptions to it stand.
    """

    rounds: int = 3
    saturated_seconds: float = 3.0
    paced_seconds: float = 5.0
    crowd: int = 1000
    history: int = 10_000
    replays: int = 7
    imports: int = 7
    held_seconds: float = 120.0
    multitude: int = 10_000
    beating_seconds: float = 30.0
    settle_seconds: float = 8.0


QUICK = Scale(
    rounds=1,
    saturated_seconds=0.7,
    paced_seconds=1.0,
    history=10_000,
    replays=3,
    imports=3,
    multitude=1000,
    beating_seconds=3.0,
)


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one run, by key, and whether every event came once and in order."""

    figures: Mapping[str, float]
    verdict: Verdict = Verdict()
    tool: Mapping[str, float] = field(default_factory=dict)
    """What the load generator itself used."""


Run = Callable[[Subject, Scale], Awaitable[Measured]]


@dataclass(frozen=True, slots=True)
class Case:
    """A case, and the subjects that it makes sense for."""

    name: str
    run: Run
    subjects: tuple[Subject, ...] = SUBJECTS


def _paced(subscribers: int, rate: float, key: str) -> Run:
    async def run(subject: Subject, scale: Scale) -> Measured:
        async with fresh(subject) as rig:
            followed = await rig.followed(
                subscribers or scale.crowd,
                lambda: rig.publish(rate=rate, seconds=scale.paced_seconds),
                timed=1,
            )
        return Measured(latency(followed, key), followed.verdict, tool(followed))

    return run


async def crossing(subject: Subject, scale: Scale) -> Measured:
    """Latency when another process writes to the store, and the server must notice."""
    async with fresh(subject) as rig:
        followed = await rig.followed(
            1,
            lambda: rig.publish_straight(rate=LATENCY_RATE, seconds=scale.paced_seconds),
            timed=1,
        )
    return Measured(latency(followed, "crossing"), followed.verdict, tool(followed))


def _fan_out(subscribers: int) -> Run:
    key = f"fan_out_{subscribers}"

    async def run(subject: Subject, scale: Scale) -> Measured:
        count = min(subscribers, scale.crowd)
        async with fresh(subject) as rig:
            followed = await rig.followed(
                count,
                lambda: rig.publish(
                    seconds=scale.saturated_seconds, workers=SATURATING, pipelined=True
                ),
                timed=max(count // SAMPLE, 1),
            )
        delivered = max(followed.got["delivered"], 1)
        figures = {
            f"{key}_p99": followed.got["latency"]["p99"],
            f"{key}_delivered": delivered / max(followed.got["seconds"], 1e-9),
            f"{key}_cpu": followed.cpu_seconds / delivered * 1e6,
        }
        return Measured(figures, followed.verdict, tool(followed))

    return run


async def publishing(subject: Subject, scale: Scale) -> Measured:
    """Publishers that wait for their answers, many at once, and nobody reads."""
    async with fresh(subject) as rig:
        before = rig.server.cpu_seconds()
        published = await rig.publish(seconds=scale.saturated_seconds, workers=SATURATING)
        cpu = rig.server.cpu_seconds() - before
    figures = {
        "publish": published["events_per_second"],
        "publish_cpu": cpu / len(published["order"]) * 1e6,
    }
    return Measured(figures, tool=_own(published))


def latency(followed: Followed, key: str) -> dict[str, float]:
    """Return the figures of a latency."""
    got = followed.got["latency"]
    return {f"{key}_p50": got["p50"], f"{key}_p99": got["p99"]}


def _own(published: Mapping[str, Any]) -> dict[str, float]:
    return {
        "publisher_cpu": published["cpu_seconds"] / published["seconds"],
        "publisher_late_ms": published["late_ms"],
    }


def tool(followed: Followed) -> dict[str, float]:
    """Return what the load generator used of its processors, by seconds of the run."""
    got = followed.got
    subscribers_cpu = got["cpu_seconds"] / max(got["seconds"], 1e-9)
    return {"subscribers_cpu": subscribers_cpu, **_own(followed.published)}


async def replay(subject: Subject, scale: Scale) -> Measured:
    """A history read again, from memory: the tail has been awake since before it was published."""
    async with fresh(subject) as rig:
        # Who tells no ids is read from the start.
        events = 0 if subject.wire.plain else 1
        first = await rig.publish(events=events)
        async with rig.subscribers(replays=scale.replays) as audience:
            published = await rig.publish(events=scale.history, batch=500, workers=1, first=events)
            return await _replayed(audience, published, first["last_id"], "replay")


async def cold_replay(subject: Subject, scale: Scale) -> Measured:
    """The same, from the store: the server has been started since."""
    async with grounded(subject) as ground:
        async with Rig.of(subject, ground) as rig:
            first = await rig.publish(events=1)
            published = await rig.publish(events=scale.history, batch=500, workers=1, first=1)
        async with (
            Rig.of(subject, ground) as rig,
            rig.subscribers(replays=scale.replays) as audience,
        ):
            return await _replayed(audience, published, first["last_id"], "cold_replay")


async def _replayed(
    audience: Worker, published: Mapping[str, Any], after: str, key: str
) -> Measured:
    got = await heard(audience, published["order"], after)
    figures = {
        key: len(published["order"]) / median(got["seconds"]),
        f"{key}_first": median(got["first"]) * 1e3,
    }
    return Measured(figures, Verdict(**got["verdict"]))


async def idle(subject: Subject, scale: Scale) -> Measured:
    """What connections cost that receive nothing."""
    async with fresh(subject) as rig:
        # One comes before the measure: what a first subscriber sets up belongs to no connection.
        async with rig.subscribers(1):
            before = rig.server.memory_kib()
            async with rig.subscribers(scale.crowd):
                held = rig.server.memory_kib()
        return Measured({"idle_memory": (held - before) / scale.crowd})


async def beating(subject: Subject, scale: Scale) -> Measured:
    """What a multitude costs to which nothing comes but heartbeats, every 15 s each."""
    async with fresh(subject) as rig, rig.subscribers(1):
        before = rig.server.memory_kib()
        async with rig.subscribers(scale.multitude) as audience:
            await asyncio.sleep(BEAT_SECONDS if scale.beating_seconds > BEAT_SECONDS else 0.0)
            held, cpu = rig.server.memory_kib(), rig.server.cpu_seconds()
            await asyncio.sleep(scale.beating_seconds)
            cpu = rig.server.cpu_seconds() - cpu
            await heard(audience, [])  # all of them are still there
    figures = {
        "beating_cpu": 100 * cpu / scale.beating_seconds,
        "beating_memory": (held - before) / scale.multitude,
    }
    return Measured(figures)


async def connecting(subject: Subject, scale: Scale) -> Measured:
    """From the first connection to the last one's being live, 64 at a time."""
    async with (
        fresh(subject) as rig,
        rig.subscribers(1),
        rig.subscribers(scale.crowd) as audience,
    ):
        got = await heard(audience, [])
    return Measured({"connecting": got["connecting"] * 1e3})


async def imports(subject: Subject, scale: Scale) -> Measured:
    """What a cold start spends on importing, an interpreter that imports nothing taken off."""
    statement = "import " + ", ".join(subject.modules)
    bare = [await _interpreter("pass") for _ in range(scale.imports)]
    full = [await _interpreter(statement) for _ in range(scale.imports)]
    return Measured({"imports": (median(full) - median(bare)) * 1e3})


async def _interpreter(statement: str) -> float:
    began = perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", statement, cwd=ROOT)
    async with asyncio.timeout(RESULT_SECONDS):
        if await process.wait():
            raise RuntimeError(f"this failed: {statement}")
    return perf_counter() - began


CASES = (
    Case("latency", _paced(1, LATENCY_RATE, "latency")),
    Case("crossing", crossing, (SQLITE,)),
    Case("publishing", publishing),
    Case("fan-out to 1", _fan_out(1), RANKED),
    Case("fan-out to 100", _fan_out(100), RANKED),
    Case("fan-out to 1000", _fan_out(1000), RANKED),
    Case("crowd", _paced(0, CROWD_RATE, "crowd"), RANKED),
    Case("replay", replay, RANKED),
    Case("cold replay", cold_replay, (SQLITE,)),
    Case("idle", idle, RANKED),
    Case("connecting", connecting, RANKED),
    Case("beating", beating, (MEMORY, SQLITE)),
    Case("imports", imports),
)
