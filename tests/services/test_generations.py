"""Generators as streams: they outlive their viewers, end truthfully, and are never run twice."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lastevent.core.errors import Conflict, InvalidEvent, NotFound
from lastevent.core.event import NewEvent
from lastevent.services.generation import Generation
from lastevent.services.generations import KIND, Generations
from lastevent.services.ledger import GONE, NOT_CLAIMED, STOPPED_BEFORE
from lastevent.services.life import TIME_UP
from lastevent.services.runs import SHUT_DOWN
from lastevent.stores.base import Store
from tests.services.logs import LEASE_SECONDS, eventually
from tests.sources.processes import WAIT_SECONDS, Held, until
from tests.sources.trouble import Trouble

STREAM = "answer:42"

Serve = Callable[..., Generations]


@pytest.fixture
async def serve(store: Store) -> AsyncIterator[Serve]:
    """Return a function that makes a server's generations; two of them are two servers."""
    made: list[Generations] = []

    def server(other: Store | None = None, **options: Any) -> Generations:
        made.append(Generations(other or store, **{"lease_seconds": LEASE_SECONDS} | options))
        return made[-1]

    yield server
    async with asyncio.timeout(WAIT_SECONDS):
        for generations in made:
            await generations.aclose()
    assert len(asyncio.all_tasks()) == 1, "nothing runs on"


class Answer:
    """An iterator of words, which waits before the last one until it is told to ``go``."""

    def __init__(self, *words: str) -> None:
        self.words = words
        self.go = asyncio.Event()
        self.begun = 0
        self.closed = False

    async def __call__(self) -> AsyncIterator[str]:
        self.begun += 1
        try:
            for word in self.words[:-1]:
                yield word
            await self.go.wait()
            yield self.words[-1]
        finally:
            self.closed = True


async def log_of(store: Store, stream: str = STREAM) -> list[tuple[str, str]]:
    return [(event.type, event.data) for event in (await store.log.read(stream, None)).events]


async def words(store: Store) -> list[str]:
    return [data for type, data in await log_of(store) if type == "message"]


async def end_of(store: Store, stream: str = STREAM) -> tuple[str, str | None]:
    """Return the last event's type and what error it tells; the stream has to be closed."""
    extent = await eventually(lambda: store.log.describe(stream), lambda it: it.closed)
    (last,) = (await store.log.read(stream, extent.newest(1))).events
    return last.type, json.loads(last.data).get("error")


async def state(generations: Generations, wanted: str) -> Generation:
    return await eventually(lambda: generations.get(STREAM), lambda it: it.state == wanted)


async def test_a_generation(store: Store, serve: Serve) -> None:
    here, there = serve(), serve()
    answer = Answer("a", "b", "c")
    begun = await here.begin(STREAM, answer())
    assert (begun.state, begun.stream) == ("running", STREAM)
    await eventually(lambda: words(store), lambda it: it == ["a", "b"])
    assert (await there.get(STREAM)).state == "running"
    answer.go.set()
    assert await end_of(store) == ("done", None)
    assert await words(store) == ["a", "b", "c"]
    end = await state(there, "done")
    assert end.ended_at is not None
    assert await here.cancel(STREAM) == end, "cancelling what has ended changes nothing"


async def test_everything_comes_once_and_in_order_however_slow_the_store(
    store: Store, serve: Serve
) -> None:
    trouble = Trouble()
    numbers = [str(number) for number in range(3000)]
    go = asyncio.Event()

    async def answer() -> AsyncIterator[str]:
        yield numbers[0]
        await go.wait()
        for number in numbers[1:]:
            yield number

    await serve(trouble.over(store)).begin(STREAM, answer())
    await eventually(lambda: words(store), len)
    trouble.before, trouble.after = 3, 3
    go.set()
    assert await end_of(store) == ("done", None)
    page, found = await store.log.read(STREAM, None), []
    while page.events:
        found += [event.data for event in page.events if event.type == "message"]
        page = await store.log.read(STREAM, page.cursor)
    assert found == numbers
    assert trouble.met == 6


