"""Messaging over HTTP: who may do what, and one user's stream across legs."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import time
from typing import Any

import httpx
import jwt
import pytest

from functions.messages import routes, sweep
from functions.streams import routes as stream_routes
from lastevent.core.errors import ConfigError
from lastevent.core.wire import Message
from lastevent.serve.settings import PASSING, Settings
from lastevent.services.messaging import presence
from lastevent.services.messaging.people import User, conversation_id, typing_stream
from lastevent.services.messaging.service import Messaging
from lastevent.services.rates import Rate
from lastevent.stores.base import Retention, RetentionRules
from tests.serve.running import LegReader, Running, Serve, any_store, state
from tests.services.dying import Died, Life, dying
from tests.services.talk import ANN as ANN_USER
from tests.services.talk import draft

SECRET = "s" * 40
ROLES = {"ann": "client", "bob": "client", "paul": "professional", "pia": "professional"}
PAIR = conversation_id("ann", "paul")

Chat = Callable[..., Awaitable[Running]]


def token(sub: str, **claims: object) -> dict[str, str]:
    claims = {
        "sub": sub,
        "exp": time() + 3600,
        "role": ROLES.get(sub),
        "name": sub.title(),
    } | claims
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


@pytest.fixture
def chat(serve: Serve) -> Chat:
    """Return a function that starts a server of messaging on which tokens count."""

    async def start(**changes: Any) -> Running:
        changes = {"development": False, "auth_secret": SECRET, "policy": "latency"} | changes
        return await serve(routes=[*routes, *stream_routes], **changes)

    return start


async def post(server: Running, sub: str, what: str, **body: object) -> httpx.Response:
    return await server.client.post(f"/api/messages/{what}", json=body, headers=token(sub))


async def say(server: Running, sub: str, text: str, **more: object) -> dict[str, Any]:
    where = {"to": "paul"} if sub == "ann" else {"conversation": PAIR}
    body = where | {"text": text, "clientMessageId": hashlib.md5(text.encode()).hexdigest()} | more
    answer = await post(server, sub, "send", **body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def get(server: Running, sub: str, path: str) -> dict[str, Any]:
    answer = await server.client.get(path, headers=token(sub))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def history(server: Running, sub: str = "ann") -> list[dict[str, Any]]:
    return list((await get(server, sub, f"/api/messages?conversation={PAIR}"))["messages"])


# Who may do what, to whose.


@dataclass(frozen=True)
class Action:
    """A request, in which MINE, THEIRS are messages of one conversation by ann and by paul."""

    method: str
    path: str
    body: dict[str, object] | None = None


SEND: dict[str, object] = {"text": "x", "clientMessageId": "matrix"}
MINE, THEIRS, ABSENT = f"{PAIR}-1", f"{PAIR}-2", f"{PAIR}-9"
ACTIONS = {
    "begin with paul": Action("POST", "messages/send", SEND | {"to": "paul"}),
    "begin with pia": Action("POST", "messages/send", SEND | {"to": "pia"}),
    "reply": Action("POST", "messages/send", SEND | {"conversation": PAIR}),
    "list": Action("GET", "messages"),
    "history": Action("GET", f"messages?conversation={PAIR}"),
    "delivered": Action("POST", "messages/delivered", {"conversation": PAIR, "number": 1}),
    "read": Action("POST", "messages/read", {"conversation": PAIR, "number": 1}),
    "typing": Action("POST", "messages/typing", {"conversation": PAIR}),
    "edit ann's": Action("PATCH", f"messages/{MINE}", {"text": "y"}),
    "edit paul's": Action("PATCH", f"messages/{THEIRS}", {"text": "y"}),
    "edit none": Action("PATCH", f"messages/{ABSENT}", {"text": "y"}),
    "delete ann's": Action("DELETE", f"messages/{MINE}"),
    "delete paul's": Action("DELETE", f"messages/{THEIRS}"),
    "delete none": Action("DELETE", f"messages/{ABSENT}"),
    "presence": Action("GET", "presence?users=ann,paul"),
    "events": Action("GET", "sse"),
}

CALLERS: dict[str, dict[str, str]] = {
    "ann": token("ann"),
    "paul": token("paul"),
    "bob": token("bob"),
    "pia": token("pia"),
    "paul as client": token("paul", role="client"),
    "ann as professional": token("ann", role="professional"),
    "no role": token("ann", role=None),
    "another role": token("ann", role="merchant"),
    "all streams": token("root", role=None, read=["*"], append=["*"]),
    "nobody": {},
}

WHO = ("ann", "paul", "bob", "pia", "paul as client", "ann as professional")


@dataclass(frozen=True)
class No:
    """A refusal: its status, and the words by which it says which rule it follows."""

    status: int
    rule: str


TOKEN = No(401, "send a token")
ROLE = No(403, "between clients and professionals")
BEGIN = No(403, "only a client begins a conversation")
SELF = No(400, "nobody has a conversation with themselves")
OTHER = No(403, "in this conversation you are the ")
EDIT, DELETE = (No(403, f"only who sent a message may {what} it") for what in ("edit", "delete"))
HIDE = No(404, f"there is no conversation {PAIR}")
NONE = No(404, "there is no message 9 in this conversation")

MATRIX: dict[str, tuple[int | No, ...]] = {
    #                   ann  paul bob  pia  paul as client, ann as professional
    "begin with paul": (201, BEGIN, 201, BEGIN, SELF, BEGIN),
    "begin with pia": (201, BEGIN, 201, BEGIN, 201, BEGIN),
    "reply": (201, 201, HIDE, HIDE, OTHER, OTHER),
    "list": (200, 200, 200, 200, 200, 200),
    "history": (200, 200, HIDE, HIDE, OTHER, OTHER),
    "delivered": (200, 200, HIDE, HIDE, OTHER, OTHER),
    "read": (200, 200, HIDE, HIDE, OTHER, OTHER),
    "typing": (204, 204, HIDE, HIDE, OTHER, OTHER),
    "edit ann's": (200, EDIT, HIDE, HIDE, OTHER, OTHER),
    "edit paul's": (EDIT, 200, HIDE, HIDE, OTHER, OTHER),
    "edit none": (NONE, NONE, HIDE, HIDE, OTHER, OTHER),
    "delete ann's": (204, DELETE, HIDE, HIDE, OTHER, OTHER),
    "delete paul's": (DELETE, 204, HIDE, HIDE, OTHER, OTHER),
    "delete none": (NONE, NONE, HIDE, HIDE, OTHER, OTHER),
    "presence": (200, 200, 200, 200, 200, 200),
    "events": (200, 200, 200, 200, 200, 200),
}


@any_store
@pytest.mark.parametrize("action", ACTIONS)
async def test_who_may_do_what(chat: Chat, action: str) -> None:
    it = ACTIONS[action]
    expected = dict(zip(WHO, MATRIX[action], strict=True))
    server = await chat(max_leg_seconds=0.5)
    await say(server, "ann", "hello")
    await say(server, "paul", "good day")
    for who, headers in CALLERS.items():
        url = f"/api/{it.path}"
        answer = await server.client.request(it.method, url, json=it.body, headers=headers)
        said = expected.get(who, TOKEN if who == "nobody" else ROLE)
        status = said.status if isinstance(said, No) else said
        assert answer.status_code == status, (who, answer.text)
        if isinstance(said, No):
            assert answer.headers["content-type"] == "application/problem+json"
            assert said.rule in answer.json()["detail"], who
            hidden = answer.text + str(answer.headers)
            assert "hello" not in hidden
            assert "good day" not in hidden
        elif action == "list":
            assert len(answer.json()["conversations"]) == (who in ("ann", "paul"))
        elif action == "presence":
            known = {"ann": ["paul"], "paul": ["ann"]}.get(who, [])
            assert [seen["user"] for seen in answer.json()["users"]] == known


@any_store
async def test_a_client_whom_another_client_names_hears_it_and_no_more(chat: Chat) -> None:
    """There is no list of users: whoever is named is taken to be a professional."""
    server = await chat()
    async with server.leg("/api/sse", **token("bob")) as leg:
        await leg.until("live")
        sent = await post(server, "ann", "send", **SEND | {"to": "bob"})
        assert sent.status_code == 201, sent.text
        ((type, data),), _ = await after(leg, 1)
        assert (type, data["text"], data["from"]) == ("message", "x", "ann")
    id = sent.json()["conversation"]
    (listed,) = (await get(server, "ann", "/api/messages"))["conversations"]
    assert listed["with"] == {"id": "bob", "name": None, "role": "professional"}
    assert (await get(server, "bob", "/api/messages"))["conversations"] == []
    for name, it in ACTIONS.items():
        path, body = it.path.replace(PAIR, id), dict(it.body or {})
        if "conversation" in body:
            body["conversation"] = id
        elif path == it.path:
            continue  # it is about no conversation
        answer = await server.client.request(
            it.method, f"/api/{path}", json=body, headers=token("bob")
        )
        assert answer.status_code == 403, (name, answer.text)
        assert "you are the professional, and your token says client" in answer.json()["detail"]
    seen = await get(server, "bob", "/api/presence?users=ann")
    assert seen["users"] == [], "nor is it told who is online"
    back = await post(server, "bob", "send", **SEND | {"to": "ann"})
    assert back.status_code == 201, back.text
    assert back.json()["conversation"] != id, "one of its own, in which ann can do as little"


@any_store
async def test_what_changes_something_comes_from_a_page_of_ours(chat: Chat) -> None:
    server = await chat()
    cookie = {"Cookie": f"lastevent_token={token('ann')['Authorization'][7:]}"}
    body = SEND | {"to": "paul"}
    answer = await server.client.post(
        "/api/messages/send", json=body, headers=cookie | {"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403
    answer = await server.client.post(
        "/api/messages/send", json=body, headers=cookie | {"Origin": server.url}
    )
    assert answer.status_code == 201


@any_store
@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("POST", "messages/send", SEND, 400, "either"),
        ("POST", "messages/send", SEND | {"to": "paul", "conversation": PAIR}, 400, "either"),
        ("POST", "messages/send", SEND | {"to": "ann"}, 400, "themselves"),
        ("POST", "messages/send", SEND | {"to": "x" * 81}, 400, "id"),
        ("POST", "messages/send", SEND | {"to": "paul", "html": "<b>"}, 400, "html"),
        ("POST", "messages/send", {"to": "paul", "text": "x"}, 400, "clientMessageId"),
        ("POST", "messages/send", SEND | {"to": "paul", "text": " "}, 400, "says something"),
        ("POST", "messages/send", SEND | {"to": "paul", "text": "x" * 4001}, 413, "4000"),
        ("POST", "messages/send", SEND | {"to": "paul", "text": "\x00"}, 400, "control"),
        (
            "POST",
            "messages/send",
            SEND | {"to": "paul", "attachments": ["https://cdn.example.com/a"]},
            400,
            "no host",
        ),
        ("POST", "messages/send", SEND | {"to": "paul", "attachments": ["x"] * 11}, 400, "10"),
        ("POST", "messages/send", SEND | {"to": "paul", "text": "x" * 140_000}, 413, "bytes"),
        ("POST", "messages/send", [], 400, "body"),
        ("POST", "messages/read", {"conversation": PAIR, "number": 0}, 400, "number 1"),
        ("POST", "messages/read", {"conversation": PAIR, "number": 2}, 400, "number 1"),
        ("POST", "messages/read", {"conversation": PAIR, "number": True}, 400, "number"),
        ("POST", "messages/read", {"conversation": PAIR}, 400, "number"),
        ("POST", "messages/typing", {"conversation": "x"}, 404, "conversation"),
        ("PATCH", f"messages/{MINE}", {"text": ""}, 400, "says something"),
        ("PATCH", "messages/x", {"text": "y"}, 404, "no message"),
        ("GET", "messages?limit=0", None, 400, "limit"),
        ("GET", "messages?limit=101", None, 400, "limit"),
        ("GET", "messages?limit=0000000000500", None, 400, "limit"),
        ("GET", "messages?limit=000000000050" + "9" * 5000, None, 400, "limit"),
        ("GET", f"messages?conversation={PAIR}&before=10000000001", None, 400, "before"),
        ("GET", "messages?before=x", None, 400, "next"),
        ("GET", f"messages?conversation={PAIR}&before=x", None, 400, "before"),
        ("GET", "presence", None, 400, "users"),
        ("GET", "presence?users=" + ",".join(map(str, range(51))), None, 400, "users"),
        ("GET", "sse?lastEventId=x", None, 400, "cursor"),
    ],
)
async def test_what_is_refused(
    chat: Chat, method: str, path: str, body: object, status: int, detail: str
) -> None:
    server = await chat()
    await say(server, "ann", "hello")
    answer = await server.client.request(method, f"/api/{path}", json=body, headers=token("ann"))
    assert answer.status_code == status, answer.text
    assert detail in answer.json()["detail"]
    assert len(await history(server)) == 1


@any_store
async def test_the_longest_message_comes_through_in_any_writing(chat: Chat) -> None:
    """A client's JSON may write each character outside ASCII as two escapes of six bytes."""
    hosts = ("cdn.example.com",)
    server = await chat(message_length=10_000, message_attachment_hosts=hosts)
    text, urls = "🙂" * 10_000, [f"https://{hosts[0]}/".ljust(1000, "a")] * 10
    body = json.dumps(SEND | {"to": "paul", "text": text, "attachments": urls})
    answer = await server.client.post("/api/messages/send", content=body, headers=token("ann"))
    assert answer.status_code == 201, answer.text
    (message,) = await history(server, "paul")
    assert (message["text"], message["attachments"]) == (text, urls)


