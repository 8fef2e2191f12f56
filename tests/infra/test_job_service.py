"""The local job service as a process: what its clients see, and what it remembers of them."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from infra.local.job_service import JobServer
from tests.cli.command import running

KEY = "k" * 20
WAIT_SECONDS = 10.0
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[JobServer]:
    async with JobServer(tmp_path, key=KEY, acknowledges=True) as server:
        yield server


def joining(server: JobServer, headers: dict[str, str] = BEARER) -> connect:
    url = server.url.replace("http:", "ws:")
    return connect(f"{url}/ws", additional_headers=headers, proxy=None)


async def join(connection: ClientConnection, job: str = "7") -> None:
    await connection.send(json.dumps({"type": "join", "jobId": job}))
    assert await heard(connection) == {"type": "joined", "jobId": job}


async def heard(connection: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_SECONDS):
        found: dict[str, Any] = json.loads(await connection.recv())
    return found


async def test_a_job_runs_and_is_heard(server: JobServer) -> None:
    await server.begin("7")
    async with joining(server) as connection:
        await join(connection)
        await server.run("7", 3, 0.01)
        messages = [await heard(connection) for _ in range(4)]
    assert [it["seq"] for it in messages] == [1, 2, 3, 4]
    assert [it["type"] for it in messages] == ["progress"] * 3 + ["completed"]
    seen = await server.look("7")
    assert seen["said"] == messages
    assert [it["sent"] for it in seen["heard"]] == [[1, 2, 3, 4]]
    async with httpx.AsyncClient(base_url=server.url, headers=BEARER, trust_env=False) as client:
        state = (await client.get("/jobs/7")).json()
        assert (state["status"], state["result"]) == ("completed", {"steps": 3})
        assert (await client.get("/jobs/8")).status_code == 404
        assert (await client.get("/jobs/7/access?user=u")).status_code == 204


async def test_connections_are_counted(server: JobServer) -> None:
    await server.begin("7")
    async with joining(server) as first, joining(server) as second:
        await join(first)
        await join(second)
        assert (await server.look("7"))["connections"] == {"now": 2, "max": 2, "total": 2}
    async with asyncio.timeout(WAIT_SECONDS):
        while (await server.look("7"))["connections"]["now"]:
            await asyncio.sleep(0.01)
    ended = [it["ended"] - it["began"] for it in (await server.look("7"))["heard"]]
    assert len(ended) == 2
    assert min(ended) >= 0
    for polls in (2, 1):
        async with httpx.AsyncClient(
            base_url=server.url, headers=BEARER, trust_env=False
        ) as client:
            for _ in range(polls):
                (await client.get("/jobs/7")).raise_for_status()
    polled = (await server.look("7"))["polled"]
    assert [len(times) for times in polled] == [2, 1], "by the connection"
    assert polled[0][0] <= polled[0][1] <= polled[1][0]


async def test_faults(server: JobServer) -> None:
    await server.begin("7")
    async with joining(server) as connection:
        await join(connection)
        await server.cut("7")
        with pytest.raises(ConnectionClosed):
            await connection.recv()
    await server.fault(status=429, retry_after=3, times=1)
    with pytest.raises(InvalidStatus) as caught:
        await joining(server)
    assert caught.value.response.headers["Retry-After"] == "3"
    async with joining(server) as connection:  # the fault held once
        await join(connection)
        await server.fault(mute=True)
        await server.say("7", type="progress")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await (await connection.ping())
        connection.transport.abort()


async def test_a_wrong_key(server: JobServer) -> None:
    with pytest.raises(InvalidStatus, match="401"):
        await joining(server, {"Authorization": "Bearer no"})
    async with joining(server, {}) as connection:
        await connection.send('{"type":"join","jobId":"7"}')
        with pytest.raises(ConnectionClosed, match="4401"):
            await connection.recv()


async def test_its_settings_have_a_server_follow_its_jobs(
    server: JobServer, tmp_path: Path
) -> None:
    """In real processes; and the lines by which people follow it are in the server's log."""
    await server.begin("7")
    with running(tmp_path, **server.environment) as own:
        async with httpx.AsyncClient(base_url=own.url, timeout=WAIT_SECONDS) as client:
            following = asyncio.create_task(client.get("/api/jobs/7/progress"))
            async with asyncio.timeout(WAIT_SECONDS):
                while not (await server.look("7"))["connections"]["now"]:
                    await asyncio.sleep(0.02)
            await server.run("7", 2, 0.01)
            body = (await following).text
        assert [line for line in body.splitlines() if line == "event: done"]
        own.kill(signal.SIGTERM)
        for line in (
            "INFO SSE Progress API called",
            "INFO Client joining import job: 7",
            "INFO Connected to external service for job: 7",
            "INFO Forwarding progress update for job: 7",
        ):
            assert line in own.log.splitlines()
        assert KEY not in own.log