async def test_an_error_ends_the_stream(store: Store, serve: Serve) -> None:
    async def fails() -> AsyncIterator[str]:
        yield "before"
        raise NotFound("there is no model of this name")

    generations = serve()
    await generations.begin(STREAM, fails())
    assert await end_of(store) == ("failure", "there is no model of this name")
    await state(generations, "failed")


async def test_cancel(store: Store, serve: Serve) -> None:
    generations = serve(lease_seconds=300.0)  # its own server need not look at the record
    answer = Answer("a", "b")
    await generations.begin(STREAM, answer())
    await eventually(lambda: words(store), len)
    assert (await generations.cancel(STREAM)).state == "stopping"
    assert await end_of(store) == ("cancelled", None)
    assert answer.closed
    assert await words(store) == ["a"]
    await state(generations, "cancelled")


async def test_another_server_can_cancel(store: Store, serve: Serve) -> None:
    here, there = serve(), serve()
    answer = Answer("a", "b")
    await there.begin(STREAM, answer())
    assert (await here.cancel(STREAM)).state == "stopping"
    assert await end_of(store) == ("cancelled", None)
    assert answer.closed
    await state(here, "cancelled")


async def test_nothing_is_generated_twice(store: Store, serve: Serve) -> None:
    here, there = serve(), serve()
    answer = Answer("a", "b")
    await here.begin(STREAM, answer())
    for generations in (here, there):
        again = Answer("x", "y")
        with pytest.raises(Conflict):
            await generations.begin(STREAM, again())
        assert again.begun == 0
    answer.go.set()
    assert await end_of(store) == ("done", None)
    await state(here, "done")
    with pytest.raises(Conflict):
        await there.begin(STREAM, Answer("x", "y")())
    assert await words(store) == ["a", "b"]


async def test_a_stream_that_others_write_is_left_alone(store: Store, serve: Serve) -> None:
    await store.log.append(STREAM, [NewEvent("message", "mine")])
    with pytest.raises(Conflict, match="there already"):
        await serve().begin(STREAM, Answer("x")())
    assert await log_of(store) == [("message", "mine")]
    with pytest.raises(NotFound):
        await serve().get(STREAM)


