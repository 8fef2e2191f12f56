"""Two people who talk on their pages: each message once and in order, whatever the network does."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Route, expect

from tests.browser.chat_page import EVENTS, SECRET, ChatPage, Person
from tests.browser.proxy import Proxy
from tests.browser.server import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WAIT_SECONDS = 15.0
NUMBERS = count(1)
Pages = Callable[[Person], Awaitable[ChatPage]]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One server for all tests: each has people of its own."""
    environ = {
        "LASTEVENT_AUTH_SECRET": SECRET,
        "LASTEVENT_MESSAGE_RATE": "10000/60",
        "LASTEVENT_MESSAGE_LENGTH": "500",
    }
    async with serving(tmp_path_factory.mktemp("messages"), environ) as server:
        yield server


@pytest.fixture
def clara(host: Server) -> Person:
    """A client."""
    return Person(host, f"clara-{next(NUMBERS)}", "client", "Clara Client")


@pytest.fixture
def paul(host: Server) -> Person:
    """A professional."""
    return Person(host, f"paul-{next(NUMBERS)}", "professional", "Paul Professional")


@pytest_asyncio.fixture(loop_scope="session")
async def pages(browser: Browser, host: Server) -> AsyncIterator[Pages]:
    """Give each person a browser and a network of their own; the test fails if a page faults."""
    faults: list[str] = []
    contexts = []
    proxies: list[Proxy] = []

    def on_console(message: ConsoleMessage) -> None:
        # Requests that fail are logged by the browser itself; tests make them fail.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            faults.append(message.text)

    async def make(person: Person) -> ChatPage:
        proxy = await Proxy(host.port).__aenter__()
        proxies.append(proxy)
        context = await browser.new_context(viewport={"width": 1100, "height": 700})
        context.set_default_timeout(WAIT_SECONDS * 1000)
        contexts.append(context)
        await person.sign_in(context, proxy.url)
        page = await context.new_page()
        page.on("console", on_console)
        page.on("pageerror", lambda error: faults.append(str(error)))
        return ChatPage(page, proxy, person)

    yield make
    for context in contexts:
        await context.close()
    for proxy in proxies:
        await proxy.__aexit__()
    assert faults == []


@pytest_asyncio.fixture(loop_scope="session")
async def conversation(clara: Person, paul: Person) -> str:
    """What Clara has begun with Paul, in one word."""
    return await clara.send(paul.id, "one")


@pytest_asyncio.fixture(loop_scope="session")
async def hers(pages: Pages, clara: Person, conversation: str) -> ChatPage:
    """Clara's page, where that conversation is open."""
    page = await pages(clara)
    await page.visit(conversation)
    return page


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what only the server knows."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await condition():
            await asyncio.sleep(0.05)


# Two who talk.


async def test_a_client_begins_and_a_professional_answers(
    pages: Pages, clara: Person, paul: Person
) -> None:
    hers, his = await pages(clara), await pages(paul)
    await his.visit()
    await expect(his.page.get_by_text("No conversation yet")).to_be_visible()
    await expect(his.page.get_by_text("Clients begin conversations.")).to_be_visible()
    await expect(his.page.get_by_role("button", name="New conversation")).to_have_count(0)
    await hers.visit()
    await hers.page.get_by_role("button", name="New conversation").first.press("Enter")
    dialog = hers.page.get_by_role("dialog", name="New conversation")
    await dialog.get_by_label("Id of a professional").fill(clara.id)
    await dialog.get_by_label("First message").fill("Good morning")
    await dialog.get_by_role("button", name="Send").press("Enter")
    await expect(dialog.get_by_role("alert")).to_contain_text("nobody has a conversation with")
    await dialog.get_by_label("Id of a professional").fill(paul.id)
    await dialog.get_by_role("button", name="Send").press("Enter")
    await expect(dialog).to_be_hidden()
    await hers.sees("Good morning")
    await hers.has_state("Good morning", "delivered")
    # What comes while he looks at the list is there at once, and unread.
    await expect(his.items).to_contain_text(["Clara Client"])
    await expect(his.items).to_contain_text(["Good morning"])
    await expect(his.badge).to_have_text("1 unread")
    await expect(his.page).to_have_title("(1) Messages · Lastevent")
    await his.open("Clara")
    await hers.has_state("Good morning", "read")
    await expect(his.badge).to_be_hidden()
    await expect(his.page).to_have_title("Messages · Lastevent")
    await his.write("Good morning, Clara")
    await hers.sees("Good morning", "Good morning, Clara")
    await his.has_state("Good morning, Clara", "read")
    for it, other in ((hers, "Paul Professional"), (his, "Clara Client")):
        await expect(it.page.get_by_role("heading", name=other)).to_be_visible()
        await expect(it.page.locator("#person")).to_have_text("Online")
        await expect(it.items.locator(".presence")).to_have_text("Online")


