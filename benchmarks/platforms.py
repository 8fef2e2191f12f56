"""Measure the platforms' emulators: python benchmarks/platforms.py [--quick] [--only PLATFORM]

On each platform ours and the control (bare.py) take turns: cold starts, first bytes of a process
that is warm, and the delays of events. Ours has the emulator of Upstash as its store, to which
another process appends; the control makes its events itself. What is built is built before, and not
timed. Anything lost, repeated or out of order is reported, and makes the command fail.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic
from urllib.parse import urlsplit

from benchmarks import grounds
from benchmarks.grounds import Ground
from benchmarks.marks import Verdict, judge
from benchmarks.places import FUNCTION, PLACES, Built, Place, megabytes
from benchmarks.report import lined_up, machine, share
from benchmarks.rig import publish_straight
from benchmarks.subjects import TOKEN_SECONDS
from benchmarks.visits import Follower, first_byte
from infra.local.platforms import Platform
from lastevent.core.wire import CONTENT_TYPE
from lastevent.serve.auth import mint

SECRET = "a secret of thirty-two characters"
QUIET = "quiet"
"""A stream that has no events: on Lambda a response to it ends at once."""

FOLLOW_SECONDS = 60.0
FIRST_EVENT = 1_000_000
"""The number of an event that comes first and is not counted: it finds its client away, perhaps."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: starts, warm requests, and events at a rate a second."""

    starts: int = 7
    requests: int = 30
    events: int = 60
    rate: float = 5.0


QUICK = Scale(starts=1, requests=3, events=5)


@dataclass(frozen=True, slots=True)
class Side:
    """Ours, or the control, on a platform that runs. Times in seconds, delays in milliseconds."""

    place: Place
    platform: Platform
    headers: Mapping[str, str]

    @property
    def port(self) -> int:
        """Where it is."""
        port = urlsplit(self.platform.url).port
        assert port is not None
        return port

    async def cold(self) -> float:
        """Return the time until the first byte of a process that has to be started first."""
        if self.place.starts:
            await asyncio.to_thread(self.platform.stop)
            began = monotonic()
            await asyncio.to_thread(self.platform.start)
            return monotonic() - began + await self.warm()
        await asyncio.to_thread(self.platform.kill)
        return await self.warm()

    async def warm(self) -> float:
        """Return the time until the first byte."""
        path = f"/api/streams/{QUIET}"
        # Nobody else is served where one is; elsewhere a client may leave.
        return await first_byte(self.port, path, self.headers, whole=self.place.is_lambda)

    @asynccontextmanager
    async def following(self, path: str) -> AsyncIterator[Follower]:
        """Follow ``path`` until the context is left, or something fails."""
        follower = Follower(self.port, path, self.headers)
        async with asyncio.timeout(FOLLOW_SECONDS), asyncio.TaskGroup() as group:
            task = group.create_task(follower.run())
            yield follower
            task.cancel()


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a side. Milliseconds."""

    cold: Sequence[float]
    warm: Sequence[float]
    delays: Sequence[float]
    verdict: Verdict


async def followed(side: Side, ground: Ground, scale: Scale) -> tuple[list[float], Verdict]:
    """Return the delays of events that another process appends to the store."""
    stream = side.place.name  # what came to another platform's is not for this one
    async with side.following(f"/api/streams/{stream}") as follower:
        await publish_straight(ground, stream=stream, events=1, first=FIRST_EVENT)
        await follower.until(1)
        published = await publish_straight(
            ground, stream=stream, events=scale.events, rate=scale.rate
        )
        await follower.until(1 + scale.events)
        order = [FIRST_EVENT, *published["order"]]
        return follower.delays[1:], judge(order, follower.numbers)


async def echoed(side: Side, scale: Scale) -> list[float]:
    """Return the delays of the events that the control makes itself; one by one where a response
    reaches its client only when it is whole."""
    events = 1 if side.place.name == "lambda-buffered" else scale.events
    path = f"/api/streams/{QUIET}?events={events}&rate={scale.rate}"
    async with side.following(path) as bare:
        await bare.until(scale.events)
        return bare.delays[: scale.events]


async def measure(
    place: Place, built: Built, ground: Ground, directory: Path, scale: Scale
) -> tuple[Figures, Figures]:
    """Return what came of ours and of the control."""
    token = mint(SECRET, {"sub": "bench", "read": ["*"]}, TOKEN_SECONDS)
    headers = {"Accept": CONTENT_TYPE, "Authorization": f"Bearer {token}"}
    settings = {
        **ground.environ,
        "LASTEVENT_STORE_URL": ground.url,
        "LASTEVENT_AUTH_SECRET": SECRET,
    }
    async with (
        place.ours(built, settings, directory / place.name) as platform,
        place.bare(built, {}, directory / f"{place.name}-bare") as control,
    ):
        ours, bare = Side(place, platform, headers), Side(place, control, headers)
        sides = (ours, bare)
        colds: tuple[list[float], list[float]] = ([], [])
        warms: tuple[list[float], list[float]] = ([], [])
        for _ in range(scale.starts):
            for side, times in zip(sides, colds, strict=True):
                times.append(await side.cold() * 1e3)
        for _ in range(scale.requests):
            for side, times in zip(sides, warms, strict=True):
                times.append(await side.warm() * 1e3)
        delays, verdict = await followed(ours, ground, scale)
        echoes = await echoed(bare, scale)
    return (
        Figures(colds[0], warms[0], delays, verdict),
        Figures(colds[1], warms[1], echoes, Verdict()),
    )


ROWS: Mapping[str, Callable[[Figures], float]] = {
    "cold start to first byte, ms": lambda figures: median(figures.cold),
    "a warm process's first byte, ms": lambda figures: median(figures.warm),
    "an event, p50, ms": lambda figures: share(figures.delays, 0.5),
    "an event, p99, ms": lambda figures: share(figures.delays, 0.99),
}


def table(measured: Mapping[str, tuple[Figures, Figures]]) -> str:
    """Return the figures of ours, by platform: in brackets what they are beyond the control's."""
    lines = [["", *measured]]
    for label, figure in ROWS.items():
        pairs = [(figure(ours), figure(bare)) for ours, bare in measured.values()]
        lines.append([label, *(f"{ours:,.1f} ({ours - bare:+,.1f})" for ours, bare in pairs)])
        lines.append(["the control's", *(f"{bare:,.1f}" for _, bare in pairs)])
    return lined_up(lines)


