"""The faults of a trial, where each response is an invocation of its own."""

import asyncio
import json
from contextlib import suppress

import httpx
import pytest

from lastevent.core.wire import Decoder, Message
from tests.platforms.places import WAIT_SECONDS, Deploy, everywhere

pytestmark = [pytest.mark.slow, pytest.mark.node, pytest.mark.timeout(180)]

SETTINGS = {"LASTEVENT_HEARTBEAT_SECONDS": "0.4"}


class Reader:
    """Follows one trial, leg by leg, with the cursor that it has."""

    def __init__(self, client: httpx.AsyncClient, path: str) -> None:
        self.client = client
        self.path = path
        self.cursor = ""
        self.numbers: list[int] = []
        self.status = 0
        self.longest_silence = 0.0

    async def follow(self, *asks: tuple[str, dict[str, object]]) -> list[str]:
        """Read one leg, and send bodies to the trial once it is live; return its states."""
        headers = {"Accept": "text/event-stream", **self._last}
        states: list[str] = []
        decoder = Decoder()
        async with self.client.stream("GET", self.path, headers=headers) as answer:
            self.status = answer.status_code
            heard = asyncio.get_running_loop().time()
            with suppress(httpx.RemoteProtocolError):  # a cut, where the platform shows it
                async for chunk in answer.aiter_raw():
                    now = asyncio.get_running_loop().time()
                    self.longest_silence, heard = max(self.longest_silence, now - heard), now
                    for message in decoder.feed(chunk) if self.status == 200 else []:
                        states += self._take(message)
                        if states[-1:] == ["live"]:
                            for what, body in asks:
                                await self.post(what, body)
                            asks = ()
        return states

    async def post(self, what: str, body: dict[str, object]) -> None:
        """Publish a number, or ask for a fault."""
        (await self.client.post(f"{self.path}/{what}", json=body)).raise_for_status()

    @property
    def _last(self) -> dict[str, str]:
        return {"Last-Event-ID": self.cursor} if self.cursor else {}

    def _take(self, message: Message) -> list[str]:
        self.cursor = message.id or self.cursor
        if message.type == "number":
            self.numbers.append(json.loads(message.data)["n"])
        return [json.loads(message.data)["state"]] if message.type == "stream" else []


@everywhere
async def test_faults_are_obeyed_by_whichever_invocation_is_asked(
    platform: str, deploy: Deploy, token: str
) -> None:
    async with (
        deploy(platform, SETTINGS) as place,
        place.client(token) as client,
        asyncio.timeout(WAIT_SECONDS),
    ):
        begun = (await client.post("/api/trial")).raise_for_status().json()
        reader = Reader(client, f"/api/trial/{begun['id']}")
        number: list[tuple[str, dict[str, object]]] = [
            ("numbers", {"number": n}) for n in range(1, 6)
        ]
        assert await reader.follow(number[0], ("faults", {"fault": "end"})) == [
            *("open", "live", "rotate")
        ]
        # Nobody says that it ends, however the platform ends it.
        assert await reader.follow(number[1], ("faults", {"fault": "cut"})) == ["open", "live"]
        reader.longest_silence = 0.0
        await reader.follow(number[2], ("faults", {"fault": "stall"}))
        assert reader.longest_silence > 2 * 0.4, "not even beats"
        states = await reader.follow(number[3], ("faults", {"fault": "busy"}))
        assert states[-1] == "rotate"
        await reader.follow()
        assert reader.status == 503
        states = await reader.follow(number[4], ("faults", {"fault": "gone"}))
        assert (reader.status, states[-1]) == (200, "rotate")
        await reader.follow()
        assert reader.status == 204
    assert reader.numbers == [1, 2, 3, 4, 5]