async def test_the_snapshot_comes_first_and_the_stream_goes_on_from_it(
    conversation: str, pages: Pages, clara: Person, paul: Person
) -> None:
    hers = await pages(clara)
    async with hers.page.expect_response(lambda answer: "/api/messages" in answer.url) as answer:
        await hers.visit(conversation)
    cursor = (await (await answer.value).json())["cursor"]
    legs = hers.proxy.legs(EVENTS)
    assert legs[0].cursor == cursor
    await paul.send(conversation, "two")
    await hers.sees("one", "two")
    # Legs are short here: the next ones go on behind the message, and ask for nothing again.
    begun = len(hers.proxy.legs(EVENTS))
    await until(lambda: _more_legs(hers, begun + 2))
    frames = hers.proxy.received.decode().split("\n\n")
    found = [re.search(r"^id: (\S+)$", frame, re.MULTILINE) for frame in frames]
    ids = [it[1] if it else "" for it in found]
    (place,) = [n for n, frame in enumerate(frames) if re.search(r'\ndata: .*"two"', frame)]
    cursors = [leg.cursor or "" for leg in hers.proxy.legs(EVENTS)]
    assert set(cursors[1:]) <= set(ids) - {""}
    assert cursors[-1] in ids[place:]


async def _more_legs(chat: ChatPage, amount: int) -> bool:
    return len(chat.proxy.legs(EVENTS)) >= amount


async def test_several_at_once_keep_their_order(pages: Pages, clara: Person, paul: Person) -> None:
    conversation = await clara.send(paul.id, "0")
    hers, his = await pages(clara), await pages(paul)
    await hers.visit(conversation)
    await his.visit(conversation)
    for number in range(1, 9):
        await hers.write(str(number))
    await his.write("in between")
    numbers = [str(number) for number in range(9)]
    await expect(his.page.locator("#rows .said:not(.own) .text")).to_have_text(numbers)
    await expect(hers.own.locator(".text")).to_have_text(numbers)
    await expect(his.own).not_to_have_attribute("data-state", re.compile("sending|waiting"))
    texts = await clara.texts(conversation)
    assert [text for text in texts if text != "in between"] == numbers
    await hers.sees(*texts)
    await his.sees(*texts)


# A network that fails.


async def test_an_answer_that_is_lost_doubles_nothing(
    conversation: str, hers: ChatPage, clara: Person
) -> None:
    hers.proxy.stall()
    await hers.write("two")
    await hers.has_state("two", "sending")
    await until(lambda: _has(clara, conversation, "two"))
    # The browser itself tries once more what was cut on a connection that it had before.
    hers.proxy.cut()
    await until(lambda: _has_posted(hers, 2))
    hers.proxy.cut()
    await hers.has_state("two", "waiting")
    hers.proxy.flow()
    await hers.has_state("two", "sent")
    await hers.sees("one", "two")
    assert await clara.texts(conversation) == ["one", "two"]


async def _has_posted(chat: ChatPage, times: int) -> bool:
    return len(chat.posts("/send")) >= times


async def _has(person: Person, conversation: str, text: str) -> bool:
    return text in await person.texts(conversation)


async def test_a_server_that_is_killed_gets_all_in_order_and_once(
    conversation: str, hers: ChatPage, host: Server, clara: Person
) -> None:
    # It dies when it has the message, and nobody has heard of it.
    hers.proxy.stall()
    await hers.write("two")
    await until(lambda: _has(clara, conversation, "two"))
    await host.end(signal.SIGKILL)
    hers.proxy.cut()
    hers.proxy.flow()
    await hers.state("reconnecting")
    await hers.write("three")
    await hers.write("four")
    await hers.has_state("two", "waiting")
    await hers.has_state("four", "waiting")
    await host.start()
    await hers.has_state("four", "sent")
    await hers.sees("one", "two", "three", "four")
    assert await clara.texts(conversation) == ["one", "two", "three", "four"]


