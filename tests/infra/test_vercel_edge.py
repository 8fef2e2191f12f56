"""The emulated edge and launcher, seen by an application that tells what it sees."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from infra.local.vercel import VercelServer
from infra.local.vercel.edge import MAX_BODY_BYTES
from infra.local.vercel.pool import Options
from tests.infra.vercel_output import WAIT_SECONDS, with_app

pytestmark = [pytest.mark.node, pytest.mark.slow, pytest.mark.timeout(180)]

PROBE = '''
"""Answers with what it sees, late, without end, or not at all."""
import asyncio, json, os
from vercel_runtime import get_deadline

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    path = scope["path"].removeprefix("/api/")
    if path == "crash":
        os._exit(7)
    if path == "late":
        await asyncio.sleep(30)
    start = {"type": "http.response.start", "status": 200, "headers": [(b"x-from", b"app")]}
    await send(start)
    if path == "endless":
        async def leave():
            while (await receive())["type"] != "http.disconnect":
                pass
            print("the client left", flush=True)
        left = asyncio.create_task(leave())
        for number in range(int(scope["query_string"] or b"100000")):
            await send({"type": "http.response.body", "body": b"%d\\n" % number, "more_body": True})
            await asyncio.sleep(0.02)
        print("all was sent", flush=True)
        left.cancel()
        await send({"type": "http.response.body", "body": b""})
        return
    deadline = get_deadline()
    seen = {
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
        "deadline": deadline and deadline.isoformat(),
        "environment": dict(os.environ),
        "body": len(body),
        "pid": os.getpid(),
    }
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})
'''

Deploy = Callable[[Options], Awaitable[tuple[VercelServer, httpx.AsyncClient]]]


@pytest.fixture
async def deploy(vercel_output: Path, tmp_path: Path) -> AsyncIterator[Deploy]:
    """Return a function that deploys the probe; it returns the server and a client."""
    output = with_app(vercel_output, tmp_path, PROBE)
    async with contextlib.AsyncExitStack() as stack:

        async def start(options: Options) -> tuple[VercelServer, httpx.AsyncClient]:
            server = VercelServer(output, tmp_path, {"OF_THE_PROJECT": "a value"}, options)
            await stack.enter_async_context(server)
            client = httpx.AsyncClient(base_url=server.url, timeout=WAIT_SECONDS, trust_env=False)
            return server, await stack.enter_async_context(client)

        yield start


async def said(server: VercelServer, text: str) -> None:
    """Wait until the function's log has this line."""
    async with asyncio.timeout(WAIT_SECONDS):
        while text not in server.log.read_text():
            await asyncio.sleep(0.02)


