"""Messaging on each embedded store: who says what, in which order, and what becomes of it."""

import asyncio
from typing import Any

import pytest

from lastevent.core.cursor import parse_vector
from lastevent.core.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    KeyReused,
    NotFound,
    TooLarge,
    TooManyRequests,
)
from lastevent.services.messaging.message import (
    Draft,
    Limits,
    Message,
    attachment,
    message_text,
)
from lastevent.services.messaging.people import (
    User,
    conversation_id,
    stream_of,
    typing_stream,
    user_key,
)
from lastevent.services.messaging.records import LISTED
from lastevent.services.messaging.service import Messaging
from lastevent.services.rates import Rate
from lastevent.stores.base import Store
from tests.services.talk import ANN, EVE, LOOSE, PAIR, PAUL, View, draft, told


@pytest.fixture
def messaging(store: Store) -> Messaging:
    return Messaging(store, LOOSE)


async def texts(messaging: Messaging, user: User = ANN, **where: Any) -> list[object]:
    page = await messaging.history(user, PAIR, where.get("before"), where.get("limit", 50))
    return [item.get("text") for item in page.items]


async def test_a_client_begins_and_a_professional_replies(
    messaging: Messaging, store: Store
) -> None:
    first = await messaging.begin(ANN, PAUL.id, draft("hello"))
    assert (first["conversation"], first["number"]) == (PAIR, 1)
    second = await messaging.send(PAUL, PAIR, draft("good day"))
    assert second["number"] == 2
    assert await texts(messaging) == await texts(messaging, PAUL) == ["hello", "good day"]
    for user in (ANN, PAUL):
        events = await told(store, user)
        assert [type for type, _ in events] == ["message", "message"]
        assert [data["fromName"] for _, data in events] == ["Ann", "Paul"]
        assert [data["id"] for _, data in events] == [first["id"], second["id"]]

    (listed,) = (await messaging.conversations(PAUL, None, 10)).items
    assert listed["with"] == {"id": ANN.id, "name": "Ann", "role": "client"}
    assert (listed["unread"], listed["number"]) == (1, 2)
    assert isinstance(listed["last"], dict)
    assert listed["last"]["text"] == "good day"


async def test_two_devices_begin_one_conversation(messaging: Messaging, store: Store) -> None:
    other = Messaging(store, LOOSE)
    await asyncio.gather(
        *(it.begin(ANN, PAUL.id, draft(f"{n}")) for n in range(5) for it in (messaging, other))
    )
    assert sorted(map(str, await texts(messaging))) == sorted(
        f"{n}" for n in range(5) for _ in "12"
    )
    assert len((await messaging.conversations(ANN, None, 10)).items) == 1
    numbers = [data["number"] for _, data in await told(store, PAUL)]
    assert numbers == list(range(1, 11)), "in their order, without a hole"


async def test_what_is_sent_again_is_the_same_message(messaging: Messaging, store: Store) -> None:
    first = await messaging.begin(ANN, PAUL.id, draft("hello", "one"))
    assert await messaging.begin(ANN, PAUL.id, draft("hello", "one")) == first
    await messaging.edit(ANN, str(first["id"]), "hello!")
    assert await messaging.send(ANN, PAIR, draft("hello", "one")) == first
    await messaging.delete(ANN, str(first["id"]))
    assert await messaging.send(ANN, PAIR, draft("hello", "one")) == first
    with pytest.raises(KeyReused):
        await messaging.send(ANN, PAIR, draft("something else", "one"))
    theirs = await messaging.send(PAUL, PAIR, draft("mine", "one"))
    assert theirs["number"] == 2, "each sender has ids of their own"
    assert [type for type, _ in await told(store, PAUL)] == [
        "message",
        "edited",
        "deleted",
        "message",
    ]


async def test_the_same_draft_at_once_on_two_servers(messaging: Messaging, store: Store) -> None:
    await messaging.begin(ANN, PAUL.id, draft("hello"))
    other = Messaging(store, LOOSE)
    same = draft("twice?")
    answers = await asyncio.gather(*(it.send(ANN, PAIR, same) for it in (messaging, other) * 3))
    assert answers == [answers[0]] * 6
    assert await texts(messaging) == ["hello", "twice?"]


