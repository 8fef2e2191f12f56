"""The React hooks, in a page of React's that a bundler has made of what a user would write."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from infra.local.job_service.server import JobServer
from tests.browser.proxy import Proxy
from tests.browser.server import Server, serving
from tests.project.tree import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PAGE = ROOT / "tests" / "browser" / "react" / "page.jsx"
DOCUMENT = ROOT / "docs" / "react.md"
EXAMPLE = re.compile(r"^```jsx\n(.*?)^```", re.MULTILINE | re.DOTALL)
HTML = '<!doctype html><div id="root"></div><script type="module" src="{}.js"></script>'
BUILD_SECONDS = 50.0
WAIT_SECONDS = 15.0

# A transport that brings what a test has it bring, and what becomes of its legs.
TRANSPORT = """() => {
    window.legs = [];
    window.heard = [];
    window.transport = (leg) => new Promise((_, reject) => {
        legs.push(leg);
        leg.signal.addEventListener("abort", () => reject(leg.signal.reason));
    });
    window.bring = async (first, last) => {
        for (let n = first; n <= last; n += 1) {
            legs.at(-1).onMessage({ id: `${n}`, type: "note", data: `${n}` });
            await null; // in which React renders what it was told of by then
        }
    };
}"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has the package and React, and what a bundler makes of it."""
    project = tmp_path_factory.mktemp("react")
    (project / "node_modules").mkdir()
    (project / "node_modules" / "lastevent").symlink_to(ROOT)
    for name in ("react", "react-dom"):
        (project / "node_modules" / name).symlink_to(ROOT / "node_modules" / name)
    shutil.copy(PAGE, project / "page.jsx")
    examples = EXAMPLE.findall(DOCUMENT.read_text())
    assert len(examples) == 5, "one for each hook"
    names = ["example", *(f"example-{number}" for number in range(2, 6))]
    for name, example in zip(names, examples, strict=True):
        (project / f"{name}.jsx").write_text(example)
    esbuild = ROOT / "node_modules" / "esbuild" / "bin" / "esbuild"
    options = (
        *("--bundle", "--format=esm", "--jsx=automatic", "--outdir=built", "--log-level=warning"),
        '--define:process.env.NODE_ENV="development"',  # in which effects run twice
    )
    ended = subprocess.run(
        ["node", esbuild, "page.jsx", *(f"{name}.jsx" for name in names), *options],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )
    assert ended.returncode == 0, ended.stderr
    return project / "built"


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[JobServer]:
    """The service of the jobs."""
    with JobServer(tmp_path_factory.mktemp("jobs")) as jobs:
        yield jobs


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def site(
    tmp_path_factory: pytest.TempPathFactory, service: JobServer
) -> AsyncIterator[Server]:
    """One server for these tests, each of which has streams of its own."""
    async with serving(tmp_path_factory.mktemp("site"), service.environment) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def network(site: Server) -> AsyncIterator[Proxy]:
    """The network before it."""
    async with Proxy(site.port) as proxy:
        yield proxy


class ReactPage:
    """A page that shows hooks, of the server's own origin."""

    def __init__(self, page: Page, proxy: Proxy, built: Path) -> None:
        self.page = page
        self.proxy = proxy
        self._built = built

    async def open(self, name: str = "page") -> None:
        """Go to what was built of the module ``name``."""

        async def answer(route: Route) -> None:
            if route.request.url.endswith(".js"):
                await route.fulfill(path=self._built / f"{name}.js")
            else:
                await route.fulfill(body=HTML.format(name), content_type="text/html")

        await self.page.route(re.compile("/react/"), answer)
        await self.page.goto(f"{self.proxy.url}/react/{name}.html")

    async def run(self, script: str) -> Any:
        """Run a script there, and return what it gives."""
        return await self.page.evaluate(script)

    async def until(self, condition: str) -> None:
        """Wait until an expression holds."""
        await self.page.wait_for_function(f"() => {condition}")

    def cursors(self, path: str) -> list[str | None]:
        """Return the cursors that the server was sent, by legs."""
        return [leg.cursor for leg in self.proxy.legs(path)]


@pytest_asyncio.fixture(loop_scope="session")
async def react(page: Page, network: Proxy, built: Path) -> ReactPage:
    """The page with the components that note what they are given."""
    react = ReactPage(page, network, built)
    await react.open()
    await react.run(TRANSPORT)
    return react


