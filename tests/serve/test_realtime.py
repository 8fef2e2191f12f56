"""Purchase orders over HTTP: uploaded, followed, cancelled, done again; and by whom."""

import asyncio
import json
from collections.abc import Mapping
from time import time
from typing import Any

import jwt
import pytest

from functions import realtime
from functions.realtime import carry_on, routes
from lastevent.core.errors import UpstreamLost, UpstreamRefused
from lastevent.serve.invocation import Invocation
from lastevent.serve.service import Service
from lastevent.serve.tasks import Task, Tasks
from lastevent.services.merchant_events import failure_event
from lastevent.services.workflow.records import KIND, MAX_INPUT_BYTES
from lastevent.services.workflow.stage import StageContext
from lastevent.services.workflow.transitions import taken
from lastevent.services.workflow.values import Input, Result, Run
from lastevent.services.workflow.workflows import Workflows
from tests.serve.running import WAIT_SECONDS, Running, Serve, any_store, state
from tests.services.toy_workflow import Toy, check_order, outline

SECRET = "s" * 40
CSV = {"Content-Type": "text/csv"}
FAILURE = failure_event(po_id="po_1", workflow_id="wf_1", stage="read", error="no")
ORDER = b"sku,quantity\nMUG-01,12\n"


def token(merchant: str | None = "42", **claims: object) -> dict[str, str]:
    claims = {"sub": "u", "exp": time() + 60} | claims
    if merchant is not None:
        claims["merchant"] = merchant
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> dict[Service, Toy]:
    """The stages of each server are a toy's: those of a purchase order have tests of their own."""
    made: dict[Service, Toy] = {}

    def workflows(service: Service) -> Workflows:
        toy = made[service] = Toy(service.store, "purchase-order")
        return Workflows(service.store, {"purchase-order": toy.workflow()}, lease_seconds=1.0)

    monkeypatch.setattr(realtime, "workflows", workflows)
    return made


@pytest.fixture
def serve_orders(serve: Serve, toys: dict[Service, Toy], settings: Any) -> Serve:
    """Return a function that starts a server of purchase orders."""

    async def start(**changes: Any) -> Running:
        known = {"auth_secret": SECRET, "development": False}
        server = await serve(routes=routes, **known | changes)
        service = server.service
        service.tasks = Tasks(service, realtime.TASKS)
        service.part(realtime.workflows)
        return server

    return start


async def until_over(server: Running, id: str, headers: Mapping[str, str]) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            answer = await server.client.get(f"/api/purchase-orders/{id}", headers=headers)
            assert answer.status_code == 200, answer.text
            told: dict[str, Any] = answer.json()
            if told["endedAt"] is not None:
                return told
            await asyncio.sleep(0.05)


async def test_an_order_is_uploaded_and_followed(serve_orders: Serve) -> None:
    server = await serve_orders()
    mine = token()
    before = (await server.client.get("/api/purchase-orders", headers=mine)).json()
    assert before["purchaseOrders"] == []
    path = f"/api/realtime/events?lastEventId={before['cursor']}"
    async with server.leg(path, **mine) as leg:
        assert leg.answer.headers["content-type"].startswith("text/event-stream")
        made = await server.client.post(
            "/api/purchase-orders?name=order.csv", content=ORDER, headers=mine | CSV
        )
        assert made.status_code == 201, made.text
        id = made.json()["id"]
        events: list[tuple[str, dict[str, Any]]] = []
        while not events or not events[-1][1].get("over"):
            (message,) = await leg.notes(1)
            events.append((message.type, json.loads(message.data)))
    check_order(events)
    assert outline(events)[-1] == "over completed"
    assert {data["poId"] for _, data in events} == {id}
    end = await until_over(server, id, mine)
    assert end["state"] == "completed"
    assert end["name"] == "order.csv"
    assert [stage["status"] for stage in end["stages"]] == ["completed"] * 3
    assert all(stage["startedAt"] <= stage["endedAt"] for stage in end["stages"])
    assert end["results"]["shipItems"] == 3
    listed = (await server.client.get("/api/purchase-orders", headers=mine)).json()
    assert listed["purchaseOrders"] == [{k: v for k, v in end.items() if k != "cursor"}]