async def test_edit_and_delete(messaging: Messaging, store: Store) -> None:
    first = Draft("helo", "one", ("https://cdn.example.com/hello.png",))
    id = str((await messaging.begin(ANN, PAUL.id, first))["id"])
    edited = await messaging.edit(ANN, id, "hello")
    assert (edited["text"], edited["revision"]) == ("hello", 2)
    assert await messaging.edit(ANN, id, "hello") == edited, "no change, nothing to tell"
    (listed,) = (await messaging.conversations(PAUL, None, 10)).items
    assert isinstance(listed["last"], dict)
    assert listed["last"]["text"] == "hello"
    await messaging.delete(ANN, id)
    await messaging.delete(ANN, id)
    (message,) = (await messaging.history(PAUL, PAIR, None, 10)).items
    assert message["deleted"] is True
    assert "text" not in message
    with pytest.raises(Conflict):
        await messaging.edit(ANN, id, "again")
    assert [type for type, _ in await told(store, PAUL)] == ["message", "edited", "deleted"]
    for kind in ("conversations", "messages", "messages-sent"):
        for record in await store.records.query(kind):
            assert "hello" not in record.value, "what is deleted is gone from the records"
    (kept,) = await store.records.query("messages")
    assert Message.parse(kept.value).digest == "", "nor can it be guessed from what is left"
    (conversation,) = await store.records.query("conversations")
    assert '"text":""' in conversation.value


async def test_a_list_has_the_beginning_of_the_last_message(
    messaging: Messaging, store: Store
) -> None:
    id = str((await messaging.begin(ANN, PAUL.id, draft("x" * 4000)))["id"])
    for _ in range(2):
        (listed,) = (await messaging.conversations(PAUL, None, 10)).items
        assert isinstance(listed["last"], dict)
        assert listed["last"]["text"] == "x" * 160
        await messaging.edit(ANN, id, "x" * 3999)


async def test_delivered_and_read(messaging: Messaging, store: Store) -> None:
    for n in range(1, 6):
        sender, send = (PAUL, messaging.send) if n == 3 else (ANN, None)
        if send is not None:
            await send(sender, PAIR, draft(f"{n}"))
        else:
            await messaging.begin(ANN, PAUL.id, draft(f"{n}"))

    async def states() -> list[object]:
        return [it["state"] for it in (await messaging.history(ANN, PAIR, None, 9)).items]

    async def unread(user: User) -> object:
        (listed,) = (await messaging.conversations(user, None, 9)).items
        return listed["unread"]

    assert (await unread(PAUL), await unread(ANN)) == (4, 1)
    await messaging.mark(PAUL, PAIR, "delivered", 4)
    assert await states() == ["delivered", "delivered", "sent", "delivered", "sent"]
    assert await unread(PAUL) == 4
    assert (await messaging.mark(PAUL, PAIR, "read", 2))["unread"] == 2
    assert (await messaging.mark(PAUL, PAIR, "read", 3))["unread"] == 2, "its own is not unread"
    assert (await messaging.mark(PAUL, PAIR, "read", 4))["unread"] == 1
    assert (await messaging.mark(PAUL, PAIR, "read", 1))["unread"] == 1, "it never goes back"
    assert (await messaging.mark(PAUL, PAIR, "read", 5))["unread"] == 0
    assert await states() == ["read", "read", "sent", "read", "read"]
    assert (await messaging.mark(ANN, PAIR, "read", 5))["unread"] == 0
    marks = [(type, data) for type, data in await told(store, ANN) if type != "message"]
    assert [(type, data["number"]) for type, data in marks] == [
        ("delivered", 4),
        ("read", 2),
        ("read", 3),
        ("read", 4),
        ("read", 5),
        ("read", 5),
    ]
    for number in (0, 6, -1):
        with pytest.raises(InvalidRequest, match="number 5"):
            await messaging.mark(PAUL, PAIR, "read", number)


async def test_history_is_paged_backwards(messaging: Messaging) -> None:
    for n in range(1, 8):
        await messaging.begin(ANN, PAUL.id, draft(f"{n}"))
    seen: list[object] = []
    before: int | None = None
    while True:
        page = await messaging.history(PAUL, PAIR, before, 3)
        seen = [it["number"] for it in page.items] + seen
        if page.before is None:
            break
        before = int(page.before)
    assert seen == list(range(1, 8))
    assert (await messaging.history(PAUL, PAIR, 1, 3)).items == ()
    assert await texts(messaging, before=10**9, limit=2) == ["6", "7"]


