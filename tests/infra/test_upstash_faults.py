"""Faults on demand: what a client sees of each, and what the store has of the request."""

import asyncio
import time

import httpx
import pytest

from infra.local.upstash import UpstashServer
from tests.infra.rest import WAIT_SECONDS, Rest

SHORT_SECONDS = 0.2
LONG_SECONDS = 0.8


async def test_a_lost_response_was_carried_out(server: UpstashServer, rest: Rest) -> None:
    await server.fault("drop", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await rest.send("INCR", "n")
    assert await rest.call("GET", "n") == "1"


async def test_a_request_can_be_dropped_before_it_is_carried_out(
    server: UpstashServer, rest: Rest
) -> None:
    await server.fault("drop", when="before", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await rest.send("INCR", "n")
    assert await rest.call("GET", "n") is None


async def until_stored(rest: Rest, name: str) -> None:
    """Wait until a key is there."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await rest.call("EXISTS", name):
            await asyncio.sleep(0.01)


async def test_a_request_can_be_carried_out_late(server: UpstashServer, rest: Rest) -> None:
    await server.fault("delay", seconds=LONG_SECONDS, commands=["SET"])
    began = time.monotonic()
    late = asyncio.create_task(rest.call("SET", "foo", "bar"))
    await asyncio.sleep(SHORT_SECONDS)
    assert await rest.call("EXISTS", "foo") == 0
    assert await late == "OK"
    assert time.monotonic() - began >= LONG_SECONDS
    assert await rest.call("EXISTS", "foo") == 1


async def test_an_answer_can_be_late(server: UpstashServer, rest: Rest) -> None:
    await server.fault("delay", when="after", seconds=LONG_SECONDS, commands=["SET"])
    began = time.monotonic()
    late = asyncio.create_task(rest.call("SET", "foo", "bar"))
    await until_stored(rest, "foo")
    assert await late == "OK"
    assert time.monotonic() - began >= LONG_SECONDS


@pytest.mark.parametrize("retry_after", [None, 2])
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_request_can_be_refused(
    server: UpstashServer, rest: Rest, status: int, retry_after: float | None
) -> None:
    await server.fault("status", status=status, retry_after=retry_after, times=2)
    for _ in range(2):
        answer = await rest.send("INCR", "n")
        assert answer.status_code == status
        assert answer.json().keys() == {"error"}
        expected = None if retry_after is None else f"{retry_after}"
        assert answer.headers.get("retry-after") == expected
    assert await rest.call("INCR", "n") == 1


async def test_a_500_may_come_after_the_work(server: UpstashServer, rest: Rest) -> None:
    await server.fault("status", when="after", status=500, times=1)
    assert (await rest.send("INCR", "n")).status_code == 500
    assert await rest.call("INCR", "n") == 2


async def test_a_dead_peer_accepts_and_never_answers(server: UpstashServer, rest: Rest) -> None:
    await server.fault("hang", commands=["INCR"])
    with pytest.raises(httpx.ReadTimeout):
        await rest.http.post("/incr/n", timeout=SHORT_SECONDS)
    assert await rest.call("EXISTS", "n") == 0


async def test_a_peer_can_die_before_it_answers(server: UpstashServer, rest: Rest) -> None:
    await server.fault("hang", when="after", commands=["INCR"])
    with pytest.raises(httpx.ReadTimeout):
        await rest.http.post("/incr/n", timeout=SHORT_SECONDS)
    await until_stored(rest, "n")


async def test_a_fault_may_be_for_some_commands(server: UpstashServer, rest: Rest) -> None:
    await server.fault("status", commands=["EVALSHA", "INCR"])
    assert await rest.call("SET", "n", 1) == "OK"
    assert (await rest.send("evalsha", "0" * 40, 0)).status_code == 500
    assert (await rest.http.get("/incr/n")).status_code == 500
    assert (await rest.http.post("/pipeline", json=[["GET", "n"], ["INCR", "n"]])).is_error
    assert await rest.call("GET", "n") == "1"
    await server.clear_faults()
    assert await rest.call("INCR", "n") == 2


async def test_a_fault_may_be_drawn_and_drawn_again(server: UpstashServer, rest: Rest) -> None:
    async def drawn() -> list[int]:
        await server.clear_faults()
        await server.fault("status", probability=0.5, seed=7)
        return [(await rest.send("PING")).status_code for _ in range(40)]

    first = await drawn()
    assert set(first) == {200, 500}
    assert await drawn() == first


async def test_only_a_known_fault_is_taken(server: UpstashServer) -> None:
    with pytest.raises(ValueError, match="a status is 400 to 599"):
        await server.fault("status", status=200)
    with pytest.raises(ValueError, match="no fault is"):
        await server.fault("nonsense")  # type: ignore[arg-type]