def sizes(built: Built) -> str:
    """Return how large what is deployed is, and what of it is bytecode."""
    lines = [["", "MB", "of it bytecode", "of it boto3"]]
    vendor = built.vercel / FUNCTION / "_vendor"
    sdk = sum(megabytes(vendor / name) for name in ("boto3", "botocore", "s3transfer"))
    for name, where, of_sdk in (
        ("Vercel's function", built.vercel / FUNCTION, sdk),
        ("Lambda's bundle, for both architectures", built.on_lambda, 0.0),
    ):
        bytecode = megabytes(where, "*.pyc")
        lines.append([name, *(f"{size:.1f}" for size in (megabytes(where), bytecode, of_sdk))])
    return lined_up(lines)


async def run(places: Sequence[Place], scale: Scale) -> bool:
    """Measure, and print; return whether every event came once and in order."""
    measured = {}
    with TemporaryDirectory(prefix="lastevent-platforms-") as name:
        built = await asyncio.to_thread(Built.made, Path(name))
        print(sizes(built), end="\n\n")
        async with grounds.upstash(Path(name)) as ground:
            for place in places:
                began = monotonic()
                measured[place.name] = await measure(place, built, ground, Path(name), scale)
                print(f"{place.name:<16} {monotonic() - began:5.1f} s", file=sys.stderr)
    print(table(measured))
    wrong = {
        name: ours.verdict for name, (ours, _) in measured.items() if ours.verdict != Verdict()
    }
    for name, verdict in wrong.items():
        print(f"WRONG: {name}: {verdict}")
    return not wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a short run; times are rough")
    parser.add_argument("--only", choices=[place.name for place in PLACES], help="one platform")
    arguments = parser.parse_args()
    places = [place for place in PLACES if arguments.only in (None, place.name)]
    print("\n".join(f"{key}: {value}" for key, value in machine().items()), end="\n\n")
    return 0 if asyncio.run(run(places, QUICK if arguments.quick else Scale())) else 1


if __name__ == "__main__":
    sys.exit(main())