async def test_a_message_that_was_taken_away_moves_no_others_to_its_page(
    messaging: Messaging, store: Store
) -> None:
    """Who keeps the store may delete records; pages go by numbers all the same."""
    for n in range(1, 6):
        await messaging.begin(ANN, PAUL.id, draft(f"{n}"))
    await store.records.delete("messages", f"{PAIR}/{2:010d}")
    assert await texts(messaging, before=4, limit=3) == ["1", "3"]


async def test_conversations_are_paged_the_newest_first(messaging: Messaging) -> None:
    clients = [User(f"c{n}", "client") for n in range(7)]
    for client in clients:
        await messaging.begin(client, PAUL.id, draft("hi"))
        await asyncio.sleep(0.002)  # lists go by milliseconds
    await messaging.begin(clients[2], PAUL.id, draft("again"))
    seen: list[Any] = []
    before: str | None = None
    while True:
        page = await messaging.conversations(PAUL, before, 3)
        assert len(page.items) <= 3
        seen += [it["with"]["id"] for it in page.items if isinstance(it["with"], dict)]
        before = page.before
        if before is None:
            break
    assert seen == ["c2", "c6", "c5", "c4", "c3", "c1", "c0"]
    assert (await messaging.conversations(PAUL, None, 7)).before is None, "there is no other page"
    assert (await messaging.conversations(PAUL, None, 6)).before is not None
    with pytest.raises(InvalidRequest, match="next"):
        await messaging.conversations(PAUL, "../x", 3)


async def test_a_place_that_is_no_longer_right_is_passed_over_and_goes(
    messaging: Messaging, store: Store
) -> None:
    """Who told of an older change was so late that it listed what stood elsewhere by then."""
    await messaging.begin(ANN, PAUL.id, draft("1"))
    (place,) = await store.records.query(LISTED, prefix=f"{PAUL.key}/")
    await messaging.begin(ANN, PAUL.id, draft("2"))
    await store.records.put(LISTED, place.id, place.value)
    (listed,) = (await messaging.conversations(PAUL, None, 10)).items
    assert listed["number"] == 2
    (left,) = await store.records.query(LISTED, prefix=f"{PAUL.key}/")
    assert left.id != place.id


async def test_a_conversation_that_moves_is_always_in_the_list(
    messaging: Messaging, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await messaging.begin(ANN, PAUL.id, draft("1"))
    delete, places = store.records.delete, []

    async def looked(kind: str, id: str, **options: Any) -> bool:
        if kind == LISTED:
            prefix = id.partition("/")[0] + "/"
            places.append(len(await store.records.query(LISTED, prefix=prefix)))
        return await delete(kind, id, **options)

    monkeypatch.setattr(
        type(store.records), "delete", lambda _, *args, **options: looked(*args, **options)
    )
    await messaging.begin(ANN, PAUL.id, draft("2"))
    assert places == [2, 2], "the new place is there before the old one goes"


async def test_the_newest_comes_first_also_where_a_list_is_behind(
    messaging: Messaging, store: Store
) -> None:
    """A message may come between the look at the list and that at its conversations."""
    for client in (ANN, EVE):
        await messaging.begin(client, PAUL.id, draft("1"))
        await asyncio.sleep(0.002)
    places = await store.records.query(LISTED, prefix=f"{PAUL.key}/")
    await messaging.begin(ANN, PAUL.id, draft("2"))
    (first, *_) = await store.records.query(LISTED, prefix=f"{PAUL.key}/")
    await store.records.delete(LISTED, first.id)
    await store.records.put(LISTED, places[-1].id, places[-1].value)
    listed = (await messaging.conversations(PAUL, None, 10)).items
    assert [it["number"] for it in listed] == [2, 1]


async def test_typing_passes(messaging: Messaging, store: Store) -> None:
    await messaging.begin(ANN, PAUL.id, draft("hello"))
    before = await told(store, PAUL)
    await messaging.typing(ANN, PAIR)
    assert await told(store, PAUL) == before
    page = await store.log.read(typing_stream(PAUL.id), None)
    assert [event.type for event in page.events] == ["typing"]
    assert not (await store.log.describe(typing_stream(ANN.id))).exists


async def test_typing_has_a_rate_of_its_own(store: Store) -> None:
    limits = Limits(rate=Rate(1, 1000.0), typing_rate=Rate(2, 1000.0))
    servers = Messaging(store, limits), Messaging(store, limits)
    await servers[0].begin(ANN, PAUL.id, draft("hello"))
    for server in servers:
        await server.typing(ANN, PAIR)
    with pytest.raises(TooManyRequests):
        await servers[0].typing(ANN, PAIR)
    assert len((await store.log.read(typing_stream(PAUL.id), None)).events) == 2


async def test_a_snapshot_and_what_follows_it_are_the_whole(
    messaging: Messaging, store: Store
) -> None:
    """RULES 7: the cursor is from before the snapshot, so what comes between is told again."""
    await messaging.begin(ANN, PAUL.id, draft("1"))
    view = View(PAUL)
    get = store.log.describe

    async def late(stream: str) -> object:
        extent = await get(stream)
        await messaging.begin(ANN, PAUL.id, draft("meanwhile"))
        return extent

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store.log), "describe", lambda _, stream: late(stream))
        await view.load(messaging, 50)
    await view.listen(store)
    assert [it["text"] for it in view.messages.values()] == ["1", "meanwhile"]


