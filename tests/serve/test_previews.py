"""Previews over HTTP: who may start, read and stop them, and how their logs are followed."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from time import time
from typing import Any

import jwt
import pytest

from functions.previews import TASKS, routes, sweep
from lastevent.core.errors import Transient
from lastevent.core.event import NewEvent
from lastevent.serve.invocation import Invocation
from lastevent.serve.tasks import Task, Tasks
from lastevent.services.ledger import GONE, STOPPED_BEFORE
from lastevent.services.preview import Preview
from lastevent.services.previews import KIND
from lastevent.stores.url import open_store
from tests.serve.running import Running, Serve, state
from tests.sources.processes import sh
from tests.sources.trouble import Trouble

SECRET = "s" * 40
COMMANDS = {"done": sh("echo out; echo err >&2; exit 3"), "lasts": sh("echo up; sleep 600")}

ServePreviews = Callable[..., Awaitable[Running]]


@pytest.fixture
def serve_previews(serve: Serve) -> ServePreviews:
    """Return a function that starts a server with commands to preview."""

    async def start(**changes: Any) -> Running:
        changes = {"preview_commands": COMMANDS, "lease_seconds": 1.0} | changes
        return await serve(routes=routes, **changes)

    return start


async def begin(server: Running, name: str) -> dict[str, Any]:
    answer = await server.client.post("/api/previews", json={"name": name})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def token(**claims: object) -> dict[str, str]:
    claims = {"sub": "u", "exp": time() + 60} | claims
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


async def test_start_follow_and_look(serve_previews: ServePreviews) -> None:
    server = await serve_previews()
    preview = await begin(server, "done")
    assert preview["name"] == "done"
    assert preview["url"] == f"/previews?preview={preview['id']}"
    async with server.leg(f"/api/previews/{preview['id']}/logs/stream") as leg:
        messages = await leg.until("end")
    log = {message.type: json.loads(message.data) for message in messages}
    assert log["started"]["name"] == "done"
    assert log["stdout"]["text"] == "out"
    assert log["stderr"]["text"] == "err"
    assert log["exit"]["code"] == 3

    seen = (await server.client.get(f"/api/previews/{preview['id']}")).json()
    assert seen["state"] in ("running", "exited"), "the record follows the log"
    listed = (await server.client.get("/api/previews")).json()
    assert listed["names"] == ["done", "lasts"]
    assert [it["id"] for it in listed["previews"]] == [preview["id"]]
    assert {"id", "name", "state", "started_at", "url"} <= listed["previews"][0].keys()


async def test_a_log_is_live_and_stop_ends_it(serve_previews: ServePreviews) -> None:
    server = await serve_previews()
    preview = await begin(server, "lasts")
    path = f"/api/previews/{preview['id']}"
    async with server.leg(f"{path}/logs/stream?types=stdout,exit") as leg:
        assert json.loads((await leg.notes(1))[0].data)["text"] == "up"
        answer = await server.client.delete(path)
        assert answer.status_code == 200
        assert answer.json()["state"] == "stopping"
        (ended,) = await leg.notes(1)
        assert json.loads(ended.data)["signal"] == "SIGTERM"
        assert state(await leg.next())["state"] == "end"


async def test_the_end_of_the_server_is_the_end_of_its_previews(
    serve_previews: ServePreviews,
) -> None:
    server = await serve_previews()
    preview = await begin(server, "lasts")
    await server.service.close()
    store = server.service.store
    if store.durable:
        store = open_store(server.service.settings.store_url)
    page = await store.log.read(f"preview:{preview['id']}", None)
    assert [event.type for event in page.events[-2:]] == ["failure", "exit"]
    assert page.closed
    await store.close()


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"name": "rm"}, 404, "done, lasts"),
        ({}, 400, "name"),
        ({"name": 1}, 400, "name"),
        ({"name": "done", "env": {}}, 400, "env"),
        ([], 400, ""),
        ({"name": "x" * 5000}, 413, "bytes"),
    ],
)
async def test_what_cannot_be_started(
    serve_previews: ServePreviews, body: object, status: int, detail: str
) -> None:
    server = await serve_previews()
    answer = await server.client.post("/api/previews", json=body)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]
    assert (await server.client.get("/api/previews")).json()["previews"] == []


@pytest.mark.parametrize(("id", "status"), [("nope", 404), ("a b", 400), ("x" * 300, 400)])
async def test_what_is_not_there(serve_previews: ServePreviews, id: str, status: int) -> None:
    server = await serve_previews()
    for method, path in [("GET", ""), ("DELETE", ""), ("GET", "/logs/stream")]:
        answer = await server.client.request(method, f"/api/previews/{id}{path}")
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


async def test_without_commands_there_is_nothing_to_start(serve_previews: ServePreviews) -> None:
    server = await serve_previews(preview_commands=None)
    assert (await server.client.get("/api/previews")).json() == {"previews": [], "names": []}
    answer = await server.client.post("/api/previews", json={"name": "done"})
    assert answer.status_code == 404


async def test_who_may_do_what(serve_previews: ServePreviews) -> None:
    server = await serve_previews(development=False, auth_secret=SECRET)
    client = server.client
    operator = token(read=["preview:*"], append=["preview:*"])
    answer = await client.post("/api/previews", json={"name": "lasts"}, headers=operator)
    path = f"/api/previews/{answer.json()['id']}"
    stream = f"preview:{answer.json()['id']}"

    async def statuses(headers: dict[str, str]) -> list[int]:
        calls = [
            ("GET", path, None),
            ("GET", "/api/previews", None),
            ("POST", "/api/previews", {"name": "done"}),
            ("DELETE", path, None),
        ]
        return [
            (await client.request(method, url, json=body, headers=headers)).status_code
            for method, url, body in calls
        ]

    assert await statuses({}) == [401] * 4
    assert await statuses(token(read=[stream])) == [200, 200, 403, 403]
    assert await statuses(token(read=["other:*"], append=["other:*"])) == [403, 200, 403, 403]
    assert await statuses(token(read=[stream], append=[stream])) == [200, 200, 403, 403]

    async def listed(headers: dict[str, str]) -> tuple[int, int]:
        body = (await client.get("/api/previews", headers=headers)).json()
        return len(body["previews"]), len(body["names"])

    assert await listed(token(read=[stream])) == (1, 0)
    assert await listed(token(read=["other:*"])) == (0, 0)
    assert await listed(operator) == (1, 2)
    for headers, status in ((token(read=["other:*"]), 403), ({}, 401)):
        answer = await client.get(f"{path}/logs/stream", headers=headers)
        assert answer.status_code == status
    assert (await statuses(operator))[2:] == [201, 200]


async def test_where_a_process_may_freeze_a_start_answers_at_once(
    serve_previews: ServePreviews,
) -> None:
    server = await serve_previews(bounds=lambda: Invocation(may_freeze=True))
    server.service.tasks = Tasks(server.service, TASKS)
    preview = await begin(server, "lasts")
    assert (preview["state"], preview["ends_at"]) == ("starting", None)
    path = f"/api/previews/{preview['id']}"
    async with server.leg(f"{path}/logs/stream?types=stdout,exit") as leg:
        assert json.loads((await leg.notes(1))[0].data)["text"] == "up"
        assert (await server.client.delete(path)).json()["state"] == "stopping"
        assert json.loads((await leg.notes(1))[0].data)["signal"] == "SIGTERM"


async def test_a_task_that_cannot_be_spawned_leaves_nothing_that_may_start(
    serve_previews: ServePreviews,
) -> None:
    async def fails(task: Task) -> None:
        raise Transient("the platform takes no task now")

    server = await serve_previews(bounds=lambda: Invocation(may_freeze=True, spawn=fails))
    server.service.tasks = Tasks(server.service, TASKS)
    answer = await server.client.post("/api/previews", json={"name": "lasts"})
    assert answer.status_code == 503
    (preview,) = (await server.client.get("/api/previews")).json()["previews"]
    page = await server.service.store.log.read(f"preview:{preview['id']}", None)
    assert [json.loads(event.data)["error"] for event in page.events] == [STOPPED_BEFORE]
    assert page.closed


async def abandoned(server: Running) -> Preview:
    """Leave what a server leaves that dies while it runs a preview."""
    store = server.service.store
    preview = Preview.new("site", "dead", 1_800_000_000_000).running()
    lease = await store.leases.acquire(preview.stream, "dead", 0.5)
    assert lease is not None
    await store.log.append(preview.stream, [NewEvent("stdout", "{}")], fence=lease.token)
    await store.records.put(KIND, preview.id, preview.text)
    return preview


async def test_the_sweep_finds_what_nobody_follows(serve_previews: ServePreviews) -> None:
    server = await serve_previews()
    await begin(server, "lasts")
    preview = await abandoned(server)
    assert await sweep(server.service) == [], "its lease may still be held"
    await asyncio.sleep(0.6)
    (found,) = await sweep(server.service)
    assert found == {"stream": preview.stream, "kind": "previews", "state": "lost"}
    assert (await server.service.store.log.describe(preview.stream)).closed
    assert await sweep(server.service) == []


async def test_a_log_whose_server_died_ends_while_it_is_followed(
    serve_previews: ServePreviews,
) -> None:
    server = await serve_previews()
    preview = await abandoned(server)
    async with server.leg(f"/api/previews/{preview.id}/logs/stream") as leg:
        await leg.until("live")
        *_, failure, _ = await leg.until("end")
    assert failure.type == "failure"
    assert json.loads(failure.data)["error"] == GONE


async def test_trouble_keeps_who_follows(serve_previews: ServePreviews) -> None:
    """RULES 18: a 503 would end a native client for good."""
    trouble = Trouble()
    server = await serve_previews(change_store=trouble.over)
    preview = await begin(server, "lasts")
    trouble.before = math.inf
    async with server.leg(f"/api/previews/{preview['id']}/logs/stream") as leg:
        assert leg.answer.status_code == 200
        assert state(await leg.next())["state"] == "error"
    answer = await server.client.get(f"/api/previews/{preview['id']}")
    assert answer.status_code == 503
    trouble.before = 0
