"""Of an order's run that fails, whoever keeps the servers is told once; of other ends, nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from time import time

import jwt
import pytest

from functions import cron, realtime
from lastevent.serve.invocation import Invocation
from lastevent.serve.tasks import Tasks
from lastevent.services.workflow import workflows as workflows_module
from lastevent.services.workflow.records import UNFINISHED, WorkflowRecords
from lastevent.services.workflow.values import Input, key_of
from tests.serve.running import WAIT_SECONDS, Running, Serve
from tests.services.receiver import KEY, Receiver, receiving

pytestmark = pytest.mark.parametrize(
    "settings", ["sqlite:///{}/test.db"], indirect=True, ids=["sqlite"]
)

SECRET = "s" * 40
MERCHANT = "42"
GOOD = b"sku,quantity\nMUG-01,12\n"
BAD = b"sku,quantity\nMUG-01,-3\n"

type Two = tuple[Running, Running]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as it:
        yield it


@pytest.fixture
async def two(serve: Serve, receiver: Receiver) -> Two:
    """Two servers on one store, whose workflows are wired as the function has it."""

    async def start() -> Running:
        server = await serve(
            routes=realtime.routes,
            development=False,
            auth_secret=SECRET,
            alert_url=receiver.url,
            alert_secret=KEY,
        )
        server.service.tasks = Tasks(server.service, realtime.TASKS)
        return server

    return await start(), await start()


def token() -> dict[str, str]:
    claims = {"sub": "u", "merchant": MERCHANT, "exp": time() + 60}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


async def uploaded(server: Running, content: bytes) -> str:
    answer = await server.client.post(
        "/api/purchase-orders", content=content, headers=token() | {"Content-Type": "text/csv"}
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def asked(server: Running, id: str, what: str) -> int:
    """Cancel an order, or have it done again; return its round."""
    answer = await server.client.post(f"/api/purchase-orders/{id}/{what}", headers=token())
    assert answer.status_code == 200, answer.text
    return int(answer.json()["round"])


async def ended(server: Running, id: str) -> str:
    """Wait until nothing is left to do for any run; return how this one has ended."""
    async with asyncio.timeout(WAIT_SECONDS):
        while await server.service.store.records.query(UNFINISHED):
            await asyncio.sleep(0.02)
    answer = await server.client.get(f"/api/purchase-orders/{id}", headers=token())
    return str(answer.json()["state"])


async def swept(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweep on both servers at once, after the minute in which a mark may still be fresh."""
    with monkeypatch.context() as patch:
        patch.setattr(workflows_module, "STALE_SECONDS", -WAIT_SECONDS)
        await asyncio.gather(*(cron.sweep(it.service, Invocation(), {}) for it in two))


async def test_a_failure_is_told_once_whichever_servers_see_to_it(
    two: Two, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    id = await uploaded(one, BAD)
    assert await ended(other, id) == "failed"
    (message,) = receiver.messages  # only what is signed counts as taken
    told = message["data"]
    assert (message["type"], told["kind"]) == ("alert.raised", "workflow-failed")
    assert told["details"].items() >= {"subject": id, "stage": "ai_parsing", "round": 1}.items()
    assert "MUG" not in json.dumps(message), "what was ordered is the merchant's"
    for _ in range(2):
        # As if who told of it had died before it took the mark off.
        await WorkflowRecords(one.service.store).unfinish(key_of(MERCHANT, id))
        await swept(two, monkeypatch)
        assert await one.service.store.records.query(UNFINISHED) == [], "nobody saw to it again"
    assert receiver.requests == 1


async def test_a_run_that_fails_again_is_told_of_again(
    two: Two, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    id = await uploaded(one, BAD)
    assert await ended(one, id) == "failed"
    assert await asked(other, id, "rerun") == 2
    assert await ended(other, id) == "failed"
    await swept(two, monkeypatch)
    assert [it["data"]["details"]["round"] for it in receiver.messages] == [1, 2]
    assert receiver.requests == 2


async def test_what_completes_or_is_cancelled_is_no_incident(
    two: Two, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    assert await ended(one, await uploaded(one, GOOD)) == "completed"
    # Begun where nobody works on it, so that its end cannot come first.
    orders = one.service.part(realtime.workflows)
    unwanted = await orders.begin("purchase-order", MERCHANT, Input(GOOD, "text/csv"))
    await asked(other, unwanted.subject, "cancel")
    await swept(two, monkeypatch)
    assert await ended(other, unwanted.subject) == "cancelled"
    assert receiver.requests == 0