async def test_what_is_written_offline_waits_in_order(
    conversation: str, hers: ChatPage, clara: Person, paul: Person
) -> None:
    await hers.page.context.set_offline(True)
    await hers.write("two")
    await hers.write("three")
    await hers.has_state("two", "waiting")
    await hers.has_state("three", "waiting")
    await paul.send(conversation, "from Paul")
    await hers.page.context.set_offline(False)
    await hers.has_state("three", "sent")
    await hers.sees("one", "from Paul", "two", "three")
    assert await clara.texts(conversation) == ["one", "from Paul", "two", "three"]


async def test_what_has_no_answer_survives_a_reload(
    conversation: str, pages: Pages, clara: Person
) -> None:
    hers = await pages(clara)
    sent: list[str] = []

    async def lose(route: Route) -> None:
        sent.append(json.loads(route.request.post_data or "")["clientMessageId"])
        await route.fetch()  # it is there, and nobody hears of it
        await route.abort()

    await hers.page.route("**/api/messages/send", lose)
    await hers.visit(conversation)
    await hers.write("two")
    await until(lambda: _has(clara, conversation, "two"))
    await hers.page.route("**/api/sse", lambda route: route.abort())
    await hers.write("three")
    await hers.page.unroute("**/api/messages/send")
    await hers.page.unroute("**/api/sse")
    await hers.page.reload()
    await hers.has_state("three", "sent")
    await hers.sees("one", "two", "three")
    assert await clara.texts(conversation) == ["one", "two", "three"]
    assert len(set(sent)) <= 2
    await hers.page.reload()
    await hers.sees("one", "two", "three")


async def test_what_was_refused_can_be_tried_again_or_discarded(
    conversation: str, hers: ChatPage, clara: Person
) -> None:
    long = "x" * 501
    await hers.write(long)
    await hers.has_state(long, "failed")
    row = hers.said(long)
    await expect(row).to_contain_text("at most 500 characters")
    await hers.write("three")
    await hers.has_state("three", "waiting")  # nothing overtakes
    await row.get_by_role("button", name="Try again").press("Enter")
    await expect(row.get_by_role("button", name="Try again")).to_be_visible()
    assert await clara.texts(conversation) == ["one"]
    await row.get_by_role("button", name="Edit").press("Enter")
    await hers.has_state("three", "sent")
    await expect(hers.field).to_have_value(long)
    await hers.field.press("Enter")
    await row.get_by_role("button", name="Discard").press("Enter")
    await hers.sees("one", "three")
    await expect(hers.field).to_have_value("")


async def test_it_works_while_polling_and_comes_back(
    conversation: str, pages: Pages, clara: Person, paul: Person
) -> None:
    hers = await pages(clara)

    async def block(route: Route) -> None:
        if "text/event-stream" in route.request.headers["accept"]:
            await route.abort()
        else:
            await route.continue_()

    await hers.page.route("**/api/sse", block)
    await hers.page.clock.install()
    await hers.page.goto(f"{hers.proxy.url}/dashboard/messages?conversation={conversation}")
    await hers.state("polling")
    await hers.write("two")
    await hers.has_state("two", "sent")
    await paul.send(conversation, "three")

    async def has_polled() -> bool:
        await hers.page.clock.run_for(5000)
        return await hers.texts.count() == 3

    await until(has_polled)
    await hers.sees("one", "two", "three")
    await hers.state("polling")
    assert hers.proxy.legs(EVENTS) == []
    await hers.page.clock.resume()
    await paul.send(conversation, "four")
    await hers.page.unroute("**/api/sse")
    await hers.page.get_by_role("button", name="Reconnect now").press("Enter")
    await hers.state("connected")
    await hers.sees("one", "two", "three", "four")
    # The stream goes on behind what the polls have brought.
    assert None not in [leg.cursor for leg in hers.proxy.legs(EVENTS)]


