"""A generator as a stream, with one call, and how it is followed over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from starlette.requests import Request
from starlette.routing import Route

from examples import report
from lastevent.core.errors import Conflict, InvalidName, NotFound
from lastevent.core.event import NewEvent
from lastevent.serve.app import leg_endpoint
from lastevent.serve.auth import mint
from lastevent.serve.generate import announce, cancel, generate, generated, generation, sweep
from lastevent.serve.invocation import Invocation
from lastevent.serve.service import Service
from lastevent.serve.subscribe import Subscription
from lastevent.services.generation import Generation
from lastevent.services.generations import KIND
from lastevent.services.ledger import GONE
from lastevent.services.life import TIME_UP
from lastevent.services.runs import SHUT_DOWN
from tests.serve.running import WAIT_SECONDS, Running, Serve, any_store


async def follow(service: Service, request: Request) -> Subscription:
    return await generated(service, request.path_params["stream"])


SECRET = "s" * 40
ROUTES = [Route("/answers/{stream}", leg_endpoint(follow))]

ServeAnswers = Callable[[], Awaitable[Running]]


@pytest.fixture
def serve_answers(serve: Serve) -> ServeAnswers:
    return lambda: serve(routes=ROUTES, lease_seconds=1.0)


async def words(last: asyncio.Event, *given: str) -> AsyncIterator[str]:
    for word in given:
        yield word
    await last.wait()


async def test_the_example_of_the_docs(serve_answers: ServeAnswers) -> None:
    server = await serve_answers()
    last = asyncio.Event()
    begun = await generate(server.service, "report:42", words(last, "a", "b"))
    assert begun.state == "running"
    for _ in range(2):  # who leaves finds it where it is
        async with server.leg("/answers/report:42") as leg:
            assert [note.data for note in await leg.notes(2)] == ["a", "b"]
    last.set()
    async with server.leg("/answers/report:42") as leg:
        messages = await leg.until("end")
    assert [it.type for it in messages if it.type != "stream"] == ["message", "message", "done"]
    assert (await generation(server.service, "report:42")).state in ("running", "done")


async def test_within_a_task_it_is_awaited(serve_answers: ServeAnswers) -> None:
    service = (await serve_answers()).service
    await announce(service, "report:1")
    last = asyncio.Event()
    last.set()
    end = await generate(service, "report:1", words(last, "a"), Invocation(), type="word")
    assert end.state == "done"
    page = await service.store.log.read("report:1", None)
    assert [event.type for event in page.events] == ["word", "done"]
    assert page.closed


@pytest.mark.parametrize("why", ["deadline", "shutdown"])
async def test_a_task_that_has_to_go_says_so(serve_answers: ServeAnswers, why: str) -> None:
    service = (await serve_answers()).service
    deadline = None
    if why == "deadline":
        deadline = asyncio.get_running_loop().time() + 1.0
    else:
        service.stopping.set()
    items = words(asyncio.Event(), "a")
    async with asyncio.timeout(WAIT_SECONDS):
        end = await generate(service, "report:1", items, Invocation(deadline=deadline))
    assert end.state == "failed"
    last = (await service.store.log.read("report:1", None)).events[-1]
    assert json.loads(last.data)["error"] == (TIME_UP if why == "deadline" else SHUT_DOWN)


async def test_cancel(serve_answers: ServeAnswers) -> None:
    server = await serve_answers()
    await generate(server.service, "report:1", words(asyncio.Event(), "a"))
    async with server.leg("/answers/report:1") as leg:
        await leg.notes(1)
        assert (await cancel(server.service, "report:1")).state == "stopping"
        assert (await leg.notes(1))[0].type == "cancelled"
        await leg.until("end")


@any_store
async def test_who_may_do_neither_can_neither_follow_nor_cancel_it(serve: Serve) -> None:
    """The checks are the application's: here those of the example."""
    server = await serve(
        routes=report.routes, development=False, auth_secret=SECRET, lease_seconds=1.0
    )
    begun = await generate(server.service, "report:42", words(asyncio.Event(), "a"))

    def token(**claims: list[str]) -> dict[str, str]:
        return {"Authorization": f"Bearer {mint(SECRET, {'sub': 'u', **claims}, 60)}"}

    async def statuses(headers: dict[str, str], *calls: tuple[str, str]) -> list[int]:
        answers = [await server.client.request(*call, headers=headers) for call in calls]
        return [answer.status_code for answer in answers]

    show, follow = ("GET", "/api/reports/42"), ("GET", "/api/reports/42/stream")
    stop = ("DELETE", "/api/reports/42")
    assert await statuses({}, show, follow, stop) == [401, 401, 401]
    foreign = token(read=["report:7", "other:*"], append=["report:7", "other:*"])
    assert await statuses(foreign, show, follow, stop) == [403, 403, 403]
    reader = token(read=["report:42"], append=["report:7"])
    assert await statuses(reader, show, stop) == [200, 403]
    assert await generation(server.service, "report:42") == begun, "nobody has stopped it"
    assert await statuses(token(append=["report:42"]), show, follow, stop) == [403, 403, 200]
    async with server.leg("/api/reports/42/stream", **reader) as leg:
        told = [it.type for it in await leg.until("end") if it.type != "stream"]
    assert told == ["message", "cancelled"]


async def test_a_stream_whose_server_died_ends_while_it_is_followed(
    serve_answers: ServeAnswers,
) -> None:
    server = await serve_answers()
    store = server.service.store
    dead = Generation.new("report:1", 1_800_000_000_000).claimed("dead", None).running()
    lease = await store.leases.acquire(dead.stream, "dead", 0.5)
    assert lease is not None
    await store.log.append(dead.stream, [NewEvent("message", "a")], fence=lease.token)
    await store.records.put(KIND, dead.id, dead.text)
    async with server.leg("/answers/report:1") as leg:
        await leg.until("live")
        (failure,) = (it for it in await leg.until("end") if it.type != "stream")
    assert json.loads(failure.data)["error"] == GONE


async def test_the_sweep_ends_what_nobody_looks_at(serve_answers: ServeAnswers) -> None:
    service = (await serve_answers()).service
    dead = Generation.new("report:1", 1_800_000_000_000).claimed("dead", None).running()
    await service.store.records.put(KIND, dead.id, dead.text)
    assert await sweep(service) == [
        {"stream": "report:1", "kind": "generations", "state": "failed"}
    ]
    assert (await service.store.log.describe("report:1")).closed
    assert await sweep(service) == []


async def test_what_does_not_exist(serve_answers: ServeAnswers) -> None:
    server = await serve_answers()
    assert (await server.client.get("/answers/report:1")).status_code == 404
    for call in (generation, cancel):
        with pytest.raises(NotFound):
            await call(server.service, "report:1")


async def test_what_cannot_be(serve_answers: ServeAnswers) -> None:
    service = (await serve_answers()).service
    with pytest.raises(InvalidName):
        await generate(service, "a b", words(asyncio.Event()))
    await generate(service, "report:1", words(asyncio.Event()))
    with pytest.raises(Conflict):
        await generate(service, "report:1", words(asyncio.Event()))
