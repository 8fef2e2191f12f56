"""Messaging where a process lives for one request at a time: a conversation over bounded legs."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import time
from typing import Any

import httpx
import pytest

from lastevent.core.wire import Decoder, Message
from lastevent.serve.auth import mint
from lastevent.services.messaging.people import conversation_id, user_key
from lastevent.services.messaging.presence import ALIVE_SECONDS, ONLINE
from lastevent.stores.base import RetentionRules
from lastevent.stores.url import open_store
from tests.platforms.conftest import SECRET
from tests.platforms.places import WAIT_SECONDS, Deploy, Place
from tests.serve.test_nextauth import FIVE, TOKEN, made_of, spec

pytestmark = [pytest.mark.slow, pytest.mark.node, pytest.mark.timeout(180)]

CLIENT, PROFESSIONAL = str(TOKEN["sub"]), "paul"
CONVERSATION = conversation_id(CLIENT, PROFESSIONAL)
SITE_SECRET = "the secret of a site with NextAuth, not ours"
SETTINGS = {"LASTEVENT_MAX_LEG_SECONDS": "1", "NEXTAUTH_SECRET": SITE_SECRET}
PLACES = [("lambda-stream", "dynamodb"), ("vercel", "upstash")]


@dataclass
class Person:
    """Somebody with a page: what it was told, over how many legs, how many of them whole."""

    id: str
    http: httpx.AsyncClient
    legs: int = 0
    ends: int = 0
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def post(self, what: str, **body: object) -> dict[str, Any]:
        """Call one of /api/messages."""
        answer = await self.http.post(f"/api/messages/{what}", json=body)
        assert answer.status_code < 300, answer.text
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    async def get(self, path: str) -> dict[str, Any]:
        """Look something up."""
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def history(self) -> list[dict[str, Any]]:
        """Return the conversation's messages."""
        found = await self.get(f"/api/messages?conversation={CONVERSATION}")
        return list(found["messages"])

    async def heard(self, type: str, **wanted: object) -> dict[str, Any]:
        """Wait until an event of this type was told, with these values; return its data."""
        while True:
            for kind, data in self.told:
                if kind == type and wanted.items() <= data.items():
                    return data
            await asyncio.sleep(0.05)

    def count(self, type: str) -> int:
        """Return how often an event of this type was told."""
        return [kind for kind, _ in self.told].count(type)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Follow what is told, as a page does: from its snapshot on, leg after leg."""
        cursor = (await self.get("/api/messages"))["cursor"]
        following = asyncio.create_task(self._follow(cursor))
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait([following])
        assert following.cancelled(), following.exception()

    async def _follow(self, cursor: str) -> None:
        while True:
            decoder = Decoder(last_event_id=cursor)
            with suppress(httpx.TransportError):  # whoever answered was killed
                async with self.http.stream(
                    "GET", "/api/sse", headers={"Last-Event-ID": cursor}
                ) as leg:
                    self.legs += leg.status_code == 200
                    async for chunk in leg.aiter_raw():
                        for message in decoder.feed(chunk) if leg.status_code == 200 else ():
                            self._hear(message)
            cursor = decoder.last_event_id
            await asyncio.sleep(0.05)

    def _hear(self, message: Message) -> None:
        data = json.loads(message.data)
        if message.type == "stream":
            assert data["state"] in ("open", "live", "rotate")
            self.ends += data["state"] == "rotate"
        elif message.type != "heartbeat":
            self.told.append((message.type, data))


@asynccontextmanager
async def two(place: Place) -> AsyncIterator[tuple[Person, Person]]:
    """Yield a client, who is signed in at a site with NextAuth, and a professional with a token."""
    (cookies,) = await asyncio.to_thread(made_of, spec(FIVE, secret=SITE_SECRET))
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    claims = {"sub": PROFESSIONAL, "role": "professional", "name": "Paul"}
    token = mint(SECRET, claims, 600)
    async with place.client(Cookie=cookie, Origin=place.url) as one, place.client(token) as other:
        yield Person(CLIENT, one), Person(PROFESSIONAL, other)


@pytest.fixture
def pass_a_minute(monkeypatch: pytest.MonkeyPatch) -> Callable[[Place, str], Awaitable[None]]:
    """Return a function that makes a user's last sign of life older than any is believed."""

    async def passed(place: Place, user: str) -> None:
        for name, value in place.store.items():
            monkeypatch.setenv(name, value)
        url = place.store.get("LASTEVENT_STORE_URL", "upstash://")
        store = open_store(url, RetentionRules(), clock=lambda: time() - ALIVE_SECONDS - 1)
        await store.records.put(ONLINE, user_key(user), user)
        await store.close()

    return passed


@pytest.mark.parametrize(("platform", "store"), PLACES, ids=["-".join(it) for it in PLACES])
async def test_a_conversation(
    platform: str,
    store: str,
    deploy: Deploy,
    pass_a_minute: Callable[[Place, str], Awaitable[None]],
) -> None:
    async with (
        asyncio.timeout(WAIT_SECONDS),
        deploy(platform, SETTINGS, store=store, sweeps=True) as place,
        two(place) as (client, professional),
        client.listening(),
    ):
        first = {"to": PROFESSIONAL, "text": "Is <b>Monday</b> free?", "clientMessageId": "1"}
        sent = await client.post("send", **first)
        assert await client.post("send", **first) == sent
        assert sent["conversation"] == CONVERSATION
        (unread,) = (await professional.get("/api/messages"))["conversations"]
        assert (unread["unread"], unread["with"]["name"]) == (1, TOKEN["name"])

        async with professional.listening():
            online = await client.heard("presence", user=PROFESSIONAL, state="online")
            await client.post("typing", conversation=CONVERSATION)
            await professional.heard("typing", user=CLIENT)
            await professional.post("delivered", conversation=CONVERSATION, number=1)
            await client.heard("delivered", user=PROFESSIONAL, number=1)
            await professional.post("read", conversation=CONVERSATION, number=1)
            await client.heard("read", user=PROFESSIONAL, number=1)
            while not (client.ends and professional.ends):
                await asyncio.sleep(0.05)
            await place.kill()
            answered = {"conversation": CONVERSATION, "text": "It is.", "clientMessageId": "1"}
            await professional.post("send", **answered)
            reply = await client.heard("message", number=2)
            assert (reply["text"], reply["fromName"]) == ("It is.", "Paul")
            await client.post("send", **(first | {"text": "Good.", "clientMessageId": "2"}))
            await professional.heard("message", number=3)
            seen = await client.get(f"/api/presence?users={PROFESSIONAL}")
            assert seen["users"][0]["state"] == "online"

        await pass_a_minute(place, PROFESSIONAL)  # since the last leg
        gone = await client.heard("presence", user=PROFESSIONAL, state="offline")
        assert gone["turn"] > online["turn"]
        seen = await client.get(f"/api/presence?users={PROFESSIONAL}")
        assert seen["users"][0]["state"] == "offline"

        for person in (client, professional):
            assert person.legs > 1 and person.ends >= 1, "nothing was resumed"
        assert [client.count(it) for it in ("message", "delivered", "read")] == [3, 1, 1]
        assert await client.history() == await professional.history()
        texts = [(it["number"], it["text"], it["state"]) for it in await client.history()]
        assert texts == [(1, first["text"], "read"), (2, "It is.", "sent"), (3, "Good.", "sent")]
