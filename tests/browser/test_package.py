"""The client as others get it: in one small file, and as a package."""

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import Page

from infra.minify import MINIFIED, SOURCE, minified
from tests.browser.proxy import Proxy
from tests.browser.server import Server
from tests.browser.test_client import COMPILER, run
from tests.project.tree import ROOT

pytestmark = pytest.mark.browser

MOST_BYTES = 6000
PACKAGE_SECONDS = 50.0
ENTRIES = {"beacons", "preferences", "react", "saved", "tabs", "trace", "transport"}
MODULES = {path.stem for path in (ROOT / "public" / "lastevent").glob("*.js")}

USE = """\
import { Stream } from "lastevent";
import { Beacons } from "lastevent/beacons";
import { preferences } from "lastevent/preferences";
import { saved } from "lastevent/saved";
import { SharedStream } from "lastevent/tabs";

const body = 'event: stream\\ndata: {"state":"open"}\\n\\nid: 7\\nevent: note\\ndata: {"n":1}\\n\\n'
    + 'event: stream\\ndata: {"state":"end"}\\n\\n';
const beacons = new Beacons("/beacon", "here", () => null);
const stream = beacons.watch(new Stream("http://stream.test/s", saved("s", beacons.measure({
    fetch: async () => new Response(body, { headers: { "content-type": "text/event-stream" } }),
    onEvent: (event) => console.log(event.id, event.json().n),
    onState: (state) => console.log(state.name),
}))));
const shared = new SharedStream("http://stream.test/s", { subject: "clara", realtime: false });
shared.close();
console.log(preferences.get().strategy, stream.state.name);
beacons.close();
"""

OWN_TRANSPORT = """\
import { Stream } from "lastevent";
import { TooLarge } from "lastevent/transport";

new Stream("http://stream.test/s", {
    transport: async () => {
        throw new TooLarge("a message of 5 GB");
    },
    onState: (state) => console.log(JSON.stringify(state)),
});
"""


def test_the_minified_file_is_what_the_modules_make() -> None:
    assert MINIFIED.read_text() == minified(SOURCE), "make vendor"


def test_it_is_small() -> None:
    size = len(gzip.compress(MINIFIED.read_bytes(), compresslevel=9, mtime=0))
    assert size < MOST_BYTES, f"{size} bytes"


@pytest.mark.asyncio(loop_scope="session")
async def test_the_minified_file_follows_a_stream(page: Page, server: Server, proxy: Proxy) -> None:
    await page.goto(proxy.url)
    await page.evaluate("""async () => {
        const { Stream } = await import("/lastevent.min.js");
        window.events = [];
        window.states = [];
        const told = {
            onEvent: (event) => events.push(event.json()),
            onState: (state) => states.push(state),
        };
        window.stream = new Stream("/api/streams/s", told);
    }""")
    await server.publish("s", 1, 2)
    await page.wait_for_function("() => stream.counts.plannedEnds > 0")
    proxy.cut_in_frame()
    await server.publish("s", 3)
    await page.wait_for_function("() => events.length === 3")
    assert await page.evaluate("events") == [1, 2, 3]
    attempts = await page.evaluate("states.filter((state) => state.name === 'reconnecting')")
    assert attempts[0]["attempt"] == 1
    assert attempts[0]["seconds"] >= 0
    await page.evaluate("""async () => {
        const { Stream } = await import("/lastevent.min.js");
        window.polled = [];
        const onEvent = (event) => polled.push(event.json());
        window.poller = new Stream("/api/streams/s", { realtime: false, onEvent });
    }""")
    await page.wait_for_function("() => polled.length === 3 && poller.state.name === 'polling'")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty project into which the packed package was installed."""
    source = tmp_path_factory.mktemp("source")
    for name in ("package.json", "tsconfig.json", "infra/types.tsconfig.json", "LICENSE"):
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "public", source / "public")
    (source / "node_modules").symlink_to(ROOT / "node_modules")
    npm("pack", cwd=source)
    project = tmp_path_factory.mktemp("project")
    (project / "package.json").write_text('{"name": "user", "private": true, "type": "module"}')
    npm("install", "--offline", str(*source.glob("lastevent-*.tgz")), cwd=project)
    return project


def npm(*arguments: str, cwd: Path) -> None:
    """Run npm, which has to succeed."""
    quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
    ended = subprocess.run(
        ["npm", *arguments, *quiet],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PACKAGE_SECONDS,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_package_brings_what_it_needs_and_nothing_else(project: Path) -> None:
    installed = {path.name for path in (project / "node_modules").iterdir()}
    assert installed - {".package-lock.json"} == {"lastevent"}
    package = project / "node_modules" / "lastevent"
    assert {path.name for path in package.iterdir()} == {
        *("LICENSE", "package.json", "public", "types")
    }
    pages = {path.name for path in (package / "public").iterdir()}
    assert pages == {"lastevent", "lastevent.js", "lastevent.min.js", "vendor"}
    described = {path.name.partition(".")[0] for path in package.glob("types/lastevent/*.d.ts")}
    assert described == MODULES
    exports = json.loads((package / "package.json").read_text())["exports"]
    modules = {f"./{name}" for name in ENTRIES & MODULES}
    assert set(exports) == {".", "./lastevent.min.js"} | modules
    for target in exports.values():
        files = target.values() if isinstance(target, dict) else [target]
        assert all((package / file).is_file() for file in files), target


def test_it_is_imported_from_node(project: Path) -> None:
    (project / "use.js").write_text(USE)
    ended = run("use.js", cwd=project)
    assert ended.returncode == 0, ended.stderr
    lines = ["fast connecting", "connecting", "connected", "7 1", "ended"]
    assert ended.stdout.splitlines() == lines


def test_a_transport_of_ones_own_says_that_trying_again_is_no_use(project: Path) -> None:
    (project / "transport.js").write_text(OWN_TRANSPORT)
    ended = run("transport.js", cwd=project)
    assert ended.returncode == 0, ended.stderr
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [
        {"name": "connecting"},
        {"name": "disconnected", "reason": "a message of 5 GB"},
    ]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("", ""),
        ("new Stream(7);", "TS2345"),
        ('new SharedStream("/s", { subject: 7 });', "TS2322"),
        ('preferences.set({ strategy: "slow" });', "TS2322"),
        ('import { TooLarge } from "lastevent/transport";\nnew TooLarge(7);', "TS2769"),
    ],
)
def test_its_types_are_seen(project: Path, tmp_path: Path, line: str, error: str) -> None:
    (tmp_path / "node_modules").symlink_to(project / "node_modules")
    (tmp_path / "use.ts").write_text(USE + line)
    options = ("--strict", "--noEmit", "--target", "es2022", "--module", "nodenext")
    ended = run(COMPILER, "use.ts", *options, "--types", "", "--ignoreConfig", cwd=tmp_path)
    assert (error in ended.stdout) if error else (ended.returncode == 0), ended.stdout