@pytest.mark.parametrize(
    ("method", "path", "read"),
    [
        ("GET", "/api/purchase-orders", "of_merchant"),
        ("GET", "/api/purchase-orders/{id}", "get"),
        ("POST", "/api/purchase-orders", "begin"),
        ("POST", "/api/purchase-orders/{id}/cancel", "cancel"),
        ("POST", "/api/purchase-orders/{id}/rerun", "again"),
    ],
)
async def test_a_snapshots_cursor_is_taken_before_it(
    serve_orders: Serve, monkeypatch: pytest.MonkeyPatch, method: str, path: str, read: str
) -> None:
    """What happens while it is read comes again: never is it missed (RULES 7)."""
    server = await serve_orders()
    mine = token()
    run = await server.service.part(realtime.workflows).begin(
        "purchase-order", "42", Input(ORDER, "text/csv")
    )
    if read == "again":
        await server.client.post(f"/api/purchase-orders/{run.subject}/cancel", headers=mine)
    reading, store = getattr(Workflows, read), server.service.store

    async def late(self: Workflows, *args: Any) -> Any:
        found = await reading(self, *args)
        await store.log.append("merchant:42", [FAILURE])
        return found

    monkeypatch.setattr(Workflows, read, late)
    answer = await server.client.request(
        method,
        path.format(id=run.subject),
        content=ORDER if method == "POST" else None,
        headers=mine | CSV,
    )
    assert answer.status_code < 300, answer.text
    cursor = answer.json()["cursor"]
    async with server.leg(f"/api/realtime/events?lastEventId={cursor}", **mine) as leg:
        assert FAILURE.data in {message.data for message in await leg.until("live")}


@any_store
async def test_channels_choose(serve_orders: Serve) -> None:
    server = await serve_orders()
    mine = token()
    start = "from=start&channels"
    made = await server.client.post("/api/purchase-orders", content=ORDER, headers=mine | CSV)
    await until_over(server, made.json()["id"], mine)
    async with server.leg(f"/api/realtime/events?{start}=stage,completion", **mine) as leg:
        messages = await leg.until("live")
    types = {message.type for message in messages} - {"stream", "heartbeat"}
    assert types == {"stage", "completion"}
    async with server.leg(f"/api/realtime/events?{start}=error", **mine) as leg:
        messages = await leg.until("live")
        assert {message.type for message in messages} <= {"stream", "heartbeat"}
        await server.service.store.log.append("merchant:42", [FAILURE])
        (failure,) = await leg.notes(1)
        assert failure.type == "failure"
    answer = await server.client.get("/api/realtime/events?channels=gossip", headers=mine)
    assert answer.status_code == 400
    assert "progress, stage, completion, error" in answer.json()["detail"]


@any_store
async def test_without_a_cursor_it_starts_now(serve_orders: Serve) -> None:
    server = await serve_orders(heartbeat_seconds=0.2)
    mine = token()
    await server.service.store.log.append("merchant:42", [FAILURE])
    async with server.leg("/api/realtime/events", **mine) as leg:
        opened = state(await leg.next())
        assert opened["heartbeat"] == 0.2
        while (message := await leg.next()) is not None and message.type != "heartbeat":
            assert message.type == "stream", "what was before is not told"
        assert message is not None
        assert "timestamp" in json.loads(message.data)


@any_store
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/realtime/events"),
        ("GET", "/api/purchase-orders"),
        ("POST", "/api/purchase-orders"),
        ("GET", "/api/purchase-orders/{id}"),
        ("POST", "/api/purchase-orders/{id}/cancel"),
        ("POST", "/api/purchase-orders/{id}/rerun"),
    ],
)
async def test_who_may(serve_orders: Serve, method: str, path: str) -> None:
    """Nobody without a token, nobody without a merchant, nobody on what is another merchant's."""
    server = await serve_orders()
    made = await server.client.post("/api/purchase-orders", content=ORDER, headers=token() | CSV)
    url = path.format(id=made.json()["id"])

    async def status(headers: dict[str, str]) -> int:
        async with server.client.stream(
            method, url, content=ORDER if method == "POST" else None, headers=headers | CSV
        ) as answer:
            if answer.status_code >= 400:
                await answer.aread()
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["detail"]
            return answer.status_code

    assert await status({}) == 401
    assert await status(token(None, read=["*"], append=["*"])) == 403
    assert await status(token("no name")) == 403
    assert await status(token("4")) == (404 if "{id}" in path else 201 if method == "POST" else 200)
    assert await status(token()) in (200, 201, 409)


@any_store
async def test_another_merchants_events_are_not_seen(serve_orders: Serve) -> None:
    server = await serve_orders()
    for merchant in ("42", "43"):
        await server.service.store.log.append(f"merchant:{merchant}", [FAILURE])
    async with server.leg("/api/realtime/events?from=start&stream=merchant:43", **token()) as leg:
        messages = await leg.until("live")
    assert sum(message.type == "failure" for message in messages) == 1


