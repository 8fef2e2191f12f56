"""Several processes on the same data: nothing lost, nothing twice, no hole, whatever is killed."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import pytest

from lastevent.core.cursor import Cursor
from lastevent.core.event import Event
from lastevent.stores.base import Store
from lastevent.stores.url import open_store
from tests.project.tree import ROOT
from tests.stores.harness import Harness, append, follow

Process = asyncio.subprocess.Process
Writers = Callable[..., Awaitable[Process]]

PATIENCE_SECONDS = 45.0


@pytest.fixture
async def real(shared: Harness) -> AsyncIterator[Store]:
    """A store on shared data, by the machine's clock, as the writers have it."""
    store = open_store(shared.url)
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
async def write(shared: Harness) -> AsyncIterator[Writers]:
    """Return a function that starts a writing process; none outlives the test."""
    async with AsyncExitStack() as stack:

        async def start(name: str, count: int) -> Process:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.stores.writer"),
                *(shared.url, "s", name, str(count)),
                cwd=ROOT,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 22,
            )
            stack.push_async_callback(end, process)
            return process

        yield start


async def end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.communicate()


async def acknowledged(process: Process) -> list[list[str]]:
    """Return the ids of the whole lines that a process has printed, at its end."""
    output, _ = await process.communicate()
    return [line.split() for line in output.decode().split("\n")[:-1]]


def assert_dense(events: list[Event]) -> None:
    """Every event follows the last one, and no two say the same."""
    sequences = [Cursor.parse(event.id).sequence for event in events]
    assert sequences == list(range(1, len(events) + 1))
    assert len({event.data for event in events}) == len(events), "nothing twice"


def assert_whole_batches(events: list[Event]) -> None:
    """What one writer said is in its order, and each batch lies in one piece."""
    last: dict[str, int] = {}
    rest = iter(event.data.split() for event in events)
    for name, batch, n, size in rest:
        assert (int(batch), n) == (last.get(name, -1) + 1, "0")
        last[name] = int(batch)
        for follower in range(1, int(size)):
            assert next(rest) == [name, batch, str(follower), size]


async def read_live(store: Store, is_over: Callable[[], bool]) -> list[Event]:
    """Read page by page while others write, until nothing is new after ``is_over``."""
    events: list[Event] = []
    cursor: Cursor | None = None
    while True:
        last_round = is_over()
        page = await store.log.read("s", cursor, 37)
        assert not page.truncated
        events += page.events
        cursor = page.cursor
        if page.at_end:
            if last_round:
                return events
            await store.wakeup.wait({"s": cursor}, 0.2)


async def test_four_writing_processes_and_a_paging_reader(real: Store, write: Writers) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        writers = [await write(f"w{n}", 400) for n in range(4)]
        answers = [asyncio.create_task(acknowledged(writer)) for writer in writers]
        events = await read_live(real, lambda: all(answer.done() for answer in answers))
    assert [writer.returncode for writer in writers] == [0] * 4
    batches = [ids for answer in answers for ids in answer.result()]
    assert len(batches) == 1600
    ids = [id for batch in batches for id in batch]
    assert_dense(events)
    assert_whole_batches(events)
    assert sorted(ids) == [event.id for event in events], "each acknowledged id was seen"


async def test_a_writer_is_killed_in_the_middle(real: Store, write: Writers) -> None:
    """What it had been told is there, what it had not is there whole or not at all."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        survivor = asyncio.create_task(acknowledged(await write("survivor", 100)))
        told: list[list[str]] = []
        for round in range(4):
            victim = await write(f"victim{round}", 0)
            assert victim.stdout is not None
            for _ in range(10 + 7 * round):
                told.append((await victim.stdout.readline()).decode().split())
            victim.kill()
            told += await acknowledged(victim)
        told += await survivor
        events, _ = await follow(real, "s")
    assert_dense(events)
    assert_whole_batches(events)
    ids = {event.id for event in events}
    assert all(id in ids for batch in told for id in batch)
    answer = await append(real, "s", "after all", close=True)
    assert answer.cursor.sequence == len(events) + 1


async def test_readers_and_writers_in_one_process(store: Store) -> None:
    """Everything at once: appends to a few streams, deletions of one, readers of all."""

    async def write(stream: str, name: int) -> None:
        for n in range(30):
            await append(store, stream, f"{name} {n} 0 1")

    writing = [asyncio.create_task(write("s", name)) for name in range(4)]
    writing += [asyncio.create_task(write("other", 0))]
    readers = [
        asyncio.create_task(read_live(store, lambda: all(task.done() for task in writing)))
        for _ in range(5)
    ]
    async with asyncio.timeout(PATIENCE_SECONDS):
        for _ in range(20):
            await store.log.delete("other")
            await asyncio.sleep(0.001)
        await asyncio.gather(*writing)
        for events in await asyncio.gather(*readers):
            assert len(events) == 120
            assert_dense(events)
            assert_whole_batches(events)