async def test_a_conversation(chat: Chat) -> None:
    server = await chat(message_attachment_hosts=("cdn.example.com",))
    first = await say(server, "ann", "hello", attachments=["https://cdn.example.com/a.png"])
    assert first == await say(server, "ann", "hello", attachments=["https://cdn.example.com/a.png"])
    await say(server, "paul", "<script>alert(1)</script>")
    answer = await post(server, "paul", "read", conversation=PAIR, number=1)
    assert answer.json()["unread"] == 0
    edited = await server.client.patch(
        f"/api/messages/{first['id']}", json={"text": "hello!"}, headers=token("ann")
    )
    assert (edited.status_code, edited.json()["text"]) == (200, "hello!")
    mine, theirs = await history(server)
    assert (mine["text"], mine["state"], mine["from"]) == ("hello!", "read", "ann")
    assert mine["attachments"] == ["https://cdn.example.com/a.png"]
    assert (theirs["text"], theirs["state"]) == ("<script>alert(1)</script>", "sent")
    listing = await get(server, "ann", "/api/messages")
    (listed,) = listing["conversations"]
    assert listed["with"] == {"id": "paul", "name": "Paul", "role": "professional"}
    assert (listed["unread"], listed["last"]["number"], listing["next"]) == (1, 2, None)
    gone = await server.client.delete(f"/api/messages/{first['id']}", headers=token("ann"))
    assert gone.status_code == 204
    assert (await history(server))[0].get("deleted") is True
    page = await get(server, "ann", f"/api/messages?conversation={PAIR}&limit=1")
    assert [it["number"] for it in page["messages"]] == [2]
    path = f"/api/messages?conversation={PAIR}&limit=1&before={page['next']}"
    page = await get(server, "ann", path)
    assert ([it["number"] for it in page["messages"]], page["next"]) == ([1], None)


