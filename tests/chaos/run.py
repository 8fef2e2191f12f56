"""The chaos run: publishers, subscribers, and servers that are killed, on one store.

    python -m tests.chaos.run --store upstash --seconds 60 --seed 7

Legs last one to three seconds. Servers are killed with -9 and started again at random, and the
store has bad days of its own (grounds). In the end every acknowledged event must have arrived
exactly once, in one order, at every subscriber; an event that was not acknowledged may have
arrived, at all of them or at none.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.grounds import GROUNDS, Ground
from tests.chaos.subscriber import Seen, follow_client, follow_raw
from tests.project.tree import ROOT

START_SECONDS = 20.0
END_SECONDS = 60.0


@dataclass
class Server:
    """A server process that is killed and started again on the same port."""

    number: int
    port: int
    directory: Path
    ground: Ground
    kills: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environ = (
            os.environ
            | dict(self.ground.environ)
            | {
                "LASTEVENT_DATA_DIR": str(self.directory),
                "LASTEVENT_MAX_LEG_SECONDS": str(1 + self.number % 3),
                "LASTEVENT_RETRY_MS": "200",
            }
        )
        command = [sys.executable, "-m", "lastevent.cli", "serve", "--port", str(self.port)]
        with (self.directory / f"server-{self.number}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--store", self.ground.url],
                cwd=ROOT,
                env=environ,
                stdout=log,
                stderr=log,
            )

    def kill(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.kills += 1
            self.process.send_signal(how)

    async def gone(self) -> None:
        if self.process is not None:
            await asyncio.to_thread(self.process.wait, 20)


@dataclass
class Report:
    """What happened, and what is wrong with it."""

    seed: int
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    seen: dict[str, list[Seen]] = field(default_factory=dict)
    kills: int = 0
    troubles: int = 0

    def faults(self) -> list[str]:
        """Return one sentence for each broken promise."""
        faults: list[str] = []
        for stream, subscribers in self.seen.items():
            acknowledged = self.acknowledged[stream]
            reference = subscribers[0]
            for seen in subscribers:
                who = f"{stream}, {seen.name}"
                if not seen.ended:
                    faults.append(f"{who}: never reached the end")
                if seen.resets:
                    faults.append(f"{who}: was told of {seen.resets} losses")
                if len(set(seen.ids)) < len(seen.ids):
                    faults.append(f"{who}: got {len(seen.ids) - len(set(seen.ids))} ids twice")
                if len(set(seen.data)) < len(seen.data):
                    faults.append(f"{who}: got {len(seen.data) - len(set(seen.data))} events twice")
                if seen.ids != sorted(seen.ids):
                    faults.append(f"{who}: not in order")
                if lost := set(acknowledged) - set(seen.ids):
                    faults.append(f"{who}: lost {len(lost)} of {len(acknowledged)} acknowledged")
                if seen.ids != reference.ids:
                    faults.append(f"{who}: differs from {reference.name}")
        return faults

    def __str__(self) -> str:
        everyone = [seen for group in self.seen.values() for seen in group]
        return (
            f"seed {self.seed}: {sum(map(len, self.acknowledged.values()))} acknowledged, "
            f"{sum(len(seen.ids) for seen in everyone)} received by {len(everyone)} subscribers "
            f"in {sum(seen.legs for seen in everyone)} legs, "
            f"{sum(seen.cuts for seen in everyone)} cuts, {self.kills} kills, "
            f"{self.troubles} troubles of the store"
        )


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


async def chaos(
    seed: int,
    seconds: float,
    directory: Path,
    ground: Ground,
    *,
    streams: Sequence[str] = ("a", "b"),
    servers: int = 3,
    publishers: int = 2,
    subscribers: int = 4,
) -> Report:
    """Let chaos rule for about ``seconds``; return what came of it."""
    chance = random.Random(seed)
    report = Report(seed)
    running = [Server(n, port, directory, ground) for n, port in enumerate(free_ports(servers))]
    urls = [server.url for server in running]
    tasks: list[asyncio.Task[Any]] = []
    processes: list[asyncio.subprocess.Process] = []
    try:
        for server in running:
            server.start()
        await asyncio.gather(*(answers(url) for url in urls))
        acks: list[asyncio.Task[tuple[str, list[str]]]] = []
        for stream in streams:
            report.acknowledged[stream] = []
            report.seen[stream] = [Seen(f"subscriber {n}") for n in range(subscribers)]
            for n, seen in enumerate(report.seen[stream]):
                follow = follow_client if n % 2 else follow_raw
                own = random.Random(chance.random())
                tasks.append(asyncio.create_task(follow(seen, f"/api/streams/{stream}", urls, own)))
            for n in range(publishers):
                process = await _publisher(f"p{n}", seconds, chance.randrange(10**6), stream, urls)
                processes.append(process)
                acks.append(asyncio.create_task(_acknowledged(process, stream)))
        done = asyncio.Event()
        trouble = asyncio.create_task(ground.trouble(random.Random(chance.random()), done))
        tasks.append(trouble)
        await _rule(running, chance, acks, ground.pace)
        done.set()
        report.troubles = await trouble
        for stream, identifiers in await asyncio.gather(*acks):
            report.acknowledged[stream] += identifiers
        for stream in streams:
            await _close(stream, urls)
        async with asyncio.timeout(END_SECONDS):
            await asyncio.gather(*tasks)
    except TimeoutError:
        pass  # the report says who did not reach the end
    finally:
        for task in tasks:
            task.cancel()
        for process in processes:
            if process.returncode is None:
                process.kill()
        for server in running:
            server.kill(signal.SIGKILL)
            await server.gone()
    report.kills = sum(server.kills - 1 for server in running)
    return report


async def answers(url: str) -> None:
    async with asyncio.timeout(START_SECONDS), httpx.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(f"{url}/api/health")).status_code == 200:
                    return
            await asyncio.sleep(0.1)


async def _publisher(
    name: str, seconds: float, seed: int, stream: str, urls: list[str]
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.publisher"),
        *(name, str(seconds), str(seed), stream, *urls),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )


async def _acknowledged(process: asyncio.subprocess.Process, stream: str) -> tuple[str, list[str]]:
    output, _ = await process.communicate()
    assert process.returncode == 0, "a publisher failed"
    return stream, [line.split()[1] for line in output.decode().splitlines()]


async def _rule(
    running: list[Server],
    chance: random.Random,
    publishers: "list[asyncio.Task[tuple[str, list[str]]]]",
    pace: float,
) -> None:
    """Kill servers until the publishers are done: mostly -9, at times as a platform would."""
    while not all(task.done() for task in publishers):
        await asyncio.sleep(pace * chance.uniform(0.3, 1.5))
        server = chance.choice(running)
        server.kill(signal.SIGKILL if chance.random() < 0.8 else signal.SIGTERM)
        await server.gone()
        await asyncio.sleep(chance.uniform(0.0, 0.3))
        server.start()


async def _close(stream: str, urls: list[str]) -> None:
    async with asyncio.timeout(END_SECONDS), httpx.AsyncClient() as client:
        while True:
            for url in urls:
                with contextlib.suppress(httpx.HTTPError):
                    closing = {"events": [], "close": True}
                    answer = await client.post(f"{url}/api/streams/{stream}", json=closing)
                    if answer.status_code == 201:
                        return
            await asyncio.sleep(0.2)


def main() -> int:
    """Run from the command line; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--store", choices=GROUNDS, default="sqlite")
    arguments = parser.parse_args()

    async def run(directory: Path) -> Report:
        async with GROUNDS[arguments.store](directory) as ground:
            return await chaos(arguments.seed, arguments.seconds, directory, ground)

    with tempfile.TemporaryDirectory() as directory:
        report = asyncio.run(run(Path(directory)))
    print(report)
    for fault in (faults := report.faults()):
        print("  ", fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