async def test_lost_events_are_made_up_for_by_a_new_snapshot(
    conversation: str, hers: ChatPage, clara: Person, paul: Person
) -> None:
    await hers.sees("one")
    await hers.page.context.set_offline(True)
    hers.proxy.cut()
    await hers.state("reconnecting")
    await paul.send(conversation, "two")
    await clara.ask("DELETE", f"/api/streams/user:{clara.id}")
    await hers.page.context.set_offline(False)
    await hers.sees("one", "two")
    await paul.send(conversation, "three")
    await hers.sees("one", "two", "three")


# Read, delivered, typing, presence.


async def test_read_is_only_what_was_looked_at(
    conversation: str, pages: Pages, clara: Person, paul: Person
) -> None:
    hers, his = await pages(clara), await pages(paul)
    await hers.visit(conversation)
    await his.visit(conversation)
    await hers.has_state("one", "read")
    await expect(his.divider).to_have_count(1)  # it was new when he came
    await his.write("aha")
    await expect(his.divider).to_have_count(0)
    await his.attention(False)
    await hers.write("two")
    await hers.write("three")
    await hers.has_state("three", "delivered")
    await expect(his.page).to_have_title("(2) Messages · Lastevent")
    await expect(his.badge).to_have_text("2 unread")
    assert [r.path for r in his.posts("/read")] == ["/api/messages/read"]
    texts = his.page.locator("#rows > li:not(.day) :is(.text, span:only-child)")
    await expect(texts).to_have_text(["one", "aha", "New messages", "two", "three"])
    await his.attention(True)
    await hers.has_state("three", "read")
    await expect(his.page).to_have_title("Messages · Lastevent")
    await expect(his.divider).to_have_count(1)


async def test_typing_is_told_seldom_and_runs_out(
    conversation: str, pages: Pages, clara: Person, paul: Person
) -> None:
    await paul.send(conversation, "two")
    hers, his = await pages(clara), await pages(paul)
    await hers.page.clock.install()
    await hers.visit(conversation)
    await his.visit(conversation)
    await his.field.press_sequentially("twenty letters of it")
    await expect(hers.typing).to_have_text("Paul Professional is typing…")
    await expect(hers.items).to_contain_text(["Typing…"])
    assert len(his.posts("/typing")) == 1
    await hers.page.clock.fast_forward(6500)
    await expect(hers.typing).to_have_text("")
    await his.field.press("Enter")
    await hers.sees("one", "two", "twenty letters of it")


async def test_who_is_away_was_last_seen_some_time_ago(
    pages: Pages, clara: Person, paul: Person
) -> None:
    await clara.send(paul.id, "one")
    hers = await pages(clara)
    await hers.visit()
    presence = hers.items.locator(".presence")
    await expect(presence).to_have_text("Offline")
    seen = await hers.page.evaluate("Date.now() - 5 * 60000")
    for state, last, turn, words in (
        ("offline", seen, 7, "Last seen 5 min ago"),
        ("online", seen, 8, "Online"),
        ("offline", seen, 3, "Online"),
    ):
        data = {"user": paul.id, "state": state, "lastSeen": last, "turn": turn}
        event = {"type": "presence", "data": data}
        await clara.ask("POST", f"/api/streams/user:{clara.id}", event)
        await expect(presence).to_have_text(words)


# Writing.