# The stream.


async def after(leg: LegReader, count: int) -> tuple[list[tuple[str, Any]], str]:
    """Return type and data of the next events, and the cursor after them."""
    messages: list[Message] = await leg.notes(count)
    return [(it.type, json.loads(it.data)) for it in messages], messages[-1].id or ""


async def test_one_user_s_stream_across_legs(chat: Chat) -> None:
    """From the snapshot on: nothing missing, nothing twice, whatever happens between two legs."""
    server = await chat()
    await say(server, "ann", "0")
    snapshot = await get(server, "paul", f"/api/messages?conversation={PAIR}")
    assert [it["text"] for it in snapshot["messages"]] == ["0"]
    cursor = snapshot["cursor"]
    await say(server, "ann", "1")
    seen: list[str] = []
    for n in range(2, 6):
        async with server.leg("/api/sse", **token("paul"), Last_Event_ID=cursor) as leg:
            assert leg.answer.headers["x-accel-buffering"] == "no"
            assert "no-store" in leg.answer.headers["cache-control"]
            (event,), cursor = await after(leg, 1)
            seen.append(event[1]["text"])
            await leg.until("live")
            await post(server, "ann", "typing", conversation=PAIR)
            (event,), cursor = await after(leg, 1)
            assert event == ("typing", {"conversation": PAIR, "user": "ann"})
        await say(server, "ann", f"{n}")
    assert seen == ["1", "2", "3", "4"]