async def test_under_strict_mode_there_is_one_request_and_each_event_once(
    react: ReactPage, site: Server
) -> None:
    await site.publish("strict", 1, 2)
    await react.run('show("a", "useStream", "/api/streams/strict", { start: "start" })')
    await react.until('now("a").events.length === 2')
    await site.publish("strict", 3)
    await react.until('now("a").last?.data === "3"')
    shown = await react.run("""(() => {
        const { events, state, error, cursor, lastHeartbeat } = now("a");
        return { data: events.map(({ data }) => data), state, error, cursor, lastHeartbeat,
                 last: events.at(-1).id };
    })()""")
    assert shown["data"] == ["1", "2", "3"]
    assert shown["state"] == {"name": "connected"}
    assert shown["error"] == ""
    assert shown["cursor"] == shown["last"]
    assert react.cursors("/streams/strict").count(None) == 1
    await react.until('now("a").lastHeartbeat > Date.now() - 60_000')


async def test_a_cut_is_told_and_resumed_where_the_events_end(
    react: ReactPage, site: Server
) -> None:
    await site.publish("cut", 1)
    await react.run('show("a", "useStream", "/api/streams/cut", { start: "start" })')
    await react.until('now("a").events.length === 1')
    first = await react.run('now("a").events[0].id')
    legs = len(react.cursors("/streams/cut"))
    react.proxy.cut_in_frame()
    await site.publish("cut", 2)
    await react.until('now("a").events.length === 2')
    assert await react.run('now("a").events.map(({ data }) => data)') == ["1", "2"]
    assert react.cursors("/streams/cut")[legs] == first
    states = await react.run("commits.a.map(({ state }) => state.name)")
    assert "reconnecting" in states


async def test_what_comes_in_a_frame_is_one_render(react: ReactPage) -> None:
    await react.run("""(() => {
        const onEvent = ({ data }) => heard.push(data);
        show("a", "useStream", "/s", { transport, keep: 60, onEvent });
    })()""")
    await react.until("legs.length === 1")
    await react.run("bring(1, 100)")
    assert await react.run("heard.length") == 100
    await react.until('now("a").events.length > 0')
    await react.run("bring(101, 5100)")
    await react.until('now("a").last.data === "5100"')
    shown = await react.run("""commits.a.map(({ events }) => [
        events.length, events[0]?.data, events.at(-1)?.data,
    ])""")
    held = [entry for index, entry in enumerate(shown) if index == 0 or entry != shown[index - 1]]
    assert held == [[0, None, None], [60, "41", "100"], [60, "5041", "5100"]]
    assert len(shown) < 10
    assert await react.run("heard.length") == 5100


