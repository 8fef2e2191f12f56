"""The load generator's restless subscribers: cut again and again, they resume and miss nothing.

It gets its task as JSON on the command line, says READY once all are there, gets the log's order as
a line on standard input when publishing is over, stops cutting, and answers with its result.

A cut comes at a chance's time and byte: the piece that is the next to come is taken up to there,
and nothing after it. A client's first, and one in ten of the others, comes before the response can
have begun, so before the first id.
"""

import asyncio
import json
import random
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from time import monotonic, process_time

import uvloop

from benchmarks.lines import answer, say
from benchmarks.marks import Verdict, judge, sequence_of
from benchmarks.report import share
from benchmarks.subscribers import Release, released
from benchmarks.visits import Visit
from lastevent.core.wire import Decoder

AT_ONCE = 0.1
"""The share of the cuts that come at once."""

PIECE_SECONDS = 0.1
"""How long a cut that is due waits for a piece to fall into."""

LINGER_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Task:
    """``cuts`` are a second, of all ``clients`` together. Clients begin at a stream's start.

    ``quiet_seconds``: once publishing is over, how long nothing may come before the rest counts as
    lost.
    """

    port: int
    path: str
    headers: Mapping[str, str]
    clients: int = 100
    cuts: float = 200.0
    seed: int = 1
    quiet_seconds: float = 5.0


class Restless:
    """One client."""

    def __init__(self, task: Task, chance: random.Random) -> None:
        self.numbers: list[int] = []
        self.cuts = 0
        self.early = 0
        """Cuts before the first id."""
        self.waits: list[float] = []
        """From a request to the first byte of its answer, in ms."""
        self.is_restless = True
        self._task = task
        self._chance = chance
        self._decoder = Decoder()
        self._visit: Visit | None = None
        self._cut_at = 0.0
        self._asked_at: float | None = None

    async def run(self) -> None:
        """Follow until cancelled; raise RuntimeError for an answer that is none."""
        while True:
            self._decoder = Decoder(last_event_id=self._decoder.last_event_id)
            headers = {"Accept": "text/event-stream", **self._task.headers}
            if self._decoder.last_event_id:
                headers["Last-Event-ID"] = self._decoder.last_event_id
            self._visit = visit = Visit(self._take)
            self._asked_at = monotonic()
            self._cut_at = self._asked_at + self._patience()
            try:
                await visit.begin(self._task.port, self._task.path, headers)
                await self._stay(visit)
            finally:
                visit.close()
            if visit.status not in (None, 200):
                raise RuntimeError(f"{self._task.path} was answered {visit.status}")

    async def _stay(self, visit: Visit) -> None:
        while not visit.ended.is_set():
            left = self._cut_at + PIECE_SECONDS - monotonic() if self.is_restless else 1.0
            try:
                async with asyncio.timeout(max(left, 0.0)):
                    await visit.ended.wait()
            except TimeoutError:
                if self.is_restless and monotonic() >= self._cut_at + PIECE_SECONDS:
                    self._cut()
                    return

    def _patience(self) -> float:
        if not self.cuts or self._chance.random() < AT_ONCE:
            return -PIECE_SECONDS
        return self._chance.expovariate(self._task.cuts / self._task.clients)

    def _take(self, piece: bytes) -> None:
        visit, now = self._visit, monotonic()
        if visit is None:
            return
        if self._asked_at is not None:
            self.waits.append((now - self._asked_at) * 1e3)
            self._asked_at = None
        is_cut = self.is_restless and now >= self._cut_at
        if is_cut:
            piece = piece[: self._chance.randrange(len(piece))]
        for message in self._decoder.feed(piece):
            if message.data.startswith("~"):
                self.numbers.append(sequence_of(message.data.split("~", 2)[1].encode()))
        if is_cut:
            self._cut()

    def _cut(self) -> None:
        visit, self._visit = self._visit, None
        if visit is None:
            return
        self.cuts += 1
        self.early += not self._decoder.last_event_id
        visit.close()
        visit.ended.set()


async def run(task: Task) -> dict[str, object]:
    """Follow and be cut; return what came."""
    chance = random.Random(task.seed)
    clients = [Restless(task, random.Random(chance.random())) for _ in range(task.clients)]
    began, cpu = monotonic(), process_time()
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(client.run()) for client in clients]
        say("READY")
        release = await released()
        for client in clients:
            client.is_restless = False
        await _arrived(clients, release, task.quiet_seconds)
        for each in running:
            each.cancel()
    verdict = Verdict()
    for client in clients:
        verdict += judge(release.order, client.numbers)
    waits = [wait for client in clients for wait in client.waits]
    return {
        "verdict": asdict(verdict),
        "cuts": sum(client.cuts for client in clients),
        "early": sum(client.early for client in clients),
        "wait_p50": share(waits, 0.5),
        "wait_p99": share(waits, 0.99),
        "seconds": monotonic() - began,
        "cpu_seconds": process_time() - cpu,
    }


async def _arrived(clients: list[Restless], release: Release, quiet_seconds: float) -> None:
    seen, quiet_since = -1, monotonic()
    while any(len(client.numbers) < len(release.order) for client in clients):
        arrived = sum(len(client.numbers) for client in clients)
        if arrived != seen:
            seen, quiet_since = arrived, monotonic()
        elif monotonic() - quiet_since > quiet_seconds:
            return
        await asyncio.sleep(0.02)
    await asyncio.sleep(LINGER_SECONDS)  # for more than there should be


def main() -> None:
    answer(uvloop.run(run(Task(**json.loads(sys.argv[1])))))


if __name__ == "__main__":
    main()