async def test_who_comes_without_a_cursor_begins_now(chat: Chat) -> None:
    server = await chat()
    await say(server, "ann", "before")
    async with server.leg("/api/sse", **token("paul")) as leg:
        assert {it.type for it in await leg.until("live")} == {"stream"}
        await say(server, "ann", "after")
        ((type, data),), _ = await after(leg, 1)
        assert (type, data["text"], data["fromName"]) == ("message", "after", "Ann")
        await say(server, "paul", "mine")
        ((_, data),), _ = await after(leg, 1)
        assert data["text"] == "mine", "one's other devices hear it too"
    async with server.leg("/api/sse?types=read", **token("ann")) as leg:
        await leg.until("live")
        await say(server, "ann", "not this")
        await post(server, "paul", "read", conversation=PAIR, number=2)
        (event,), _ = await after(leg, 1)
        assert event == ("read", {"conversation": PAIR, "user": "paul", "number": 2})


@any_store
async def test_a_token_in_the_query_follows_and_no_more(chat: Chat) -> None:
    server = await chat()
    short = token("ann", exp=time() + 60)["Authorization"].removeprefix("Bearer ")
    async with server.leg(f"/api/sse?token={short}") as leg:
        await leg.until("live")
    answer = await server.client.post(f"/api/messages/send?token={short}", json=SEND)
    assert answer.status_code == 401


