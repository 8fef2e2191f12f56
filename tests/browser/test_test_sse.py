"""The page of the connection test: faults that are real, and verdicts that are right."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from tests.browser.proxy import Proxy
from tests.browser.server import Server, serving
from tests.browser.trial_page import TrialPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LEG_SECONDS = 5.0
_CHUNK = 65536
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass
class HoldingProxy(Proxy):
    """Keeps an event stream back until its response is whole, as proxies do that buffer."""

    async def _downwards(self, other: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held = bytearray()
        while data := await other.read(_CHUNK):
            held += data
            if b"content-type: text/event-stream" in held and not held.endswith(_LAST_CHUNK):
                continue
            self.received += held
            writer.write(bytes(held))
            await writer.drain()
            held.clear()
        raise ConnectionResetError


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One server for these tests, with a beat each half second."""
    environ = {"LASTEVENT_MAX_LEG_SECONDS": str(LEG_SECONDS)}
    async with serving(tmp_path_factory.mktemp("site"), environ) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def trial(page: Page, site: Server) -> AsyncIterator[TrialPage]:
    """The page, reached through a network that can be made to fail."""
    async with Proxy(site.port) as network:
        yield TrialPage(page, network)


async def test_raw_events_are_shown_as_they_came(trial: TrialPage) -> None:
    await trial.begin()
    await trial.flows(8)
    await trial.page.get_by_label("Hold").check()
    rows = await trial.rows.evaluate_all(
        """rows => rows.map((row) => Object.fromEntries(
            [...row.querySelectorAll("span")].map((one) => [one.className, one.textContent])))"""
    )
    assert [row["type"] for row in rows[:2]] == ["retry", "stream"]
    assert json.loads(rows[1]["data"])["state"] == "open"
    numbers = [row for row in rows if row["type"] == "number"]
    sent = trial.sent("number")
    for row in numbers:
        assert sent[row["id"]] == row["data"]
        assert row["size"] == f"{len(f'id: {row["id"]}\nevent: number\ndata: {row["data"]}\n\n')} B"
        assert re.fullmatch(r"\+\d+(\.\d)? m?s", row["gap"])
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", row["time"])
    gaps = sorted(float(row["gap"][1:-3]) for row in numbers)
    assert 40 < gaps[len(gaps) // 2] < 250, "ten a second"
    assert {row["id"] for row in rows if row["type"] == "heartbeat"} <= {"no id"}
    count = await trial.rows.count()
    await trial.flows(14)
    assert await trial.rows.count() == count, "they are held"


async def test_a_connection_that_is_well_is_said_to_be(trial: TrialPage) -> None:
    await trial.begin()
    for name, word in (
        ("Proof of resume", "Whole"),
        ("Buffering", "At once"),
        ("Heartbeats", "Regular"),
        ("Response length", "As planned"),
    ):
        await trial.says(name, word)
    await expect(trial.finding("First byte")).to_contain_text(re.compile(r"\d ms.*p50 of"))
    await expect(trial.finding("Heartbeats")).to_contain_text(
        re.compile(r"\d+ beats, 0 missed\. Jitter p50 [\d.]+ ms, p95 [\d.]+ ms")
    )
    await expect(trial.finding("Response length")).to_contain_text(
        re.compile(r"The last said: [45]\.\d s at most\.")
    )
    await expect(trial.finding("Clocks")).to_contain_text(re.compile(r"^Clocks[\d.]+ ms"))
    connection = trial.finding("Connection")
    await expect(connection).to_contain_text("HTTP/1.1")
    await expect(connection).to_contain_text("policy balanced, a beat each 0.5 s, at most")
    # A response that ended by itself was followed by one that goes on where it was.
    first, second = trial.asked()[:2]
    assert first.cursor is None
    assert second.cursor in trial.sent("number")
    await trial.is_whole()
    await trial.stop.click()
    await expect(trial.page.locator("#said")).to_contain_text("Stopped.")
    await expect(trial.page.locator("#connection")).to_be_hidden()
    published = len(trial.network.requests)
    received = await trial.reader("Numbers")
    await expect(trial.start).to_have_text("Start again")
    assert len(trial.network.requests) == published, "it publishes no more"
    assert received[0] == received[1], "what was on its way has come, to both"


async def test_a_proxy_that_buffers_is_found_out(page: Page, site: Server) -> None:
    async with HoldingProxy(site.port) as network:
        trial = TrialPage(page, network)
        await trial.begin()
        # While nothing has come yet, and again when all of it comes together.
        await expect(trial.finding("Buffering")).to_contain_text(
            re.compile(r"Nothing came for [34]")
        )
        await trial.says("Buffering", "Held back")
        await expect(trial.finding("Buffering")).to_contain_text(
            re.compile(r"\d+ of \d+ came together")
        )
        await trial.says("Buffering", "Held back")
        await expect(trial.finding("Buffering")).to_contain_text("switch buffering off")
        await expect(trial.finding("First byte").locator(".value")).to_have_text(
            re.compile(r"^[45]\.\d s")
        )
        await trial.is_whole()


async def test_a_planned_end_and_a_cut_of_the_servers(trial: TrialPage) -> None:
    await trial.begin()
    await trial.flows(3)
    said = await trial.press("Planned end")
    assert "Ended as planned. Back after" in said
    ends = re.findall(rb'"state":"rotate"', bytes(trial.network.received))
    assert ends, "it was the server that said so"
    said = await trial.press("Cut")
    assert "Cut within an event. Back after" in said
    # The fault's own event was cut: the server was asked for what follows the one before it.
    (number,) = re.findall(r"asked for what follows number (\d+)", said)
    cursors = [leg.cursor for leg in trial.asked()]
    assert trial.sent("number")[cursors[-1] or ""] == f'{{"n":{number}}}'
    assert b'event: fault\ndata: {"fault":"\r\n' in trial.network.received
    await trial.flows(int(number) + 5)
    await trial.is_whole()
    assert (await trial.reader("Missing"), await trial.reader("Doubled")) == (
        ["0", "0"],
        ["0", "0"],
    )
    assert (await trial.reader("Other ends"))[0] == "1"


async def test_a_503_is_come_back_from_and_ends_an_event_source(trial: TrialPage) -> None:
    page = trial.page
    await trial.begin()
    await trial.flows(3)
    legs = len(trial.asked())
    said = await trial.press("503")
    (seconds,) = re.findall(r"Refused once with 503\. Back after ([\d.]+) s", said)
    assert float(seconds) >= 2, "as Retry-After asked"
    refused, served = trial.asked()[legs:][:2]
    assert refused.cursor == served.cursor
    await expect(page.locator("#native")).to_contain_text("has given up for good")
    assert (await trial.reader("Refused"))[1] == "1"
    before = int((await trial.reader("Numbers"))[1])
    await page.get_by_role("button", name="Open the EventSource again").click()
    await expect(page.locator("#native")).to_contain_text("is connected")
    await page.wait_for_function(
        "before => Number(document.querySelectorAll('#readers td')[1].textContent) > before + 5",
        arg=before,
    )
    assert (await trial.reader("Missing"), await trial.reader("Doubled")) == (
        ["0", "0"],
        ["0", "0"],
    )
    assert "lastEventId=" in trial.network.legs("reader=native")[-1].path
    await trial.is_whole()


async def test_a_204_ends_the_stream_until_its_reader_goes_on(trial: TrialPage) -> None:
    page = trial.page
    await trial.begin()
    await trial.flows(3)
    assert "Answered with 204" in await trial.press("204")
    await expect(page.locator("#connection")).to_have_text("Ended")
    await expect(trial.button("Cut")).to_be_disabled()
    cursor = trial.asked()[-1].cursor
    await page.get_by_role("button", name="Go on after the 204").click()
    await expect(page.locator("#connection")).to_have_text("Live")
    assert trial.asked()[-1].cursor == cursor
    numbers = int((await trial.reader("Numbers"))[0])
    await trial.flows(numbers + 5)
    await trial.is_whole()


async def test_a_replay_brings_exactly_what_there_is(trial: TrialPage) -> None:
    await trial.begin()
    await trial.flows(9)
    said = await trial.press("Replay")
    assert "Exactly what there is" in said
    told = r"(\d+) numbers from the start, (\d+) numbers after number (\d+)"
    whole, rest, middle = (int(it) for it in re.findall(told, said)[0])
    assert whole - middle == rest
    from_start, from_middle = sorted(
        trial.network.legs("reader=replay"), key=lambda leg: leg.cursor or ""
    )
    assert from_start.cursor is None
    assert trial.sent("number")[from_middle.cursor or ""] == f'{{"n":{middle}}}'
    await trial.is_whole()


async def _forget_the_cursor(route: Route) -> None:
    headers = {k: v for k, v in route.request.headers.items() if k != "last-event-id"}
    await route.continue_(headers=headers)


async def test_a_resume_that_is_broken_is_not_hidden_by_the_client(trial: TrialPage) -> None:
    """The page is given each number once all the same: it came twice over the wire."""
    await trial.page.route("**/api/trial/*?reader=page", _forget_the_cursor)
    await trial.begin()
    await trial.flows(3)
    await trial.press("Planned end")
    await trial.says("Proof of resume", "Broken")
    (doubled, other) = await trial.reader("Doubled")
    assert int(doubled) >= 3
    assert (other, await trial.reader("Missing")) == ("0", ["0", "0"])


async def test_a_server_that_replays_wrongly_is_told_of(trial: TrialPage) -> None:
    await trial.begin()
    await trial.flows(5)

    await trial.page.route("**/api/trial/*?reader=replay", _forget_the_cursor)
    assert "Not what there is" in await trial.press("Replay")
    await expect(trial.outcomes.first).to_have_attribute("data-tone", "bad")


async def test_cuts_and_stalls_of_the_network_lose_nothing(trial: TrialPage) -> None:
    network = trial.network
    await trial.begin()
    await trial.flows(3)
    network.cut_in_frame()  # of whichever reader is the next to be sent one
    await trial.flows(6)
    network.cut()
    await trial.says("Response length", "Cut")
    await trial.flows(12)
    network.stall()
    await expect(trial.page.locator("#connection")).to_contain_text("Reconnecting")
    await trial.says("Heartbeats", re.compile(r"[12] missed"))
    network.flow()
    await expect(trial.page.locator("#connection")).to_have_text("Live")
    number = int((await trial.reader("Numbers"))[0])
    await trial.flows(number + 5)
    await trial.is_whole()
    await expect(trial.finding("Proof of resume")).to_contain_text(re.compile(r"[23] cuts"))
    assert (await trial.reader("Missing"), await trial.reader("Doubled")) == (
        ["0", "0"],
        ["0", "0"],
    )
    cursors = [leg.cursor for leg in trial.asked() if leg.cursor]
    assert cursors == sorted(cursors)
    assert len(set(cursors) & trial.sent("number").keys()) >= 2


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ((1, 2, 3), "missing 0, doubled 0"),
        ((1, 2, 2), "missing 0, doubled 1"),
        ((1, 3), "missing 1"),
    ],
    ids=["whole", "doubled", "missing"],
)
async def test_what_a_bad_server_sends_is_not_hidden_by_the_client(
    trial: TrialPage, numbers: tuple[int, ...], verdict: str
) -> None:
    """The client drops what comes twice: what came over the wire counts."""
    frames = [f'id: {n:012x}{n:010x}0000\nevent: number\ndata: {{"n":{n}}}\n\n' for n in numbers]
    opening = 'event: stream\ndata: {"state":"open"}\n\nevent: stream\ndata: {"state":"live"}\n\n'
    end = 'event: stream\ndata: {"state":"rotate","retry_ms":600000}\n\n'
    body = opening + "".join(frames) + end

    async def lie(route: Route) -> None:
        await route.fulfill(content_type="text/event-stream", body=body)

    await trial.page.route("**/api/trial/*?reader=page", lie)
    await trial.begin()
    await trial.says(
        "Proof of resume", "Whole" if verdict.startswith("missing 0, doubled 0") else "Broken"
    )
    await expect(trial.finding("Proof of resume").locator(".value")).to_contain_text(verdict)