async def test_one_edits_and_deletes_what_one_said(
    conversation: str, pages: Pages, clara: Person, paul: Person
) -> None:
    hers, his = await pages(clara), await pages(paul)
    await his.visit(conversation)
    await hers.visit(conversation)
    await his.write("answer")
    await hers.sees("one", "answer")
    await hers.field.fill("a draft")
    # By keyboard: the messages are one stop, arrows go from one to the next.
    await hers.page.locator("#rows .said[tabindex='0']").focus()
    await expect(hers.said("answer")).to_be_focused()
    await expect(hers.tools).to_be_hidden()  # it is not hers
    await hers.page.keyboard.press("ArrowUp")
    await expect(hers.said("one")).to_be_focused()
    await hers.page.keyboard.press("Enter")
    await expect(hers.tools.get_by_role("button", name="Edit")).to_be_focused()
    await hers.page.keyboard.press("Enter")
    await expect(hers.field).to_have_value("one")
    await hers.field.press("Escape")
    await expect(hers.field).to_have_value("a draft")
    await hers.said("one").hover()
    await hers.tools.get_by_role("button", name="Edit").click()
    await hers.write("one, or two")
    await his.sees("one, or two", "answer")
    await expect(his.said("one, or two").locator(".meta")).to_contain_text("edited")
    await expect(hers.field).to_have_value("a draft")
    await hers.said("one, or two").hover()
    await expect(hers.tools).to_be_visible()
    await hers.page.mouse.move(0, 0)
    await his.write("and more")
    await hers.sees("one, or two", "answer", "and more")
    await expect(hers.tools).to_be_hidden()
    await hers.said("one, or two").hover()
    await hers.tools.get_by_role("button", name="Delete").click()
    dialog = hers.page.get_by_role("dialog", name="Delete this message?")
    await expect(dialog).to_contain_text("one, or two")
    await dialog.get_by_role("button", name="Delete").press("Enter")
    for it in (hers, his):
        await it.sees("This message was deleted.", "answer", "and more")
    await expect(hers.tools).to_be_hidden()
    assert await clara.texts(conversation) == ["", "answer", "and more"]


async def test_a_draft_survives_a_reload_in_its_conversation(
    pages: Pages, host: Server, clara: Person, paul: Person
) -> None:
    petra = Person(host, f"{paul.id}-2", "professional", "Petra Professional")
    first = await clara.send(paul.id, "to Paul")
    second = await clara.send(petra.id, "to Petra")
    await petra.send(second, "hello")
    await paul.send(first, "hello")
    hers = await pages(clara)
    await hers.visit(first)
    await hers.field.fill("half a\nsentence")
    await hers.open("Petra")
    await expect(hers.field).to_have_value("")
    await expect(hers.items.filter(has_text="Paul")).to_contain_text("Draft: half a")
    await hers.open("Paul")
    await expect(hers.field).to_have_value("half a\nsentence")
    await hers.page.reload()
    await expect(hers.field).to_have_value("half a\nsentence")
    await hers.field.press("Enter")
    await expect(hers.field).to_have_value("")
    await hers.page.reload()
    await expect(hers.field).to_be_visible()
    await expect(hers.field).to_have_value("")


async def test_enter_sends_unless_it_is_for_a_line_or_an_input_method(
    conversation: str, hers: ChatPage, clara: Person
) -> None:
    await hers.field.press("Enter")
    await hers.field.fill("  \n ")
    await hers.field.press("Enter")
    await expect(hers.page.get_by_role("button", name="Send")).to_be_disabled()
    assert hers.posts("/send") == []
    await hers.field.fill("two")
    await hers.field.press("Shift+Enter")
    await hers.field.press_sequentially("lines")
    await expect(hers.field).to_have_value("two\nlines")
    # An input method at work: what it offers is in the field, and not decided yet.
    session = await hers.page.context.new_cdp_session(hers.page)
    offered = {"text": "にほん", "selectionStart": 3, "selectionEnd": 3}
    await session.send("Input.imeSetComposition", offered)
    await expect(hers.field).to_have_value("two\nlinesにほん")
    composing = await _press_enter(hers.page, {"isComposing": True})
    late = await _press_enter(hers.page, {"keyCode": 229})  # Safari's, after the composition
    assert [composing, late] == [True, True]
    assert hers.posts("/send") == []
    await session.send("Input.insertText", {"text": "日本"})
    await expect(hers.field).to_have_value("two\nlines日本")
    await hers.field.press("Enter")
    await expect(hers.own.last).to_have_attribute("data-state", "sent")
    await hers.sees("one", "two\nlines日本")
    assert await clara.texts(conversation) == ["one", "two\nlines日本"]


async def _press_enter(page: Page, more: dict[str, object]) -> bool:
    """Press Enter as an input method has it; return whether the page left it alone."""
    is_left: bool = await page.evaluate(
        """more => document.getElementById("field").dispatchEvent(new KeyboardEvent("keydown",
            { key: "Enter", bubbles: true, cancelable: true, ...more }))""",
        more,
    )
    return is_left


