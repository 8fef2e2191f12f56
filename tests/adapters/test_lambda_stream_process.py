"""The streaming runtime as the process that Lambda starts: its start, its failure, its end."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from infra.local.upstash import UpstashServer
from lastevent.core.wire import Decoder
from tests.adapters.runtime_api import DELIMITER, PREFIX, WAIT_SECONDS, PlayedApi, Post
from tests.adapters.streaming import SECRET, in_seconds, token, url_request
from tests.project.tree import ROOT

WRAPPER = ROOT / "infra" / "lambda" / "lambda-stream"
COMMAND = (sys.executable, "-m", "lastevent.adapters.lambda_stream")
LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "streams",
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
    "LAMBDA_TASK_ROOT": str(ROOT),
    "_HANDLER": "functions.app.app",
}

AWAY = {"LASTEVENT_AUTH_SECRET": SECRET, "LASTEVENT_STORE_URL": "upstash://:x@127.0.0.1:1"}
"""Settings of a function whose store is away, for what has nothing to do with stores."""


class Process:
    """The runtime as a process of its own, with nothing of this one's environment."""

    def __init__(self, api: PlayedApi, log: Path, process: asyncio.subprocess.Process) -> None:
        self.api = api
        self.log = log
        self.process = process

    @property
    def said(self) -> str:
        return self.log.read_text()

    async def ended(self) -> int:
        """Wait for its end; return its exit code."""
        return await asyncio.wait_for(self.process.wait(), WAIT_SECONDS)