async def test_many_begin_at_once_and_one_does(store: Store, serve: Serve) -> None:
    servers = [serve() for _ in range(4)]
    answers = [Answer(str(number), "end") for number in range(8)]
    for answer in answers:
        answer.go.set()
    results = await asyncio.gather(
        *(
            servers[number % 4].begin(STREAM, answer(), type="word")
            for number, answer in enumerate(answers)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(it, Conflict) for it in results) == 7, results
    assert await end_of(store) == ("done", None)
    assert sum(answer.begun for answer in answers) == 1
    assert len(await log_of(store)) == 3


async def test_a_type_that_cannot_be_is_refused(serve: Serve) -> None:
    with pytest.raises(InvalidEvent):
        await serve().begin(STREAM, Answer("x")(), type="stream")


class Closable:
    """An iterator that says whether it was closed before anybody asked it for anything."""

    def __init__(self) -> None:
        self.closed = False

    def __aiter__(self) -> "Closable":
        return self

    async def __anext__(self) -> str:
        raise AssertionError("nobody may ask")

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("why", ["there already", "no room", "no room for an announced one"])
async def test_an_iterator_that_is_refused_is_closed(serve: Serve, why: str) -> None:
    generations = serve(max_running=1)
    await generations.begin("answer:1", Answer("a", "b")())
    items = Closable()
    if why == "no room for an announced one":
        await generations.announce(STREAM)
        assert (await generations.begin(STREAM, items)).state == "failed"
    else:
        with pytest.raises(Conflict):
            await generations.begin("answer:1" if why == "there already" else STREAM, items)
    assert items.closed


async def test_so_many_and_no_more(serve: Serve) -> None:
    generations = serve(max_running=1)
    await generations.begin(STREAM, Answer("a", "b")())
    with pytest.raises(Conflict, match="1 generations"):
        await generations.begin("answer:43", Answer("a", "b")())


async def test_who_has_no_room_for_an_announced_one_says_so(store: Store, serve: Serve) -> None:
    generations = serve(max_running=1)
    await generations.begin("answer:1", Answer("a", "b")())
    await generations.announce(STREAM)
    answer = Answer("x")
    assert (await generations.begin(STREAM, answer())).state == "failed"
    type, error = await end_of(store)
    assert type == "failure"
    assert "1 generations run here" in str(error)
    assert answer.begun == 0


async def test_an_announced_one(store: Store, serve: Serve) -> None:
    here, there = serve(), serve()
    assert (await here.announce(STREAM)).state == "starting"
    with pytest.raises(Conflict):
        await there.announce(STREAM)
    answer = Answer("a", "b")
    assert (await there.begin(STREAM, answer())).state == "running"
    with pytest.raises(Conflict):
        await here.begin(STREAM, Answer("x")())
    answer.go.set()
    assert await end_of(store) == ("done", None)
    assert await words(store) == ["a", "b"]


async def test_one_that_is_cancelled_before_it_begins(store: Store, serve: Serve) -> None:
    here, there = serve(), serve()
    await here.announce(STREAM)
    await here.cancel(STREAM)
    answer = Answer("x")
    with pytest.raises(Conflict):
        await there.begin(STREAM, answer())
    assert answer.begun == 0
    assert await end_of(store) == ("failure", STOPPED_BEFORE)


async def test_one_that_never_begins(
    store: Store, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = serve(), serve()
    await here.announce(STREAM)
    async with there.watch(STREAM):
        await asyncio.sleep(LEASE_SECONDS)
        assert not (await store.log.describe(STREAM)).closed, "it has a minute"
        monkeypatch.setattr("lastevent.services.ledger.CLAIM_SECONDS", 0.0)
        assert await end_of(store) == ("failure", NOT_CLAIMED)


async def test_it_ends_before_its_invocation_does_and_says_so(store: Store, serve: Serve) -> None:
    generations = serve()
    deadline = asyncio.get_running_loop().time() + 3.0
    answer = Answer("a", "b")
    begun = await generations.begin(STREAM, answer(), deadline=deadline)
    assert begun.ends_at is not None
    async with asyncio.timeout(WAIT_SECONDS):
        await generations.attend(STREAM, asyncio.Event())
    assert asyncio.get_running_loop().time() < deadline
    assert answer.closed
    assert await end_of(store) == ("failure", TIME_UP)
    assert (await generations.get(STREAM)).state == "failed"


@pytest.mark.parametrize("how", ["aclose", "attend"])
async def test_a_shutdown_is_said(store: Store, serve: Serve, how: str) -> None:
    generations = serve()
    answer = Answer("a", "b")
    await generations.begin(STREAM, answer())
    await eventually(lambda: words(store), len)
    if how == "aclose":
        await asyncio.wait_for(generations.aclose(), WAIT_SECONDS)
    else:
        leaving = asyncio.Event()
        leaving.set()
        await asyncio.wait_for(generations.attend(STREAM, leaving), WAIT_SECONDS)
    assert answer.closed
    assert await end_of(store) == ("failure", SHUT_DOWN)


async def test_who_died_is_found_out(store: Store, serve: Serve) -> None:
    dead = Generation.new(STREAM, 1_800_000_000_000).claimed("dead", None).running()
    await store.log.append(STREAM, [NewEvent("message", "a")])
    await store.records.put(KIND, STREAM, dead.text)
    generations = serve()
    async with generations.watch(STREAM):
        assert await end_of(store) == ("failure", GONE)
    assert (await generations.get(STREAM)).state == "failed"


async def test_a_record_reads_what_it_wrote() -> None:
    made = Generation.new(STREAM, 1_800_000_000_123).claimed("host", 1_800_000_009_000)
    assert Generation.parse(made.text) == made
    assert made.ends_at == "2027-01-15T08:00:09.000Z"


async def test_fifty_generations_leave_nothing_behind(store: Store, serve: Serve) -> None:
    generations = serve()
    held = Held()
    for number in range(50):
        answer = Answer("a", "b")
        await generations.begin(f"answer:{number}", answer())
        if number % 2:
            answer.go.set()
        else:
            await generations.cancel(f"answer:{number}")
    await until(lambda: Held().tasks == held.tasks, "all to be let go")
    for number in range(50):
        type, _ = await end_of(store, f"answer:{number}")
        assert type == ("done" if number % 2 else "cancelled")