async def test_nobody_hears_what_is_told_to_others(chat: Chat) -> None:
    server = await chat(max_leg_seconds=1.0)
    async with server.leg("/api/sse", **token("bob")) as leg:
        await leg.until("live")
        await say(server, "ann", "hello")
        await post(server, "ann", "typing", conversation=PAIR)
        assert {it.type for it in await leg.until("rotate")} == {"stream"}
    for stream in ("user:ann", "user:paul", "typing:paul"):
        path = f"/api/streams/{stream}"
        assert (await server.client.get(path, headers=token("ann"))).status_code == 403


SHORT = RetentionRules((("typing:*", Retention(0.3, 100)),))


async def test_typing_is_not_told_to_who_comes_later(chat: Chat) -> None:
    """And nobody hears that history was lost: there is none of it."""
    server = await chat(retention=SHORT)
    await say(server, "ann", "hello")
    async with server.leg("/api/sse", **token("paul")) as leg:
        await leg.until("live")
        await post(server, "ann", "typing", conversation=PAIR)
        ((type, _),), cursor = await after(leg, 1)
        assert type == "typing"
    for _ in range(3):
        await post(server, "ann", "typing", conversation=PAIR)
    await asyncio.sleep(0.4)
    await say(server, "ann", "later")
    other = await chat(retention=SHORT) if server.service.store.durable else server
    for where in (server, other):
        for path in ("/api/sse", "/api/sse?from=start"):
            headers = token("paul") | ({"Last-Event-ID": cursor} if "from" not in path else {})
            async with where.leg(path, **headers) as leg:
                messages = await leg.until("live")
            states = [state(it) for it in messages if it.type == "stream"]
            assert [it["state"] for it in states] == ["open", "live"]
            assert "trimmed" not in states[0]
            assert {it.type for it in messages} == {"stream", "message"}
            assert json.loads(messages[-2].data)["text"] == "later"
    page = await server.service.store.log.read(typing_stream("paul"), None)
    assert page.events == ()