@any_store
async def test_a_browsers_token_in_the_query_will_do(serve_orders: Serve) -> None:
    server = await serve_orders()
    bearer = token()["Authorization"].partition(" ")[2]
    async with server.leg(f"/api/realtime/events?token={bearer}") as leg:
        assert leg.answer.status_code == 200
    answer = await server.client.post(
        f"/api/purchase-orders?token={bearer}", content=ORDER, headers=CSV
    )
    assert answer.status_code == 401, "it may only read"


@any_store
@pytest.mark.parametrize(
    ("content", "headers", "query", "status"),
    [
        (b"", CSV, "", 400),
        (ORDER, {"Content-Type": "image/png"}, "", 400),
        (ORDER, {}, "", 400),
        (ORDER, CSV, "?name=" + "x" * 201, 400),
        (ORDER, CSV, "?name=%0a", 400),
        (ORDER, CSV | {"Idempotency-Key": "x" * 256}, "", 400),
        (ORDER, CSV | {"Idempotency-Key": ""}, "", 400),
        (b"x" * (MAX_INPUT_BYTES + 1), CSV, "", 413),
        (ORDER, {"Content-Type": "text/csv; charset=latin-1"}, "", 201),
        (b"x" * MAX_INPUT_BYTES, CSV, "", 201),
    ],
)
async def test_what_is_taken_in(
    serve_orders: Serve, content: bytes, headers: dict[str, str], query: str, status: int
) -> None:
    server = await serve_orders()
    answer = await server.client.post(
        f"/api/purchase-orders{query}", content=content, headers=token() | headers
    )
    assert answer.status_code == status, answer.text
    listed = await server.client.get("/api/purchase-orders", headers=token())
    assert len(listed.json()["purchaseOrders"]) == (1 if status == 201 else 0)