async def test_links_are_safe_and_markup_is_text(pages: Pages, clara: Person, paul: Person) -> None:
    evil = "<script>document.title = 'taken'</script><img src=x onerror=alert(1)> javascript:a()"
    conversation = await clara.send(paul.id, evil)
    await clara.send(conversation, "see https://example.com/x(1), or http://a@evil.example/")
    his = await pages(paul)
    await his.visit(conversation)
    await his.sees(evil, "see https://example.com/x(1), or http://a@evil.example/")
    links = his.page.locator("#rows a")
    await expect(links).to_have_count(1)
    await expect(links).to_have_attribute("href", "https://example.com/x(1)")
    await expect(links).to_have_attribute("rel", "noopener noreferrer nofollow")
    await expect(links).to_have_attribute("target", "_blank")
    assert await his.page.locator("#rows :is(script, img)").count() == 0
    await expect(his.page).to_have_title("Messages · Lastevent")


# Reading.


async def test_earlier_messages_come_without_a_jump(
    pages: Pages, clara: Person, paul: Person
) -> None:
    texts = [str(number) for number in range(1, 121)]
    conversation = await clara.send(paul.id, *texts)
    await paul.mark("read", conversation, 120)
    his = await pages(paul)
    await his.visit(conversation)
    await expect(his.said("120")).to_be_in_viewport()
    await expect(his.texts).to_have_count(50)
    assert await his.page.evaluate(_SCROLL_UP) == "0"
    await expect(his.texts).to_have_count(100)
    # Nothing of it is announced as if it had just been said.
    assert set(await his.page.evaluate("window.announced")) == {"off"}
    log = his.page.get_by_role("log", name="Messages with Clara Client")
    await expect(log).to_have_attribute("aria-live", "polite")
    await his.page.locator("#pane").evaluate("pane => pane.scrollTop = 0")
    await his.sees(*texts)
    await expect(his.page.get_by_role("button", name="Earlier messages")).to_be_hidden()
    # Who reads upwards stays there, is told of what is new, and has not read it.
    await clara.send(conversation, "121")
    await expect(his.jump).to_have_text("1 new message: go to the end")
    await expect(his.page).to_have_title("(1) Messages · Lastevent")
    await his.jump.press("Enter")
    await expect(his.said("121")).to_be_in_viewport()
    await expect(his.page).to_have_title("Messages · Lastevent")
    await expect(his.jump).to_be_hidden()


# Scrolls to where more is asked for, and tells how far a row has moved when that has come.
_SCROLL_UP = """async () => {
    const pane = document.getElementById("pane");
    const log = document.getElementById("log");
    const frame = () => new Promise((done) => requestAnimationFrame(() => done()));
    pane.scrollTop = 100;
    dispatchEvent(new Event("online"));  // the page is shown anew before it hears of the scrolling
    for (let n = 0; n < 10; n += 1) await null;
    const row = [...document.querySelectorAll("#rows .said")].find(
        (one) => one.getBoundingClientRect().top > pane.getBoundingClientRect().top);
    const before = row.getBoundingClientRect().top;
    const count = document.querySelectorAll("#rows .said").length;
    let moved = 0;
    window.announced = [];
    new MutationObserver(() => window.announced.push(log.ariaLive)).observe(
        document.getElementById("rows"), { childList: true });
    for (let n = 0; n < 600; n += 1) {
        await frame();
        moved = Math.max(moved, Math.abs(row.getBoundingClientRect().top - before));
        if (document.querySelectorAll("#rows .said").length > count) break;
    }
    await frame();
    moved = Math.max(moved, Math.abs(row.getBoundingClientRect().top - before));
    return moved.toFixed(0);
}"""


async def test_one_comes_to_the_first_new_message(
    pages: Pages, clara: Person, paul: Person
) -> None:
    conversation = await clara.send(paul.id, *(str(number) for number in range(1, 41)))
    await paul.mark("read", conversation, 10)
    his = await pages(paul)
    await his.visit()
    await expect(his.badge).to_have_text("30 unread")
    await his.open("Clara")
    await expect(his.divider).to_be_in_viewport()
    await expect(his.said("11")).to_be_in_viewport()
    await expect(his.said("40")).not_to_be_in_viewport()
    await expect(his.badge).to_have_text("30 unread")
    await his.jump.click()
    await expect(his.badge).to_be_hidden()