def test_typing_is_kept_for_seconds_whatever_is_kept_of_the_rest() -> None:
    environ = {"LASTEVENT_AUTH_SECRET": SECRET, "LASTEVENT_RETENTION": "*=9d,1000"}
    for given in (environ, {"LASTEVENT_AUTH_SECRET": SECRET}):
        kept = Settings.from_env(given).retention.of("typing:ann")
        assert kept == PASSING[0][1]
        assert kept.max_seconds <= 30
    assert Settings.from_env(environ).retention.of("user:ann") == Retention(9 * 86400, 1000)


def test_settings() -> None:
    settings = Settings.from_env(
        {
            "LASTEVENT_AUTH_SECRET": SECRET,
            "LASTEVENT_MESSAGE_LENGTH": "100",
            "LASTEVENT_MESSAGE_RATE": "5/20",
            "LASTEVENT_MESSAGE_ATTACHMENT_HOSTS": "cdn.example.com, Files.Example.org",
        }
    )
    assert (settings.message_length, settings.message_rate) == (100, Rate(5, 20.0))
    assert settings.message_attachment_hosts == ("cdn.example.com", "files.example.org")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LENGTH", "0"),
        ("LENGTH", "10001"),
        ("RATE", "5"),
        ("RATE", "0/5"),
        ("RATE", "5/0"),
        ("RATE", "5/1.5"),
        ("ATTACHMENT_HOSTS", "*"),
        ("ATTACHMENT_HOSTS", "https://cdn.example.com"),
        ("ATTACHMENT_HOSTS", "cdn.example.com/a"),
        ("ATTACHMENT_HOSTS", "localhost"),
    ],
)
def test_a_bad_setting_says_what_to_write(variable: str, value: str) -> None:
    environ = {"LASTEVENT_AUTH_SECRET": SECRET, f"LASTEVENT_MESSAGE_{variable}": value}
    with pytest.raises(ConfigError, match="write "):
        Settings.from_env(environ)


# Several servers.


@pytest.mark.parametrize("settings", ["sqlite:///{}/test.db"], indirect=True, ids=["sqlite"])
async def test_two_servers_on_one_store(chat: Chat) -> None:
    """Presence, order, idempotency and the rate are theirs together."""
    here, there = [await chat(message_rate=Rate(20, 1000.0)) for _ in range(2)]
    await say(here, "ann", "0")
    cursor = (await get(there, "paul", "/api/messages"))["cursor"]
    async with there.leg("/api/sse", **token("paul"), Last_Event_ID=cursor) as leg:
        await leg.until("live")
        same = [say(server, "ann", "1") for server in (here, there)]
        assert len({answer["id"] for answer in await asyncio.gather(*same)}) == 1
        texts = [f"{n}" for n in range(2, 12)]
        both = (say((here, there)[n % 2], "ann", text) for n, text in enumerate(texts))
        await asyncio.gather(*both)
        events, _ = await after(leg, 11)
        assert [data["number"] for _, data in events] == list(range(2, 13))
        assert sorted(data["text"] for _, data in events) == sorted(["1", *texts])
        took = 12  # what came to both servers at once was counted once or twice
        for n in range(20):
            server, body = (here, there)[n % 2], {"text": "x", "clientMessageId": f"more-{n}"}
            answer = await post(server, "ann", "send", conversation=PAIR, **body)
            if answer.status_code == 429:
                break
            took += 1
        assert took in (19, 20)
        for server in (here, there):
            answer = await post(
                server, "ann", "send", conversation=PAIR, text="x", clientMessageId="over"
            )
            assert answer.status_code == 429
            assert 40 <= int(answer.headers["retry-after"]) <= 51
            assert answer.json()["type"] == "urn:lastevent:problem:too-many-requests"
        async with asyncio.timeout(10):
            while True:
                seen = await get(here, "ann", "/api/presence?users=paul")
                if seen["users"][0]["state"] == "online":
                    break
                await asyncio.sleep(0.02)