async def test_all_faults_in_turn_and_a_report_to_hand_on(trial: TrialPage, site: Server) -> None:
    page = trial.page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await trial.begin("5")
    await trial.flows(3)
    await page.get_by_role("button", name="All but 204").click()
    await expect(trial.outcomes).to_have_count(5, timeout=30_000)
    assert (
        await trial.outcomes.evaluate_all("all => all.map(one => one.dataset.tone)") == ["good"] * 5
    )
    stalled = await trial.outcomes.filter(has_text="Stall").inner_text()
    assert re.search(r"Silent, and given up after 1\.\d s\. Back after", stalled)
    await expect(trial.legs.filter(has_text="was silent, and given up")).to_have_count(1)
    assert all(leg.cursor for leg in trial.asked()[1:])
    await trial.is_whole()
    # That silence was asked for: the way has nothing to do with it.
    await trial.says("Heartbeats", "Regular")
    await page.get_by_role("button", name="Copy report").click()
    await expect(page.locator("#said")).to_have_text("Copied the report.")
    text: str = await page.evaluate("navigator.clipboard.readText()")
    for part in (
        "Lastevent connection test\nSite: http://127.0.0.1:",
        "store sqlite\nBrowser: Mozilla/5.0",
        "Proof of resume: missing 0, doubled 0 (Whole)",
        "Buffering: ",
        "First byte: ",
        "Connection: HTTP/1.1",
        "Readers: this page | EventSource (given up)\n  Numbers: ",
        "503: Refused once with 503.",
        "Replay: Exactly what there is",
        "Response 2: after number ",
    ):
        assert part in text
    # Nothing by which anybody could follow the trial, or be somebody.
    ids = {request.path.split("/")[3].split("?")[0] for request in trial.asked()}
    assert ids
    assert not any(secret in text for secret in (*ids, "developer", "token", "cookie"))


async def test_who_may_not_is_told_and_shown_the_way(page: Page, tmp_path: Path) -> None:
    async with serving(tmp_path, {"LASTEVENT_AUTH_SECRET": "s" * 40}) as server:
        await page.goto(f"{server.url}/test-sse")
        await page.get_by_role("button", name="Start").click()
        await expect(page.get_by_text("You may not test the connection.")).to_be_visible()
        await expect(page.locator("#shut-reason")).to_contain_text("token")
        await expect(page.get_by_role("link", name="Sign in as somebody else")).to_be_visible()
        await expect(page.locator("#whole")).to_be_hidden()


async def test_a_server_that_refuses_the_numbers_ends_the_test_in_its_words(
    trial: TrialPage,
) -> None:
    async def refuse(route: Route) -> None:
        problem = {"title": "Not found", "detail": "there is no such trial, or it is over"}
        await route.fulfill(status=404, json=problem)

    await trial.begin()
    await trial.flows(2)
    await trial.page.route("**/api/trial/*/numbers", refuse)
    await expect(trial.page.locator("#said")).to_contain_text(
        "There is no such trial, or it is over."
    )
    await expect(trial.start).to_have_text("Start again")