async def test_a_list_has_pages_and_what_is_new_comes_to_its_front(
    pages: Pages, host: Server, paul: Person
) -> None:
    clients = [Person(host, f"{paul.id}-{n}", "client", f"Client {n}") for n in range(52)]
    for client in clients:
        await client.send(paul.id, "hello")
    his = await pages(paul)
    await his.visit()
    await expect(his.items).to_have_count(50)
    await expect(his.items.first).to_contain_text("Client 51")
    await expect(his.page).to_have_title("(50) Messages · Lastevent")
    # Of this one the page knows nothing yet.
    await clients[0].send(paul.id, "again")
    await expect(his.items.first).to_contain_text("Client 0")
    await expect(his.badge.first).to_have_text("2 unread")
    await his.page.get_by_role("button", name="More conversations").press("Enter")
    await expect(his.items).to_have_count(52)
    await expect(his.items.last).to_contain_text("Client 1")
    await expect(his.page.get_by_role("button", name="More conversations")).to_be_hidden()


async def test_a_narrow_screen_shows_the_list_or_a_conversation(
    pages: Pages, clara: Person, paul: Person
) -> None:
    await clara.send(paul.id, "one")
    hers = await pages(clara)
    await hers.page.set_viewport_size({"width": 320, "height": 640})
    await hers.visit()
    back = hers.page.get_by_role("link", name="Conversations")
    await expect(back).to_be_hidden()
    await hers.open(paul.id)
    await expect(hers.items).to_be_hidden()
    await expect(hers.page.get_by_role("heading", name=paul.id)).to_be_focused()
    await hers.sees("one")
    assert await hers.page.evaluate("document.documentElement.scrollWidth") == 320
    await back.press("Enter")
    await expect(hers.items).to_be_visible()
    await expect(hers.field).to_be_hidden()
    await hers.page.go_back()
    await expect(hers.field).to_be_visible()


async def test_two_tabs_of_one_person_show_the_same(
    conversation: str, hers: ChatPage, clara: Person, paul: Person
) -> None:
    other = ChatPage(await hers.page.context.new_page(), hers.proxy, clara)
    await other.visit(conversation)
    await hers.write("two")
    await other.sees("one", "two")
    await other.write("three")
    await hers.sees("one", "two", "three")
    await paul.send(conversation, "four")
    for it in (hers, other):
        await it.sees("one", "two", "three", "four")
    assert await clara.texts(conversation) == ["one", "two", "three", "four"]


# Who may.


async def test_who_has_no_part_is_told_what_to_do(pages: Pages, host: Server) -> None:
    mara = await pages(Person(host, "mara", "merchant", "Mara"))
    await mara.page.goto(f"{mara.proxy.url}/dashboard/messages")
    gate = mara.page.get_by_role("region", name="No messages")
    await expect(gate).to_contain_text("this identity's role is neither")
    await expect(gate.get_by_role("link", name="Sign in")).to_be_visible()
    await mara.page.context.clear_cookies()
    await gate.get_by_role("button", name="Try again").press("Enter")
    await expect(gate).to_contain_text("token")


async def test_a_conversation_that_is_not_ones_own_is_said_to_be_none(
    pages: Pages, host: Server, clara: Person, paul: Person
) -> None:
    conversation = await clara.send(paul.id, "private")
    eve = await pages(Person(host, "eve", "client", "Eve"))
    await eve.page.goto(f"{eve.proxy.url}/dashboard/messages?conversation={conversation}")
    await expect(eve.page.locator("#history-problem")).to_contain_text("There is no conversation")
    await expect(eve.field).to_be_hidden()


async def test_a_page_is_not_left_to_somebody_else(hers: ChatPage, paul: Person) -> None:
    await hers.field.fill("for Paul only")
    await paul.sign_in(hers.page.context, hers.proxy.url)
    async with hers.page.expect_navigation():
        await hers.page.evaluate("dispatchEvent(new Event('focus'))")
    await expect(hers.page.get_by_role("heading", name="Clara Client")).to_be_visible()
    await expect(hers.field).to_have_value("")
