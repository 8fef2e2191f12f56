"""Previews where a process lives for one invocation: each in its own, ended before that is."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from lastevent.client import Backoff, Stream
from lastevent.client.follower import StreamEvent
from lastevent.services.life import TIME_UP
from tests.platforms.places import WAIT_SECONDS, Deploy, everywhere

pytestmark = [pytest.mark.slow, pytest.mark.node, pytest.mark.timeout(180)]

LIMIT_SECONDS = 8
"""What the platform allows an invocation."""

COMMAND = "sh -c 'n=0; while :; do n=$((n+1)); echo $n; sleep 0.1; done'"
QUICK = Backoff(first=0.05, longest=0.5)


class Client:
    """Somebody who may do everything."""

    def __init__(self, url: str, token: str, http: httpx.AsyncClient) -> None:
        self._url = url
        self._token = token
        self._http = http

    async def call(self, method: str, path: str = "", body: Any = None) -> dict[str, Any]:
        answer = await self._http.request(method, f"{self._url}/api/previews{path}", json=body)
        assert answer.status_code < 400, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def log(self, id: str) -> Stream:
        return Stream(
            f"{self._url}/api/previews/{id}/logs/stream",
            token=self._token,
            attempts=None,
            backoff=QUICK,
        )


def said(events: list[StreamEvent], type: str) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in events if event.type == type]


@everywhere
async def test_a_preview_has_an_invocation_of_its_own_and_ends_in_time(
    platform: str, deploy: Deploy, token: str
) -> None:
    settings = {
        "LASTEVENT_PREVIEW_COMMANDS": f"lines={COMMAND}",
        "LASTEVENT_LEASE_SECONDS": "2",
        "LASTEVENT_MAX_LEG_SECONDS": "3",
    }
    async with (
        asyncio.timeout(WAIT_SECONDS),
        deploy(platform, settings, limit_seconds=LIMIT_SECONDS) as place,
        place.client(token) as http,
    ):
        client = Client(place.url, token, http)
        asked = time.monotonic()
        ends, stopped = [await client.call("POST", "", {"name": "lines"}) for _ in range(2)]
        assert ends["state"] == stopped["state"] == "starting"
        assert time.monotonic() - asked < LIMIT_SECONDS, "the answer did not wait for the end"

        async def until_stopped() -> list[StreamEvent]:
            events = []
            async for event in client.log(stopped["id"]):
                events.append(event)
                if len(events) == 5:
                    told = await client.call("DELETE", f"/{stopped['id']}")
                    assert told["state"] == "stopping"
            return events

        async def to_the_end() -> list[StreamEvent]:
            return [event async for event in client.log(ends["id"])]

        events, others = await asyncio.gather(to_the_end(), until_stopped())
        assert await place.started() >= 2, "who follows it is in another invocation"
        for read in (events, others):
            lines = [int(line["text"]) for line in said(read, "stdout")]
            assert lines == list(range(1, len(lines) + 1)), "every line once, in order"
            assert lines
            assert read[-1].type == "exit"
            assert said(read, "exit")[0]["signal"] == "SIGTERM"
        (started,), (failure,), (exit,) = (
            said(events, it) for it in ("started", "failure", "exit")
        )
        assert failure["error"] == TIME_UP
        assert started["time"] < started["ends_at"] < exit["time"] + 100
        assert exit["time"] < started["time"] + LIMIT_SECONDS * 1000
        assert said(others, "failure") == []

        async def exited() -> dict[str, Any]:
            while (seen := await client.call("GET", f"/{ends['id']}"))["state"] == "running":
                await asyncio.sleep(0.1)
            return seen

        seen = await exited()
        assert (seen["state"], seen["signal"]) == ("exited", "SIGTERM")
        assert seen["ends_at"] is not None