async def test_callbacks_may_change_with_every_render_until_the_component_goes(
    react: ReactPage,
) -> None:
    await react.run("""(() => {
        window.render = (number) => show("a", "useStream", "/s", {
            transport,
            onEvent: ({ data }) => heard.push([number, data]),
            onState: ({ name }) => heard.push([number, name]),
        });
        render(1);
    })()""")
    await react.until("legs.length === 1")
    await react.run("bring(1, 1)")
    for number in range(2, 6):
        await react.run(f"render({number})")
    await react.until("new Set(commits.a.map(({ parameters }) => parameters)).size === 5")
    await react.run("bring(2, 2)")
    heard = await react.run("heard")
    assert heard == [[1, "connecting"], [1, "connected"], [1, "1"], [5, "2"]]
    assert await react.run("legs.map(({ signal }) => signal.aborted)") == [False]
    await react.until('now("a").events.length === 2')
    commits = await react.run("commits.a.length")
    await react.run('hide("a")')
    await react.until("legs[0].signal.aborted")
    await react.run("bring(3, 3)")
    # Two frames later it would have been shown.
    await react.run(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    assert await react.run("[heard.length, commits.a.length, legs.length]") == [4, commits, 1]


async def test_another_stream_or_reader_begins_anew(react: ReactPage) -> None:
    await react.run('show("a", "useStream", "/one", { transport })')
    await react.until("legs.length === 1")
    await react.run("bring(1, 3)")
    await react.until('now("a").events.length === 3')
    others = ['"/two", { transport }', '"/two", { transport, subject: "paul" }']
    for number, other in enumerate(others, 1):
        before = await react.run("commits.a.length")
        await react.run(f'show("a", "useStream", {other})')
        await react.until(f"legs.length === {number + 1}")
        assert await react.run("[legs.at(-2).signal.aborted, legs.at(-1).cursor]") == [True, None]
        await react.run(f"bring({number}7, {number}7)")
        await react.until(f'now("a").last?.data === "{number}7"')
        # In no commit does the one before show under the other's name.
        shown = await react.run(f"commits.a.slice({before}).map(data)")
        assert set(shown) == {"", f"{number}7"}


async def test_another_manner_connects_anew_where_the_stream_stands(react: ReactPage) -> None:
    await react.run('show("a", "useStream", null, { transport })')
    await react.until('now("a")?.state.name === "idle"')
    await react.run('show("a", "useStream", "/s", { transport })')
    await react.until("legs.length === 1")
    await react.run("bring(1, 3)")
    await react.run('show("a", "useStream", "/s", { transport, strategy: "gentle" })')
    await react.until("legs.length === 2")
    assert await react.run("[legs[0].signal.aborted, legs[1].cursor]") == [True, "3"]
    await react.run("bring(3, 4)")  # the one that it was resumed from comes again
    await react.until('now("a").last.data === "4"')
    assert await react.run('data(now("a"))') == "1,2,3,4"
    # Likewise where nothing was followed for a while.
    await react.run('show("a", "useStream", null, { transport, strategy: "gentle" })')
    await react.until('legs[1].signal.aborted && now("a").state.name === "idle"')
    assert await react.run('now("a").events.length') == 0
    await react.run('show("a", "useStream", "/s", { transport, strategy: "gentle" })')
    await react.until('legs.length === 3 && now("a").events.length === 4')
    assert await react.run("legs[2].cursor") == "4"


async def test_a_loss_is_not_silent(react: ReactPage) -> None:
    lose = """legs.at(-1).onMessage({
        id: "9", type: "stream", data: JSON.stringify({ state: "reset", from: "1", to: "9" }),
    })"""
    await react.run(
        'show("a", "useStream", "/s", { transport: async (leg) => {'
        " const ended = transport(leg); bring(1, 1);"
        f" if (legs.length === 1) {lose}; if (!leg.isOver()) await ended;"
        ' return { status: 200, detail: "", retryAfter: 0 }; } })'
    )
    await react.until('now("a")?.error === "events were lost"')
    assert await react.run('now("a").state.name') == "disconnected"
    await react.run('now("a").reconnect()')
    await react.until('legs.length === 2 && now("a").error === ""')
    assert await react.run("legs[1].cursor") == "9"


async def test_components_of_one_reader_share_a_connection(react: ReactPage, site: Server) -> None:
    for name in ("a", "b"):
        options = '{ start: "start", subject: "clara" }'
        await react.run(f'show("{name}", "useStream", "/api/streams/shared", {options})')
    await react.until('["a", "b"].every((name) => now(name)?.state.name === "connected")')
    await site.publish("shared", 1, 2)
    for name in ("a", "b"):
        await react.until(f'now("{name}").events.length === 2')
    assert react.cursors("/streams/shared").count(None) == 1


async def test_a_refusal_is_told_and_tried_again_when_wanted(react: ReactPage) -> None:
    await react.run('show("a", "useSSEUpdates")')
    await react.until('now("a")?.status === "denied"')
    assert "merchant" in await react.run('now("a").error')
    assert not await react.run('now("a").isConnected')
    legs = len(react.cursors("/realtime/events"))
    await sign_in(react, "merchant")
    await react.run('now("a").reconnect()')
    await react.until('now("a").isConnected && now("a").error === ""')
    assert len(react.cursors("/realtime/events")) == legs + 1


async def sign_in(react: ReactPage, sub: str) -> None:
    """Have the browser be one of development's people."""
    login = f'{{ method: "POST", body: JSON.stringify({{ sub: "{sub}" }}) }}'
    assert await react.run(f'fetch("/api/login", {login}).then(({{ status }}) => status)') == 204


async def test_a_merchant_s_updates_come_to_their_functions(react: ReactPage, site: Server) -> None:
    await sign_in(react, "merchant")
    await react.run("""show("a", "useSSEUpdates", Object.fromEntries(
        ["onProgress", "onStage", "onCompletion", "onError"].map((name) => [
            name, (payload, event) => heard.push([name, payload.n, event.type]),
        ]),
    ))""")
    await react.until('now("a")?.isConnected')
    types = ("stage", "progress", "completion", "failure", "other")
    events = [{"type": type, "data": {"n": n}} for n, type in enumerate(types)]
    async with httpx.AsyncClient() as developer:
        url = f"{site.url}/api/streams/merchant:42"
        assert (await developer.post(url, json={"events": events})).is_success
    await react.until("heard.length === 4")
    assert await react.run("heard") == [
        ["onStage", 0, "stage"],
        ["onProgress", 1, "progress"],
        ["onCompletion", 2, "completion"],
        ["onError", 3, "failure"],
    ]
    await react.until('now("a").lastHeartbeat !== null')
    react.proxy.cut()
    await react.until(
        'commits.a.some(({ status, attempts }) => status === "reconnecting" && attempts === 1)'
    )
    await react.until('now("a").isConnected && now("a").attempts === 0')


async def test_messages_come_and_are_as_they_are_now(react: ReactPage, site: Server) -> None:
    await sign_in(react, "professional")
    await react.run("""show("a", "useSSE", { onMessage: ({ text }) => heard.push(text) })""")
    await react.until('now("a")?.isConnected')
    async with httpx.AsyncClient(base_url=site.url, headers={"Origin": site.url}) as clara:
        await clara.post("/api/login", json={"sub": "client"})
        sent = []
        for text in ("one", "two"):
            message = {"to": "professional", "text": text, "clientMessageId": text}
            answer = await clara.post("/api/messages/send", json=message)
            assert answer.status_code == 201, answer.text
            sent.append(answer.json()["id"])
        await react.until('now("a").messages.length === 2')
        edited = await clara.patch(f"/api/messages/{sent[0]}", json={"text": "one, edited"})
        assert edited.is_success
        assert (await clara.delete(f"/api/messages/{sent[1]}")).is_success
    await react.until('now("a").messages[1].deleted === true')
    messages = await react.run('now("a").messages')
    assert [message["id"] for message in messages] == sent
    assert [message.get("text") for message in messages] == ["one, edited", None]
    assert await react.run("heard") == ["one", "two"]


async def test_the_log_of_a_preview_is_lines_and_a_run(react: ReactPage, site: Server) -> None:
    id = await site.preview("shapes")
    await react.run(f'show("a", "usePreviewLogs", "{id}")')
    await react.until('now("a")?.connection.status === "ended"')
    log = await react.run('now("a")')
    texts = [line["text"] for line in log["lines"]]
    assert texts[0].startswith("<script>")
    assert "name? answered" in texts
    assert {line["kind"] for line in log["lines"]} == {"stdout", "stderr"}
    assert "last line" in texts
    assert [line["key"] for line in log["lines"]] == list(range(len(texts)))
    assert (log["run"]["state"], log["run"]["code"]) == ("exited", 3)


async def test_a_job_s_progress_with_its_service_away_and_back(
    react: ReactPage, service: JobServer
) -> None:
    await service.begin("import-7")
    await react.run('show("a", "useProductImportProgress", "import-7")')
    async with asyncio.timeout(WAIT_SECONDS):
        while not (await service.look("import-7"))["connections"]["now"]:
            await asyncio.sleep(0.02)
    await service.say(
        "import-7", type="progress", progress=40, status="reading", message="two of 5"
    )
    await react.until('now("a").progress === 40')
    job = await react.run('now("a")')
    assert (job["state"], job["status"], job["message"]) == ("running", "reading", "two of 5")
    assert job["error"] == ""
    await service.cut("import-7")
    await react.until('now("a").gaps === 1 && now("a").lostAt === null')
    await service.say("import-7", type="done", result={"products": 5})
    await react.until('now("a").state === "done" && now("a").connection.status === "ended"')
    assert await react.run('[now("a").progress, now("a").result]') == [100, {"products": 5}]


async def test_the_document_s_example_runs_as_it_stands(
    page: Page, network: Proxy, site: Server, built: Path
) -> None:
    await ReactPage(page, network, built).open("example")
    await expect(page.get_by_role("status")).to_have_text("connected")
    await site.publish("hello", 1, 2)
    await expect(page.get_by_role("listitem")).to_have_text(["note: 1", "note: 2"])