async def test_an_upload_that_is_sent_again(serve_orders: Serve) -> None:
    server = await serve_orders()
    headers = token() | CSV | {"Idempotency-Key": "k"}
    answers = await asyncio.gather(
        *(server.client.post("/api/purchase-orders", content=ORDER, headers=headers) for _ in "123")
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await server.client.post("/api/purchase-orders", content=b"other", headers=headers)
    assert other.status_code == 422


@any_store
async def test_lists_are_paged(serve_orders: Serve) -> None:
    server = await serve_orders()
    made = []
    for _ in range(3):
        answer = await server.client.post(
            "/api/purchase-orders", content=ORDER, headers=token() | CSV
        )
        made.append(answer.json()["id"])
        await asyncio.sleep(0.002)
    first = (await server.client.get("/api/purchase-orders?limit=2", headers=token())).json()
    rest = (
        await server.client.get(
            f"/api/purchase-orders?limit=2&after={first['next']}", headers=token()
        )
    ).json()
    ids = [order["id"] for page in (first, rest) for order in page["purchaseOrders"]]
    assert ids == made[::-1]
    assert rest["next"] is None
    for limit in ("0", "101", "x", "-1", "²"):
        answer = await server.client.get(f"/api/purchase-orders?limit={limit}", headers=token())
        assert answer.status_code == 400


async def test_cancel_and_rerun(serve_orders: Serve, toys: dict[Service, Toy]) -> None:
    server = await serve_orders()
    began = asyncio.Event()

    async def slow(stage: StageContext) -> Result:
        began.set()
        await asyncio.sleep(WAIT_SECONDS)
        return None

    toys[server.service].hooks["save"] = slow
    made = await server.client.post("/api/purchase-orders", content=ORDER, headers=token() | CSV)
    path = f"/api/purchase-orders/{made.json()['id']}"
    await asyncio.wait_for(began.wait(), WAIT_SECONDS)
    assert (await server.client.post(f"{path}/rerun", headers=token())).status_code == 409
    answer = await server.client.post(f"{path}/cancel", headers=token())
    assert answer.status_code == 200
    end = await until_over(server, made.json()["id"], token())
    assert end["state"] == "cancelled"
    del toys[server.service].hooks["save"]
    again = await server.client.post(f"{path}/rerun", headers=token())
    assert (again.status_code, again.json()["round"]) == (200, 2)
    end = await until_over(server, made.json()["id"], token())
    assert end["state"] == "completed"
    assert (await server.client.post(f"{path}/cancel", headers=token())).status_code == 409


async def test_an_order_is_cancelled_whose_server_is_gone(serve_orders: Serve) -> None:
    """Nobody follows and nothing sweeps: who cancels it has it seen to."""
    server = await serve_orders()
    records = server.service.store.records
    orders = server.service.part(realtime.workflows)
    run = await orders.begin("purchase-order", "42", Input(ORDER, "text/csv"))
    dead = taken(run, "a dead one", 1).run
    await records.put(KIND, run.key, dead.text)
    path = f"/api/purchase-orders/{run.subject}"
    answer = await server.client.post(f"{path}/cancel", headers=token())
    assert (answer.json()["state"], answer.json()["cancelling"]) == ("running", True)
    assert (await until_over(server, run.subject, token()))["state"] == "cancelled"


async def until_done(orders: Workflows, run: Run) -> str:
    """Wait for a run's end without a request, which would have it gone on with."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not (found := await orders.get("42", run.subject)).is_over:
            await asyncio.sleep(0.05)
    return found.state


@pytest.mark.parametrize("path", ["/api/realtime/events", "", "/{id}"])
async def test_who_looks_keeps_orders_going(
    serve_orders: Serve, toys: dict[Service, Toy], path: str
) -> None:
    """The server that had it is gone, and nothing but a viewer comes by."""
    server = await serve_orders()
    orders = server.service.part(realtime.workflows)
    run = await orders.begin("purchase-order", "42", Input(ORDER, "text/csv"))
    await asyncio.sleep(0.6)

    async def look(merchant: str) -> None:
        if path.startswith("/api"):
            async with server.leg(path, **token(merchant)):
                return
        address = f"/api/purchase-orders{path.format(id=run.subject)}"
        await server.client.get(address, headers=token(merchant))

    await look("43")
    assert toys[server.service].attempts == [], "it is not theirs"
    await look("42")
    assert await until_done(orders, run) == "completed"


async def test_the_sweep_keeps_orders_going(serve_orders: Serve, toys: dict[Service, Toy]) -> None:
    server = await serve_orders()
    orders = server.service.part(realtime.workflows)
    assert await carry_on(server.service, Invocation()) == ()
    run = await orders.begin("purchase-order", "42", Input(ORDER, "text/csv"))
    await asyncio.sleep(0.6)
    late = Invocation(deadline=asyncio.get_running_loop().time())
    (found,) = await carry_on(server.service, late)
    named = {"stream": "merchant:42", "kind": "workflows", "id": run.key}
    assert found == named | {"state": "resumed"}
    assert await until_done(orders, run) == "completed"
    assert list(await carry_on(server.service, Invocation())) == []


@pytest.mark.parametrize("error", [UpstreamLost("away"), UpstreamRefused("no permission")])
async def test_an_order_is_taken_in_though_the_platform_starts_nothing(
    serve_orders: Serve, toys: dict[Service, Toy], error: Exception
) -> None:
    async def spawn(task: Task) -> None:
        raise error

    server = await serve_orders(bounds=lambda: Invocation(may_freeze=True, spawn=spawn))
    headers = CSV | token()
    answer = await server.client.post("/api/purchase-orders", content=ORDER, headers=headers)
    assert answer.status_code == 201, answer.text
    async with server.leg("/api/realtime/events", **token()) as leg:
        assert state(await leg.next())["state"] == "open"


@any_store
async def test_what_a_platform_starts_is_started_there(
    serve_orders: Serve, toys: dict[Service, Toy]
) -> None:
    server = await serve_orders()
    spawned: list[Task] = []

    async def spawn(task: Task) -> None:
        spawned.append(task)

    orders = server.service.part(realtime.workflows)

    async def slow(stage: StageContext) -> Result:
        await asyncio.sleep(WAIT_SECONDS)
        return None

    toys[server.service].hooks["save"] = slow
    run = await orders.begin("purchase-order", "42", Input(ORDER, "text/csv"))
    now = asyncio.get_running_loop().time()
    invocation = Invocation(deadline=now + 2.5, may_freeze=True, spawn=spawn)
    outcome = await realtime.run(server.service, invocation, {"run": run.key})
    assert outcome == "left"
    assert spawned == [Task("workflow", {"run": run.key})], "the next one goes on with it"
    server.service.stopping.set()
    server.service.stopping = asyncio.Event()
    outcome = await realtime.run(
        server.service, Invocation(deadline=now, may_freeze=True, spawn=spawn), {"run": run.key}
    )
    assert (outcome, len(spawned)) == ("later", 1), "too late to begin: that is the sweep's"


@any_store
async def test_where_no_task_can_be_started_the_upload_stands(
    serve_orders: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve_orders()

    def full(*_: object) -> None:
        raise UpstreamLost("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Tasks, "start", full)
        made = await server.client.post(
            "/api/purchase-orders", content=ORDER, headers=token() | CSV
        )
    assert (made.status_code, made.json()["state"]) == (201, "waiting")
    assert "left to the sweep" in caplog.text
