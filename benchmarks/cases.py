"""The cases: what is done to a subject, and which figures come of it.

Every case starts a fresh server on a fresh store, warms it up, and checks what was delivered.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from benchmarks.marks import Verdict
from benchmarks.processes import ROOT, Server, Worker, serving
from benchmarks.subjects import SQLITE, SUBJECTS, Subject

STREAM = "bench"
PATH = f"/api/streams/{STREAM}"
WARM_UP = 50
"""Events published elsewhere first: the first publish imports what publishing needs."""

READY_SECONDS = 90.0
RESULT_SECONDS = 90.0
SATURATING = 32
"""Publishing requests in flight at once."""

CROWD_RATE = 50.0
LATENCY_RATE = 100.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How long a run takes: seconds of publishing, counts, and rounds to take medians of."""

    rounds: int = 3
    saturated_seconds: float = 3.0
    paced_seconds: float = 5.0
    crowd: int = 1000
    history: int = 10_000
    replays: int = 7
    imports: int = 7


QUICK = Scale(
    rounds=1, saturated_seconds=0.7, paced_seconds=1.0, history=10_000, replays=3, imports=3
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


class Rig:
    """A subject's server that is running, and the processes that load it."""

    def __init__(self, subject: Subject, directory: Path, server: Server) -> None:
        self.server = server
        self._subject = subject
        self._directory = directory

    @classmethod
    @asynccontextmanager
    async def of(cls, subject: Subject, directory: Path) -> AsyncIterator["Rig"]:
        """Serve ``subject`` on the store in ``directory``."""
        async with serving(subject.app, subject.environ(directory)) as server:
            rig = cls(subject, directory, server)
            await rig.publish(f"{PATH}-warm-up", events=WARM_UP)
            yield rig

    @asynccontextmanager
    async def subscribers(self, count: int = 1, **task: Any) -> AsyncIterator[Worker]:
        """Hold ``count`` subscribers, all live."""
        headers = dict(self._subject.read_headers)
        task |= {"port": self.server.port, "path": PATH, "headers": headers, "subscribers": count}
        async with Worker.started("benchmarks.subscribers", task) as worker:
            await worker.ready(READY_SECONDS)
            yield worker

    async def publish(self, path: str = PATH, **task: Any) -> dict[str, Any]:
        """Publish over HTTP."""
        headers = dict(self._subject.publish_headers)
        task |= {"path": path, "port": self.server.port, "headers": headers}
        return await self._published(task)

    async def publish_straight(self, **task: Any) -> dict[str, Any]:
        """Publish to the store itself, from another process than the server."""
        assert self._subject.store_url is not None
        task |= {"path": PATH, "stream": STREAM, "workers": 1}
        return await self._published(
            {**task, "store_url": self._subject.store_url(self._directory)}
        )

    async def _published(self, task: dict[str, Any]) -> dict[str, Any]:
        async with Worker.started("benchmarks.publisher", task) as worker:
            return await worker.result(RESULT_SECONDS)


@asynccontextmanager
async def fresh(subject: Subject) -> AsyncIterator[Rig]:
    """Serve ``subject`` on a fresh store."""
    with TemporaryDirectory(prefix="lastevent-bench-") as directory:
        async with Rig.of(subject, Path(directory)) as rig:
            yield rig


async def _followed(
    rig: Rig, count: int, publish: Callable[[], Awaitable[dict[str, Any]]], *, timed: bool
) -> tuple[dict[str, Any], dict[str, Any], float]:
    """Return what ``count`` subscribers got of a publication, that, and the server's CPU time."""
    async with rig.subscribers(count, timed=timed) as audience:
        before = rig.server.cpu_seconds()
        published = await publish()
        audience.release({"order": published["order"]})
        got = await audience.result(RESULT_SECONDS)
        return got, published, rig.server.cpu_seconds() - before


def _verdict(got: Mapping[str, Any]) -> Verdict:
    return Verdict(**got["verdict"])


def _paced(subscribers: int, rate: float, key: str) -> Run:
    async def run(subject: Subject, scale: Scale) -> Measured:
        async with fresh(subject) as rig:
            got, published, _ = await _followed(
                rig,
                subscribers or scale.crowd,
                lambda: rig.publish(rate=rate, seconds=scale.paced_seconds),
                timed=True,
            )
        figures = {f"{key}_p50": got["latency"]["p50"], f"{key}_p99": got["latency"]["p99"]}
        return Measured(figures, _verdict(got), _tool(got, published))

    return run


async def crossing(subject: Subject, scale: Scale) -> Measured:
    """Latency when another process writes to the store, and the server must notice."""
    async with fresh(subject) as rig:
        got, published, _ = await _followed(
            rig,
            1,
            lambda: rig.publish_straight(rate=LATENCY_RATE, seconds=scale.paced_seconds),
            timed=True,
        )
    figures = {"crossing_p50": got["latency"]["p50"], "crossing_p99": got["latency"]["p99"]}
    return Measured(figures, _verdict(got), _tool(got, published))


def _fan_out(subscribers: int) -> Run:
    key = f"fan_out_{subscribers}"

    async def run(subject: Subject, scale: Scale) -> Measured:
        count = min(subscribers, scale.crowd)
        async with fresh(subject) as rig:
            got, published, cpu = await _followed(
                rig,
                count,
                lambda: rig.publish(
                    seconds=scale.saturated_seconds, workers=SATURATING, pipelined=True
                ),
                timed=False,
            )
        delivered = max(got["delivered"], 1)
        figures = {
            f"{key}_delivered": delivered / max(got["seconds"], 1e-9),
            f"{key}_cpu": cpu / delivered * 1e6,
        }
        return Measured(figures, _verdict(got), _tool(got, published))

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


def _own(published: Mapping[str, Any]) -> dict[str, float]:
    return {
        "publisher_cpu": published["cpu_seconds"] / published["seconds"],
        "publisher_late_ms": published["late_ms"],
    }


def _tool(got: Mapping[str, Any], published: Mapping[str, Any]) -> dict[str, float]:
    subscribers_cpu = got["cpu_seconds"] / max(got["seconds"], 1e-9)
    return {"subscribers_cpu": subscribers_cpu, **_own(published)}


async def replay(subject: Subject, scale: Scale) -> Measured:
    """A history read again, from memory: the tail has been awake since before it was published."""
    async with fresh(subject) as rig:
        first = await rig.publish(events=1)
        async with rig.subscribers(replays=scale.replays) as audience:
            published = await rig.publish(events=scale.history, batch=500, workers=1, first=1)
            return await _replayed(audience, published, first["last_id"], "replay")


async def cold_replay(subject: Subject, scale: Scale) -> Measured:
    """The same, from the store: the server has been started since."""
    with TemporaryDirectory(prefix="lastevent-bench-") as directory:
        async with Rig.of(subject, Path(directory)) as rig:
            first = await rig.publish(events=1)
            published = await rig.publish(events=scale.history, batch=500, workers=1, first=1)
        async with (
            Rig.of(subject, Path(directory)) as rig,
            rig.subscribers(replays=scale.replays) as audience,
        ):
            return await _replayed(audience, published, first["last_id"], "cold_replay")


async def _replayed(
    audience: Worker, published: Mapping[str, Any], after: str, key: str
) -> Measured:
    audience.release({"order": published["order"], "after": after})
    got = await audience.result(RESULT_SECONDS)
    return Measured({key: len(published["order"]) / median(got["seconds"])}, _verdict(got))


async def idle(subject: Subject, scale: Scale) -> Measured:
    """What connections cost that receive nothing."""
    async with fresh(subject) as rig:
        # One comes before the measure: what a first subscriber sets up belongs to no connection.
        async with rig.subscribers(1):
            before = rig.server.memory_kib()
            async with rig.subscribers(scale.crowd):
                held = rig.server.memory_kib()
        return Measured({"idle_memory": (held - before) / scale.crowd})


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
    Case("fan-out to 1", _fan_out(1)),
    Case("fan-out to 100", _fan_out(100)),
    Case("fan-out to 1000", _fan_out(1000)),
    Case("crowd", _paced(0, CROWD_RATE, "crowd")),
    Case("replay", replay),
    Case("cold replay", cold_replay, (SQLITE,)),
    Case("idle", idle),
    Case("imports", imports),
)