async def test_presence_is_told_and_the_sweep_finds_who_is_gone(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await chat()
    await say(server, "ann", "hello")
    async with server.leg("/api/sse?types=presence", **token("ann")) as leg:
        await leg.until("live")
        async with server.leg("/api/sse", **token("paul")) as other:
            await other.until("live")
            ((type, data),), _ = await after(leg, 1)
            assert (type, data["user"], data["state"]) == ("presence", "paul", "online")
        async with asyncio.timeout(10):
            while len(server.service.connections) > 1:
                await asyncio.sleep(0.01)
        assert await sweep(server.service) == [], "another leg may follow"
        monkeypatch.setattr(presence, "time", lambda: time() + 100)
        found = await sweep(server.service)
        assert {"stream": "user:paul", "kind": "messages", "state": "offline"} in found
        ((type, data),), _ = await after(leg, 1)
        assert (data["user"], data["state"]) == ("paul", "offline")
    seen = await get(server, "ann", "/api/presence?users=paul,bob&users=ann")
    assert [(it["user"], it["state"]) for it in seen["users"]] == [("paul", "offline")]
    assert seen["users"][0]["lastSeen"] == data["lastSeen"]
    assert seen["cursor"]


async def test_who_came_before_the_cursor_of_a_snapshot_is_online_in_it(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RULES 7: what the cursor is behind is not told again."""
    server = await chat()
    await say(server, "ann", "hello")
    cursor = Messaging.cursor

    async def early(messaging: Messaging, user: User) -> str:
        async with presence.Presence(server.service.store, messaging.others).watch("paul", 0.0):
            pass
        return await cursor(messaging, user)

    monkeypatch.setattr(Messaging, "cursor", early)
    seen = await get(server, "ann", "/api/presence?users=paul")
    assert seen["users"][0]["state"] == "online"


async def test_who_polls_is_online(chat: Chat) -> None:
    """As a page does where no stream gets through: it asks for JSON, and waits for nothing."""
    server = await chat()
    await say(server, "ann", "hello")
    headers = token("paul") | {"Accept": "application/json"}
    answer = await server.client.get("/api/sse?from=start", headers=headers)
    assert [it["type"] for it in answer.json()["events"]] == ["message"]
    seen = await get(server, "ann", "/api/presence?users=paul")
    assert seen["users"][0]["state"] == "online"


async def test_the_sweep_tells_what_a_dead_server_left(chat: Chat) -> None:
    server = await chat()
    store = server.service.store
    life = Life(5, carried_out=True)  # at the write of the conversation
    with pytest.raises(Died):
        await Messaging(dying(store, life)).begin(ANN_USER, "paul", draft("hello"))
    assert len(await store.records.query("conversations")) == 1
    assert not (await store.log.describe("user:paul")).exists
    (found,) = await sweep(server.service)
    assert found["kind"] == "messages"
    page = await store.log.read("user:paul", None)
    assert [event.type for event in page.events] == ["message"]
    assert await sweep(server.service) == []