def process_state(pid: int) -> str:
    """The letter of a process's state (proc_pid_stat(5)): T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


async def test_what_a_function_sees(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_MACHINE", "not for the function")
    _, client = await deploy(Options(max_duration=60))
    answer = await client.post(
        "/api/a%20b?x=1",
        content=b"body",
        headers={
            "X-Own": "1",
            "X-Forwarded-For": "forged",
            "X-Vercel-Internal-Deadline": "forged",
            "X-Vercel-Internal-Oidc-Token": "forged",
        },
    )
    seen = answer.json()
    assert (seen["path"], seen["query"], seen["body"]) == ("/api/a b", "x=1", 4)
    headers = dict(seen["headers"])
    assert len(headers) == len(seen["headers"])
    assert (headers["x-own"], headers["x-forwarded-for"]) == ("1", "127.0.0.1")
    # The runtime takes the platform's own headers away, and makes a public one of the token's.
    assert [name for name in headers if name.startswith("x-vercel-")] == ["x-vercel-id"]
    left = datetime.fromisoformat(seen["deadline"]) - datetime.now(UTC)
    assert 60 - WAIT_SECONDS < left.total_seconds() <= 60
    environment = seen["environment"]
    assert (environment["VERCEL"], environment["OF_THE_PROJECT"]) == ("1", "a value")
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert environment.keys().isdisjoint({"OF_THE_MACHINE", "HOME", "VIRTUAL_ENV"})
    # What the runtime tells the platform of its cold start is not for the client.
    assert [name for name in answer.headers if name.startswith("x-vercel-internal-")] == []
    assert (answer.headers["x-from"], answer.headers["server"]) == ("app", "Vercel")


async def test_one_instance_serves_many_then_comes_another_then_nobody(deploy: Deploy) -> None:
    server, client = await deploy(Options(instances=2, concurrency=2))
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            stream = await stack.enter_async_context(client.stream("GET", "/api/endless"))
            assert stream.status_code == 200
        assert sorted(instance.in_flight for instance in await server.running()) == [2, 2]
        refused = await client.get("/api/see")
        assert (refused.status_code, refused.headers["x-vercel-error"]) == (
            *(503, "FUNCTION_THROTTLED"),
        )


async def test_requests_during_a_cold_start_wait_for_it(deploy: Deploy) -> None:
    server, client = await deploy(Options())
    answers = await asyncio.gather(*(client.get("/api/see") for _ in range(8)))
    assert len({answer.json()["pid"] for answer in answers}) == 1
    assert await server.started() == 1


async def test_what_takes_too_long_is_ended(deploy: Deploy) -> None:
    _, client = await deploy(Options(max_duration=1.5))
    late = await client.get("/api/late")
    assert (late.status_code, late.headers["x-vercel-error"]) == (
        *(504, "FUNCTION_INVOCATION_TIMEOUT"),
    )
    async with client.stream("GET", "/api/endless") as stream:
        assert stream.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in stream.aiter_raw():
                pass


async def test_a_crash_fails_its_requests_and_the_next_gets_a_new_instance(deploy: Deploy) -> None:
    server, client = await deploy(Options())
    async with client.stream("GET", "/api/endless") as stream:
        failed = await client.get("/api/crash")
        assert (failed.status_code, failed.headers["x-vercel-error"]) == (
            *(500, "FUNCTION_INVOCATION_FAILED"),
        )
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in stream.aiter_raw():
                pass
    assert (await client.get("/api/see")).status_code == 200
    assert await server.started() == 2


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)])
async def test_a_body_has_a_limit(deploy: Deploy, size: int, status: int) -> None:
    _, client = await deploy(Options())
    answer = await client.post("/api/see", content=bytes(size))
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["body"] == size


@pytest.mark.parametrize("told", [False, True])
async def test_a_disconnect_is_hidden_unless_it_is_passed_on(deploy: Deploy, told: bool) -> None:
    server, client = await deploy(Options(disconnects=told))
    async with client.stream("GET", "/api/endless?40") as stream:
        await anext(stream.aiter_raw())
    await said(server, "the client left" if told else "all was sent")
    assert ("all was sent" in server.log.read_text()) != told


async def test_an_idle_instance_is_frozen_and_wakes(deploy: Deploy) -> None:
    server, client = await deploy(Options(freeze=True))

    async with client.stream("GET", "/api/endless?20") as stream:
        (instance,) = await server.running()
        assert process_state(instance.pid) != "T"
        async for _ in stream.aiter_raw():
            pass
    async with asyncio.timeout(WAIT_SECONDS):
        while process_state(instance.pid) != "T":
            await asyncio.sleep(0.02)
    assert (await client.get("/api/see")).status_code == 200
    assert await server.started() == 1


async def test_retired_instances_end_and_take_nothing_new(deploy: Deploy) -> None:
    server, client = await deploy(Options(grace_seconds=0.3))
    before = (await client.get("/api/see")).json()["pid"]
    async with client.stream("GET", "/api/endless") as stream:
        await anext(stream.aiter_raw())
        retiring = asyncio.create_task(server.retire())
        async with asyncio.timeout(WAIT_SECONDS):
            while [it for it in await server.running() if not it.retiring]:
                await asyncio.sleep(0.01)
        # The server in the function waits for its streams, which go on: the grace time ends that.
        after = (await client.get("/api/see")).json()["pid"]
        await retiring
    assert before != after
    assert [instance.pid for instance in await server.running()] == [after]
    assert not lives(before)


async def test_a_function_that_cannot_be_imported_says_so(
    vercel_output: Path, tmp_path: Path
) -> None:
    output = with_app(vercel_output, tmp_path, "raise LookupError('of the import')")
    async with VercelServer(output, tmp_path, {}) as server:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
            answer = await client.get("/api/see", timeout=WAIT_SECONDS)
        assert answer.headers["x-vercel-error"] == "FUNCTION_INVOCATION_FAILED"
        assert re.search(r"LookupError: of the import", server.log.read_text())
        assert await server.running() == []


async def test_nothing_is_left_when_the_emulator_ends(deploy: Deploy) -> None:
    server, client = await deploy(Options(freeze=True))
    pid = (await client.get("/api/see")).json()["pid"]
    await asyncio.to_thread(server.stop)
    assert not lives(pid)


async def test_nothing_is_left_when_the_emulator_is_killed(deploy: Deploy) -> None:
    server, client = await deploy(Options(freeze=True))
    pid = json.loads((await client.get("/api/see")).text)["pid"]
    await asyncio.to_thread(server.crash)
    async with asyncio.timeout(WAIT_SECONDS):
        while lives(pid):
            await asyncio.sleep(0.05)
