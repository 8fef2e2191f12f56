"""The chaos run of a live source: three viewers, and the server that pumps is killed at random.

Nobody knows which server pumps, so any is killed, most of them the hard way. In the end every
viewer must have seen the same events, once, in one order, up to the end of the stream.
"""

import asyncio
import json
import random
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.chaos.grounds import Ground
from tests.chaos.run import Server, answers, free_ports
from tests.chaos.subscriber import Seen, follow_client, follow_raw

END_SECONDS = 60.0
VIEWERS = 3
NOTED_MS = 1000
"""So much later than a poll its poller may have noted when it heard the upstream last."""


@dataclass
class Show:
    """What the viewers of one source saw, and how often a server was killed meanwhile."""

    seen: list[Seen] = field(default_factory=list)
    kills: int = 0

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """What the first viewer saw, as all of them did: type and data of each."""
        first = self.seen[0]
        return [
            (kind, json.loads(data)) for kind, data in zip(first.types, first.data, strict=True)
        ]

    def said(self, *types: str) -> list[dict[str, Any]]:
        """Return the data of the events of these types."""
        return [data for kind, data in self.events if kind in types]

    def faults(self) -> list[str]:
        """Return one sentence for each broken promise to a viewer."""
        faults: list[str] = []
        for seen in self.seen:
            if not seen.ended:
                faults.append(f"{seen.name} never reached the end")
            if seen.resets:
                faults.append(f"{seen.name} was told of {seen.resets} losses")
            if len(set(seen.ids)) < len(seen.ids):
                faults.append(f"{seen.name} got events twice")
            if seen.ids != sorted(seen.ids):
                faults.append(f"{seen.name} got events out of order")
            if seen.ids != self.seen[0].ids:
                faults.append(f"{seen.name} saw something else than {self.seen[0].name}")
        return faults


def untold(show: Show, job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what an external job said, from its first viewer on to the end that the stream tells,
    that neither an event of it nor a gap tells of."""
    numbers = {said["data"]["seq"] for said in show.said("progress", "done")}
    gaps = [(gap["from"], gap["to"]) for gap in show.said("gap")]
    first, last = min(connection["began"] for connection in job["heard"]), max(numbers)
    return [
        update
        for update in job["said"]
        if update["seq"] not in numbers
        and update["seq"] < last
        and update["at"] > first
        and not any(start <= update["at"] <= end for start, end in gaps)
    ]


def hand_overs(job: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return when one who polled an external job did so last, and the next one first, in Unix ms.
    A poller keeps its connection."""
    return [(one[-1], next[0]) for one, next in pairwise(sorted(job["polled"]))]


def unannounced(show: Show, job: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return the hand-overs of a polled job that no gap covers."""
    gaps = [(gap["from"], gap["to"]) for gap in show.said("gap")]
    return [
        (last, first)
        for last, first in hand_overs(job)
        if not any(start <= last + NOTED_MS and first <= end for start, end in gaps)
    ]


def pollers_at_once(job: Mapping[str, Any]) -> int:
    """Return how many polled an external job at once, each from its first poll to its last."""
    polled: list[list[int]] = job["polled"]
    return max(sum(it[0] <= own[0] <= it[-1] for it in polled) for own in polled)


@asynccontextmanager
async def servers(ground: Ground, directory: Path, count: int = 2) -> AsyncIterator[list[Server]]:
    """Run servers on one store."""
    running = [Server(n, port, directory, ground) for n, port in enumerate(free_ports(count))]
    try:
        for server in running:
            server.start()
        await asyncio.gather(*(answers(server.url) for server in running))
        yield running
    finally:
        for server in running:
            server.kill(signal.SIGKILL)
            await server.gone()


async def show(
    ground: Ground,
    directory: Path,
    path: str,
    *,
    seed: int,
    environ: dict[str, str],
    calm: float = 0.0,
) -> Show:
    """Follow ``path`` with three viewers to its end, and kill servers until then.

    ``environ`` is what the servers must know of the source; ``calm``: seconds before the first
    kill.
    """
    chance = random.Random(seed)
    result = Show([Seen(f"viewer {n}") for n in range(VIEWERS)])
    known = replace(ground, environ={**ground.environ, **environ})
    async with servers(known, directory) as running:
        urls = [server.url for server in running]
        viewers = [
            asyncio.create_task(
                (follow_client if n % 2 else follow_raw)(
                    seen, path, urls, random.Random(chance.random())
                )
            )
            for n, seen in enumerate(result.seen)
        ]
        try:
            async with asyncio.timeout(END_SECONDS):
                await asyncio.sleep(calm)
                while not all(viewer.done() for viewer in viewers):
                    await asyncio.sleep(ground.pace * chance.uniform(0.8, 2.0))
                    server = chance.choice(running)
                    server.kill(signal.SIGKILL if chance.random() < 0.8 else signal.SIGTERM)
                    await server.gone()
                    server.start()
                    result.kills += 1
                await asyncio.gather(*viewers)
        except TimeoutError:
            pass  # the report says who did not reach the end
        finally:
            for viewer in viewers:
                viewer.cancel()
    return result