@pytest.mark.parametrize("what", ["history", "conversations"])
async def test_what_a_cursor_is_behind_is_in_its_snapshot(
    messaging: Messaging, store: Store, what: str
) -> None:
    """RULES 7, the other way round: what comes just before the cursor is taken."""
    await messaging.begin(ANN, PAUL.id, draft("1"))
    get = store.log.describe

    async def early(stream: str) -> object:
        await messaging.begin(ANN, PAUL.id, draft("2"))
        await messaging.begin(EVE, PAUL.id, draft("3"))
        return await get(stream)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store.log), "describe", lambda _, stream: early(stream))
        if what == "history":
            page = await messaging.history(PAUL, PAIR, None, 10)
        else:
            page = await messaging.conversations(PAUL, None, 10)
    assert page.items[-1]["number"] == 2
    assert len(page.items) == 2, "messages, or conversations"
    stream = stream_of(PAUL.id)
    rest = await store.log.read(stream, parse_vector(page.cursor, (stream,))[stream])
    assert rest.events == ()


# Who may.


async def test_who_may_not(messaging: Messaging) -> None:
    id = str((await messaging.begin(ANN, PAUL.id, draft("hello")))["id"])
    with pytest.raises(Forbidden, match="only a client begins"):
        await messaging.begin(PAUL, ANN.id, draft("x"))
    with pytest.raises(InvalidRequest, match="themselves"):
        await messaging.begin(ANN, ANN.id, draft("x"))
    for user, error in ((EVE, NotFound), (User(PAUL.id, "client"), Forbidden)):
        for call in (
            messaging.send(user, PAIR, draft("x")),
            messaging.history(user, PAIR, None, 9),
            messaging.mark(user, PAIR, "read", 1),
            messaging.mark(user, PAIR, "read", 99),
            messaging.typing(user, PAIR),
            messaging.edit(user, id, "x"),
            messaging.delete(user, id),
            messaging.edit(user, f"{PAIR}-99", "x"),
        ):
            with pytest.raises(error):
                await call
    for call in (messaging.edit(PAUL, id, "x"), messaging.delete(PAUL, id)):
        with pytest.raises(Forbidden, match="only who sent"):
            await call
    assert (await messaging.conversations(User(PAUL.id, "client"), None, 9)).items == ()
    assert await texts(messaging) == ["hello"]


async def test_what_is_hidden_and_what_is_not_there_look_the_same(messaging: Messaging) -> None:
    await messaging.begin(ANN, PAUL.id, draft("hello"))
    said = []
    for id in (PAIR, "0" * 32):
        with pytest.raises(NotFound) as caught:
            await messaging.history(EVE, id, None, 9)
        said.append(str(caught.value).replace(id, "ID"))
    assert said[0] == said[1]
    for nothing in ("", "x" * 5000, PAIR.upper(), f"{PAIR}/"):
        with pytest.raises(NotFound):
            await messaging.history(ANN, nothing, None, 9)
    for nothing in ("", PAIR, f"{PAIR}-0", f"{PAIR}-01", f"{PAIR}-x", f"{PAIR}-2"):
        with pytest.raises(NotFound):
            await messaging.edit(ANN, nothing, "x")


async def test_who_is_known_to_whom(messaging: Messaging) -> None:
    await messaging.begin(ANN, PAUL.id, draft("hello"))
    assert await messaging.known(ANN, ["x", PAUL.id, EVE.id]) == [PAUL.id]
    assert await messaging.known(PAUL, [ANN.id, EVE.id]) == [ANN.id]
    assert await messaging.known(EVE, [PAUL.id]) == []


