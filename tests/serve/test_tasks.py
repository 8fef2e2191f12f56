"""Tasks: what they are, and how they run beyond the request that asked for them."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message

from lastevent.core.errors import InvalidRequest, NotFound, Transient
from lastevent.serve import tasks
from lastevent.serve.app import App, endpoint, router
from lastevent.serve.invocation import SCOPE_KEY, Invocation, invocation_of
from lastevent.serve.service import Service
from lastevent.serve.settings import Settings
from lastevent.serve.tasks import MAX_ARGUMENT_BYTES, Task, spawn
from tests.serve.running import WAIT_SECONDS

PLACES = {
    name: f"{__name__}:{name}"
    for name in ("note", "wait", "wrong", "secretive", "twice", "timed_out")
}
SAFETY = 30.0
seen: list[tuple[str, Any]] = []
gates: dict[str, asyncio.Event] = {}


async def note(service: Service, invocation: Invocation, argument: Mapping[str, Any]) -> object:
    seen.append(("note", argument))
    return {"noted": argument, "deadline": invocation.deadline is not None}


async def wait(service: Service, invocation: Invocation, argument: Mapping[str, Any]) -> object:
    """Wait for the gate, or for the process to go."""
    seen.append(("begun", argument))
    gate = asyncio.ensure_future(gates["wait"].wait())
    stop = asyncio.ensure_future(service.stopping.wait())
    try:
        patient = not argument.get("heeds")
        await asyncio.wait({gate} if patient else {gate, stop}, return_when="FIRST_COMPLETED")
    except asyncio.CancelledError:
        seen.append(("cancelled", argument))
        raise
    finally:
        gate.cancel()
        stop.cancel()
    seen.append(("ended", argument))
    return None


async def wrong(service: Service, invocation: Invocation, argument: Mapping[str, Any]) -> object:
    raise Transient("the upstream is away")


async def secretive(
    service: Service, invocation: Invocation, argument: Mapping[str, Any]
) -> object:
    raise ValueError("unforeseen")


async def twice(service: Service, invocation: Invocation, argument: Mapping[str, Any]) -> object:
    """Start another, and end."""
    await spawn(service, invocation, Task("wait", argument))
    return None


async def timed_out(
    service: Service, invocation: Invocation, argument: Mapping[str, Any]
) -> object:
    raise TimeoutError("its own")


@pytest.fixture(autouse=True)
def fresh() -> None:
    seen.clear()
    gates["wait"] = asyncio.Event()


async def begin(service: Service, request: Request) -> Response:
    """Start the task that the path names."""
    task = Task(request.path_params["task"], dict(request.query_params))
    await spawn(service, invocation_of(request.scope), task)
    return JSONResponse({"begun": True}, 202)


def made() -> App:
    app = App(router([Route("/api/begin/{task}", endpoint(begin), methods=["POST"])]), tasks=PLACES)
    app.configure(Settings(store_url="memory://", auth_secret="s" * 32, sweep_seconds=0.0))
    return app


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = made()
    service = await app.begin()
    yield app
    await service.close()


class Called:
    """A request under way: what it was answered, and whether the application is done with it."""

    def __init__(self, app: App, path: str, invocation: Invocation | None = None) -> None:
        path, _, query = path.partition("?")
        self.answered = asyncio.Event()
        self.status = 0
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": query.encode(),
            "headers": [],
        }
        if invocation is not None:
            scope[SCOPE_KEY] = invocation
        self.done = asyncio.create_task(app(scope, self._receive, self._send))

    async def answer(self) -> int:
        """Wait until the client has its whole answer; return its status."""
        await asyncio.wait_for(self.answered.wait(), WAIT_SECONDS)
        return self.status

    async def _receive(self) -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif not message.get("more_body"):
            self.answered.set()


async def until(*what: str) -> None:
    """Wait until these were seen, in this order and nothing else."""
    async with asyncio.timeout(WAIT_SECONDS):
        while [name for name, _ in seen] != list(what):
            await asyncio.sleep(0.005)


def test_a_task_goes_through_an_event() -> None:
    task = Task("preview", {"id": "x", "n": [1, None]})
    assert task.event == {"lastevent": {"task": "preview", "argument": {"id": "x", "n": [1, None]}}}
    assert Task.of_event(json.loads(json.dumps(task.event))) == task
    assert Task.of_event({"lastevent": {"task": "sweep"}}) == Task("sweep")


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"lastevent": {"task": "sweep"}, "requestContext": {"http": {"method": "GET"}}},
        {"lastevent": {"task": "sweep"}, "version": "2.0"},
        {"body": '{"lastevent":{"task":"sweep"}}', "headers": {}},
        {"headers": {"lastevent": "sweep"}, "queryStringParameters": {"lastevent": "sweep"}},
        {"version": "0", "source": "aws.events"},
        [{"lastevent": {"task": "sweep"}}],
        "lastevent",
        None,
    ],
    ids=str,
)
def test_what_has_anything_else_in_it_is_no_task(event: object) -> None:
    assert Task.of_event(event) is None


@pytest.mark.parametrize(
    "told",
    ["sweep", None, {}, {"task": 1}, {"task": "a", "argument": [1]}, {"task": "a", "more": 1}],
    ids=str,
)
def test_a_task_that_cannot_be_read_is_refused(told: object) -> None:
    with pytest.raises(InvalidRequest, match="a task is written as"):
        Task.of_event({"lastevent": told})


@pytest.mark.parametrize(
    "value", [object(), float("nan"), {1, 2}, b"x"], ids=lambda value: type(value).__name__
)
def test_an_argument_is_json(value: object) -> None:
    with pytest.raises(InvalidRequest, match="no JSON object"):
        Task("a", {"value": value})


def test_an_argument_has_a_limit() -> None:
    room = MAX_ARGUMENT_BYTES - len('{"value": ""}')
    Task("a", {"value": "x" * room})
    with pytest.raises(InvalidRequest, match="is over"):
        Task("a", {"value": "x" * (room + 1)})


async def test_a_task_is_performed_and_has_a_result(app: App) -> None:
    at = asyncio.get_running_loop().time() + SAFETY
    result = await app.perform(Task("note", {"n": 1}), Invocation(deadline=at))
    assert result == {"noted": {"n": 1}, "deadline": True}


async def test_a_task_that_nobody_knows_is_refused(app: App) -> None:
    with pytest.raises(NotFound, match="no task 'other'"):
        await app.perform(Task("other"), Invocation())
    assert await Called(app, "/api/begin/other").answer() == 404


async def test_a_task_is_cancelled_before_its_deadline(app: App) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 0.4
    with pytest.raises(Transient, match="wait did not end in its time"):
        await app.perform(Task("wait"), Invocation(deadline=deadline))
    assert loop.time() < deadline, "it was cancelled while there was time to say so"
    assert [name for name, _ in seen] == ["begun", "cancelled"]


async def test_a_time_limit_of_its_own_is_not_taken_for_the_deadline(app: App) -> None:
    with pytest.raises(TimeoutError, match="its own"):
        await app.perform(Task("timed_out"), Invocation(deadline=None))


async def test_on_a_server_the_request_is_over_and_the_task_goes_on(app: App) -> None:
    called = Called(app, "/api/begin/wait?n=1")
    assert await called.answer() == 202
    await asyncio.wait_for(called.done, WAIT_SECONDS)
    await until("begun")
    gates["wait"].set()
    await until("begun", "ended")


async def test_where_it_may_freeze_the_request_is_held_until_its_task_ends(app: App) -> None:
    called = Called(app, "/api/begin/wait?n=1", Invocation(may_freeze=True))
    other = Called(app, "/api/begin/note", Invocation(may_freeze=True))
    assert await called.answer() == 202
    await asyncio.wait_for(other.done, WAIT_SECONDS)
    await until("begun", "note")
    assert not called.done.done()
    gates["wait"].set()
    await asyncio.wait_for(called.done, WAIT_SECONDS)
    assert seen[-1] == ("ended", {"n": "1"})


async def test_a_request_is_held_for_the_tasks_of_its_tasks_too(app: App) -> None:
    called = Called(app, "/api/begin/twice", Invocation(may_freeze=True))
    assert await called.answer() == 202
    await until("begun")
    assert not called.done.done()
    gates["wait"].set()
    await asyncio.wait_for(called.done, WAIT_SECONDS)


async def test_a_held_request_has_its_deadline(app: App) -> None:
    loop = asyncio.get_running_loop()
    invocation = Invocation(deadline=loop.time() + 0.4, may_freeze=True)
    called = Called(app, "/api/begin/wait", invocation)
    await asyncio.wait_for(called.done, WAIT_SECONDS)
    assert [name for name, _ in seen] == ["begun", "cancelled"]


async def test_a_platforms_own_way_comes_first(app: App) -> None:
    started: list[Task] = []

    async def elsewhere(task: Task) -> None:
        started.append(task)

    called = Called(app, "/api/begin/wait?n=1", Invocation(may_freeze=True, spawn=elsewhere))
    assert await called.answer() == 202
    await asyncio.wait_for(called.done, WAIT_SECONDS)
    assert started == [Task("wait", {"n": "1"})]
    assert await Called(app, "/api/begin/other", Invocation(spawn=elsewhere)).answer() == 404
    assert len(started) == 1, "what is not known is refused before it goes anywhere"
    assert seen == []


@pytest.mark.parametrize(
    ("name", "wanted", "trace"),
    [("wrong", "the upstream is away", False), ("secretive", "ValueError", True)],
)
async def test_a_failure_is_logged_without_the_argument(
    app: App, caplog: pytest.LogCaptureFixture, name: str, wanted: str, trace: bool
) -> None:
    called = Called(app, f"/api/begin/{name}?key=hidden", Invocation(may_freeze=True))
    await asyncio.wait_for(called.done, WAIT_SECONDS)
    (record,) = caplog.records
    assert record.getMessage() == f"the task {name} failed: {wanted}"
    assert bool(record.exc_info) == trace
    assert "hidden" not in caplog.text


async def test_a_process_takes_only_so_many(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MAX_RUNNING", 2)
    for _ in range(2):
        assert await Called(app, "/api/begin/wait").answer() == 202
    assert await Called(app, "/api/begin/wait").answer() == 503
    gates["wait"].set()
    await until("begun", "begun", "ended", "ended")
    assert await Called(app, "/api/begin/wait").answer() == 202


async def test_the_end_of_the_process_lets_tasks_end_by_themselves() -> None:
    app = made()
    service = await app.begin()
    await Called(app, "/api/begin/wait?heeds=1").answer()
    await until("begun")
    await asyncio.wait_for(service.close(), SAFETY)
    assert [name for name, _ in seen] == ["begun", "ended"]


async def test_the_end_of_the_process_cancels_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "GRACE_SECONDS", 0.05)
    app = made()
    service = await app.begin()
    await Called(app, "/api/begin/wait").answer()
    await until("begun")
    await asyncio.wait_for(service.close(), SAFETY)
    assert [name for name, _ in seen] == ["begun", "cancelled"]


async def test_a_task_is_repeated_until_the_process_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = made()
    service = await app.begin()
    service.tasks.repeat(Task("note"), 0.01)
    service.tasks.repeat(Task("wrong"), 0.01)
    async with asyncio.timeout(WAIT_SECONDS):
        while len(seen) < 3 or len(caplog.records) < 3:
            await asyncio.sleep(0.005)
    await service.close()
    count = len(seen)
    await asyncio.sleep(0.05)
    assert len(seen) == count
