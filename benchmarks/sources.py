"""Measure live sources: python benchmarks/sources.py [--quick] [--store STORE]

From an upstream to a viewer, for each kind of source, beside the control: events that are published
over HTTP to a stream without a source, on the same server and store. Then hand-overs between two
servers, and what pumping costs: calls upstream and commands of the store, by viewers and servers.
What is aimed at is printed beside what was measured, and said to be missed where it is. Only what
is lost, repeated or out of order makes the command fail.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic

from benchmarks import grounds, source_cases
from benchmarks.grounds import Ground, Opener
from benchmarks.report import lined_up, machine, share
from benchmarks.source_aims import KILL, PLANNED_END, PROCESS, WEBSOCKET, aims
from benchmarks.source_cases import QUICK, Delays, Scale, Site, site
from benchmarks.upstreams import JobService, job_service
from infra.local.vercel_api import VercelApi

STORES: Mapping[str, Opener] = {"sqlite": grounds.sqlite, "upstash": grounds.upstash}
CONTROL = "published over HTTP"
SERVERS = (1, 2, 5)


async def latencies(
    ground: Ground, jobs: JobService, vercel: VercelApi, scale: Scale
) -> dict[str, Delays]:
    """Return the delays of each kind of source, and of the control."""
    async with site(ground, source_cases.polling(jobs), scale) as where:
        polled = await source_cases.polled(where, scale, jobs)
    upstreams = {"JOBS_UPSTREAM_URL": jobs.url, **vercel.environment}
    async with site(ground, upstreams, scale) as where:
        return {
            CONTROL: await source_cases.published(where, scale),
            WEBSOCKET: await source_cases.bridged(where, scale, jobs),
            "a job that is polled": polled,
            PROCESS: await source_cases.printed(where, scale),
            "a generator": await source_cases.generated(where, scale),
            "a deployment's log": await source_cases.logged(where, scale, vercel),
        }


async def hand_overs(ground: Ground, jobs: JobService, scale: Scale) -> dict[str, list[float]]:
    """Return how long hand-overs take, in milliseconds: the two kinds take turns."""
    kinds = {KILL: signal.SIGKILL, PLANNED_END: signal.SIGTERM}
    took: dict[str, list[float]] = {name: [] for name in kinds}
    for turn in range(scale.hand_overs):
        for name, how in kinds.items():
            job = f"{name[2:].replace(' ', '-')}-{turn}"
            took[name].append(await source_cases.handed_over(ground, jobs, how, job, scale))
    return took


@asynccontextmanager
async def _sites(
    count: int, ground: Ground, upstreams: Mapping[str, str], scale: Scale
) -> AsyncIterator[list[Site]]:
    """Run so many servers."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(site(ground, upstreams, scale)) for _ in range(count)
        ]


async def costs(
    ground: Ground, jobs: JobService, vercel: VercelApi, scale: Scale
) -> tuple[dict[int, float], dict[int, float]]:
    """Return calls of the API a minute by viewers, and commands of the store by servers."""
    upstreams = {"JOBS_UPSTREAM_URL": jobs.url, **vercel.environment}
    async with _sites(2, ground, upstreams, scale) as everywhere:
        calls = {
            viewers: await source_cases.asked(everywhere, vercel, viewers, scale.counting)
            for viewers in scale.viewers
        }
    commands = {}
    for count in SERVERS if ground.upstash is not None else ():
        # Others each time: who has pumped a job stays with it.
        async with _sites(count, ground, upstreams, scale) as everywhere:
            job = f"quiet-{count}"
            commands[count] = await source_cases.billed(ground, everywhere, job, scale.counting)
    return calls, commands


def latency_table(measured: Mapping[str, Mapping[str, Delays]]) -> str:
    """Return p50 and p99 by store, with their ratio to the control's."""
    lines = [["ms", *(f"{store}, {part}" for store in measured for part in ("p50", "p99"))]]
    for source in next(iter(measured.values())):
        cells = [source]
        for delays in measured.values():
            for part in (0.5, 0.99):
                value = share(delays[source].values, part)
                control = share(delays[CONTROL].values, part)
                ratio = "" if source == CONTROL else f" (×{value / control:.2f})"
                cells.append(f"{value:,.1f}{ratio}")
        lines.append(cells)
    return lined_up(lines)


def hand_over_table(measured: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Return the median and the worst of hand-overs by store."""
    lines = [["ms", *(f"{store}, {what}" for store in measured for what in ("median", "worst"))]]
    for kind in next(iter(measured.values())):
        values = [figure(times[kind]) for times in measured.values() for figure in (median, max)]
        lines.append([f"after {kind}", *(f"{value:,.0f}" for value in values)])
    return lined_up(lines)


async def run(stores: Sequence[str], scale: Scale) -> bool:
    """Measure, and print; return whether every event came once and in order."""
    delays: dict[str, dict[str, Delays]] = {}
    handed: dict[str, dict[str, list[float]]] = {}
    calls: dict[int, float] = {}
    commands: dict[int, float] = {}
    with TemporaryDirectory(prefix="lastevent-sources-") as name:
        async with job_service() as jobs, VercelApi(Path(name)) as vercel:
            for store in stores:
                began = monotonic()
                directory = Path(name) / store
                directory.mkdir()
                async with STORES[store](directory) as ground:
                    delays[store] = await latencies(ground, jobs, vercel, scale)
                    handed[store] = await hand_overs(ground, jobs, scale)
                    calls, commands = await costs(ground, jobs, vercel, scale)
                print(f"{store:<16} {monotonic() - began:5.1f} s", file=sys.stderr)
    print(f"From the upstream to a viewer\n\n{latency_table(delays)}\n")
    print(f"Hand-over to another process\n\n{hand_over_table(handed)}\n")
    head = ["viewers on two servers", *map(str, calls)]
    print(lined_up([head, ["calls of the API, a minute", *(f"{n:.0f}" for n in calls.values())]]))
    if commands:
        head = ["servers that watch a quiet job", *map(str, commands)]
        cells = (f"{n:.0f}" for n in commands.values())
        print(f"\n{lined_up([head, ['commands of the store, a minute', *cells]])}")
    print(f"\nAims\n\n{aims(delays, handed, calls)}")
    wrong = [
        f"{store}, {source}: {found.verdict}"
        for store, sources in delays.items()
        for source, found in sources.items()
        if not found.verdict.is_right
    ]
    for each in wrong:
        print(f"WRONG: {each}")
    return not wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a short run; times are rough")
    parser.add_argument("--store", choices=STORES, help="one store")
    arguments = parser.parse_args()
    print("\n".join(f"{key}: {value}" for key, value in machine().items()), end="\n\n")
    stores = [arguments.store] if arguments.store else list(STORES)
    return 0 if asyncio.run(run(stores, QUICK if arguments.quick else Scale())) else 1


if __name__ == "__main__":
    sys.exit(main())