async def test_a_rate_is_shared_and_a_repetition_costs_nothing(store: Store) -> None:
    limits = Limits(rate=Rate(3, 1000.0))
    servers = Messaging(store, limits), Messaging(store, limits)
    same = draft("one")
    first = await servers[0].begin(ANN, PAUL.id, same)
    for _ in range(5):
        assert await servers[1].begin(ANN, PAUL.id, same) == first
    await servers[1].send(ANN, PAIR, draft("two"))
    await servers[0].edit(ANN, str(first["id"]), "changed")
    for server in servers:
        with pytest.raises(TooManyRequests) as caught:
            await server.send(ANN, PAIR, draft("four"))
        assert 300 < caught.value.retry_after < 334
    assert (await servers[0].send(PAUL, PAIR, draft("mine")))["number"] == 3


# Values.


@pytest.mark.parametrize(
    ("id", "key"),
    [
        ("ann", "ann"),
        ("ann@example.com", "ann~40example.com"),
        ("auth0|1", "auth0~7c1"),
        ("a~40b", "a~7e40b"),
        ("ü", "~c3~bc"),
        ("a/b", "a~2fb"),
    ],
)
def test_an_id_in_the_names_of_streams(id: str, key: str) -> None:
    assert user_key(id) == key
    assert stream_of(id) == f"user:{key}"


@pytest.mark.parametrize("id", ["", "x" * 81, "ü" * 41, "a\nb", "a\0", "\ud800"])
def test_no_id(id: str) -> None:
    with pytest.raises(InvalidRequest):
        User.of(id, "client")


def test_names_are_shown_without_what_is_no_text() -> None:
    assert User.of("a", "client", " A\n\x1bnn ").name == "Ann"
    assert User.of("a", "client", "\n").name is None
    assert len(User.of("a", "client", "x" * 500).name or "") == 100


def test_pairs_are_not_confused() -> None:
    assert conversation_id("a", "b") != conversation_id("b", "a")
    assert conversation_id("a/b", "c") != conversation_id("a", "b/c")


@pytest.mark.parametrize("text", ["a\nb\tc", "<b>&amp;</b>", "‮", "🙂" * 4000])
def test_text_is_text(text: str) -> None:
    assert message_text(text, LOOSE) == text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", InvalidRequest),
        (" \n\t", InvalidRequest),
        ("a\0b", InvalidRequest),
        ("a\rb", InvalidRequest),
        ("\x1b[1m", InvalidRequest),
        ("\x85", InvalidRequest),
        ("\ud800", InvalidRequest),
        ("x" * 4001, TooLarge),
    ],
)
def test_no_text(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        message_text(text, LOOSE)


HOSTS = ("cdn.example.com",)


@pytest.mark.parametrize("url", ["https://cdn.example.com/a%20b?c=d#e", "https://CDN.example.com"])
def test_an_attachment(url: str) -> None:
    assert attachment(url, HOSTS) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.example.com/a",
        "https://cdn.example.com.evil.example/a",
        "https://evil.example/cdn.example.com",
        "https://cdn.example.com@evil.example/",
        "https://evil.example\\@cdn.example.com/",
        "https://user@cdn.example.com/",
        "https://cdn.example.com:8443/",
        "https://cdn.example.com./",
        "https://[::1]/",
        "https://[/",
        "//cdn.example.com/a",
        "javascript:alert(1)",
        "https://cdn.example.com/a b",
        "https://cdn.example.com/\n",
        "https://cdn.example.com/ü",
        'https://cdn.example.com/"><b>',
        "https://cdn.example.com/" + "a" * 1000,
    ],
)
def test_no_attachment(url: str) -> None:
    with pytest.raises(InvalidRequest):
        attachment(url, HOSTS)


def test_attachments_are_for_hosts_that_are_named() -> None:
    with pytest.raises(InvalidRequest, match="no host"):
        Draft.of("x", "c", ["https://cdn.example.com/a"], Limits())
    limits = Limits(attachment_hosts=HOSTS)
    assert Draft.of("", "c", ["https://cdn.example.com/a"], limits).text == ""
    with pytest.raises(TooLarge, match="10"):
        Draft.of("x", "c", ["https://cdn.example.com/a"] * 11, limits)
    for client_id in ("", "x" * 65, "a/b", "a b"):
        with pytest.raises(InvalidRequest, match="clientMessageId"):
            Draft.of("x", client_id, (), limits)