@contextlib.asynccontextmanager
async def started(log: Path, *command: str, **environ: str) -> AsyncIterator[Process]:
    async with PlayedApi() as api:
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(command or COMMAND),
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "AWS_LAMBDA_RUNTIME_API": api.address}
                | LAMBDA
                | environ,
                stdout=output,
                stderr=output,
            )
        try:
            yield Process(api, log, process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@pytest.fixture(scope="module")
def upstash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of a store that Lambda can share, and of a secret."""
    with UpstashServer(tmp_path_factory.mktemp("upstash"), durable=False) as server:
        yield {**server.environment, "LASTEVENT_AUTH_SECRET": SECRET}


async def states(post: Post, until: str) -> list[str]:
    """Return the states of a leg up to one."""
    decoder, found = Decoder(), list[str]()
    while until not in found:
        chunk = await post.chunk()
        if DELIMITER not in chunk:
            messages = [it for it in decoder.feed(chunk) if it.type == "stream"]
            found += [json.loads(message.data)["state"] for message in messages]
    return found


@pytest.mark.parametrize(
    ("environ", "kind", "sentence"),
    [
        ({"LASTEVENT_AUTH_SECRET": ""}, "ConfigError", "LASTEVENT_AUTH_SECRET"),
        ({"LASTEVENT_AUTH_SECRET": "swordfish"}, "ConfigError", "at least 32 characters"),
        ({"LASTEVENT_STORE_URL": "memory://"}, "ConfigError", "LASTEVENT_STORE_URL"),
        ({"LASTEVENT_STORE_URL": "mongodb://swordfish@x"}, "ConfigError", "upstash://"),
        ({"_HANDLER": ""}, "ConfigError", "_HANDLER"),
        ({"_HANDLER": "functions.app.routes"}, "ConfigError", "no App of the name routes"),
        ({"_HANDLER": "functions.nothing.app"}, "ModuleNotFoundError", "functions.nothing"),
        ({"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}, "ConfigError", "SnapStart"),
    ],
)
async def test_what_cannot_start_says_why(
    environ: dict[str, str], kind: str, sentence: str, tmp_path: Path
) -> None:
    async with started(tmp_path / "log", **AWAY | environ) as process:
        post = await process.api.answered()
        assert await process.ended() == 1
        assert post.path == f"{PREFIX}/init/error"
        assert post.header("Lambda-Runtime-Function-Error-Type") == kind
        assert post.error["errorType"] == kind
        assert sentence in post.error["errorMessage"]
        assert post.error["stackTrace"] == []
        (line,) = process.said.splitlines()
        assert sentence in line
        assert process.api.requests == [f"POST {PREFIX}/init/error"], "no work was asked for"
        for text in (process.said, bytes(post.body).decode()):
            assert "swordfish" not in text
            assert SECRET not in text


async def test_a_defect_of_the_function_is_told_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def fail():\n    raise ValueError(4 * 'x')\nfail()\n")
    environ = AWAY | {"_HANDLER": "broken.app", "PYTHONPATH": str(tmp_path)}
    async with started(tmp_path / "log", **environ) as process:
        post = await process.api.answered()
        assert await process.ended() == 1
        assert post.error["errorType"] == "ValueError"
        assert "in fail" in post.error["stackTrace"][-1]
        assert "xxxx" not in post.error["errorMessage"]
        assert "ValueError: xxxx" in process.said, "the log has all of it"


async def test_without_a_runtime_api_it_says_what_it_is(tmp_path: Path) -> None:
    async with started(tmp_path / "log", AWS_LAMBDA_RUNTIME_API="") as process:
        assert await process.ended() == 1
        assert "AWS_LAMBDA_RUNTIME_API is not set" in process.said


async def test_lost_without_its_runtime_api_it_ends(tmp_path: Path) -> None:
    """So that Lambda makes another environment."""
    async with started(tmp_path / "log", **AWAY) as process:
        await process.api.asked()
        await process.api.close()
        assert await process.ended() == 1
        assert "gives no work" in process.said


@pytest.mark.parametrize(
    ("command", "concurrency"),
    [((), "2"), ((str(WRAPPER), sys.executable, "/var/runtime/bootstrap.py"), "")],
    ids=["managed instance", "function"],
)
async def test_it_serves_legs_and_gives_planned_ends_before_it_goes(
    command: tuple[str, ...], concurrency: str, upstash: dict[str, str], tmp_path: Path
) -> None:
    """As Lambda starts it: the wrapper gets the command of Lambda's own runtime. A function rests
    after the first of the two invocations, an instance does not."""
    settings = {
        **upstash,
        "AWS_LAMBDA_MAX_CONCURRENCY": concurrency,
        "LASTEVENT_TRAILING_COMMENT": "0" if concurrency else "1",
    }
    path = f"/api/streams/s{concurrency}"
    async with started(tmp_path / "log", *command, **settings) as process:
        api = process.api
        await api.asked(int(concurrency or 1))
        note = b'{"type": "note", "data": {"n": 1}}'
        api.give(url_request(path, "POST", body=note, authorization=token()))
        assert (await api.answered()).prelude["statusCode"] == 201
        api.give(url_request(path, authorization=token()), Deadline_Ms=in_seconds(60))
        post = await api.posted()
        await states(post, "live")
        assert b'{"n":1}' in post.payload
        assert (b"\n\n:\n\n" in post.payload) == (not concurrency)
        process.process.send_signal(signal.SIGTERM)
        assert (await states(post, "rotate"))[-1] == "rotate"
        await post.whole()
        assert not post.cut
        assert post.trailers == {}
        assert await process.ended() == 0
        metrics = [json.loads(line) for line in process.said.splitlines()]
        assert sum(it["LegsOpened"] for it in metrics) == 1, "it says nothing but its metrics"


LOUD = """
from lastevent.serve.app import App

class Loud(App):
    async def __call__(self, scope, receive, send):
        async def heard():
            message = await receive()
            print(message["type"], flush=True)
            return message
        await super().__call__(scope, heard, send)

app = Loud(lambda *_: None)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_go_while_it_waits_for_work_it_shuts_the_application_down(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "loud.py").write_text(LOUD)
    environ = AWAY | {"_HANDLER": "loud.app", "PYTHONPATH": str(tmp_path)}
    async with started(tmp_path / "log", **environ) as process:
        await process.api.asked()
        process.process.send_signal(number)
        assert await process.ended() == 0
        said = process.said.splitlines()
    assert [line for line in said if "lifespan" in line] == [
        "lifespan.startup",
        "lifespan.shutdown",
    ]


@pytest.mark.parametrize("argument", ["", "/nonexistent/python3.12"])
async def test_the_wrapper_needs_an_interpreter(argument: str, tmp_path: Path) -> None:
    command = [str(WRAPPER), *filter(None, [argument])]
    async with started(tmp_path / "log", *command, PATH=str(tmp_path)) as process:
        assert await process.ended() == 127
        assert "no Python interpreter" in process.said
