"""The sweep: who may call it, what it does, and who calls it."""

import asyncio
import inspect
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from types import ModuleType
from typing import Any

import httpx
import pytest

import functions.app
from functions import cron
from lastevent.adapters.lambda_stream.lifespan import Lifespan
from lastevent.core.errors import NotFound, Transient
from lastevent.core.event import NewEvent
from lastevent.serve.app import App, router
from lastevent.serve.auth import mint
from lastevent.serve.invocation import Invocation
from lastevent.serve.live import SWEEP_SECONDS, pumps
from lastevent.serve.service import Service
from lastevent.serve.settings import Settings
from lastevent.sources.base import Batch
from lastevent.sources.keeper import Live
from tests.serve.running import WAIT_SECONDS

SECRET = "s" * 32
CRON_SECRET = "c" * 16
PATH = "/api/cron/sweep"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def token(*append: str, read: Sequence[str] = ("*",)) -> dict[str, str]:
    """What proves an identity that may append to these."""
    return bearer(mint(SECRET, {"sub": "u", "append": append, "read": read}, 3600))


@dataclass
class Work(ModuleType):
    """A module of functions with two events to pump, and records to put in order."""

    pumped: list[str] = field(default_factory=list)
    chores: int = 0
    trouble: Exception | None = None

    def __post_init__(self) -> None:
        super().__init__("work")

    async def resume(self, service: Service, stream: str) -> Live:
        if stream.endswith("gone"):
            raise NotFound("it is gone")
        self.pumped.append(stream)
        return live(stream)

    async def sweep(self, service: Service) -> list[dict[str, str]]:
        self.chores += 1
        if self.trouble is not None:
            raise self.trouble
        return [{"stream": "job:old", "kind": "jobs", "state": "forgotten"}]


class Two:
    """A source of two events."""

    replays = "full"

    async def read(self, position: str | None) -> AsyncIterator[Batch]:
        yield Batch()
        yield Batch([NewEvent("note", "1"), NewEvent("note", "2")], over=True)


def live(stream: str) -> Live:
    source: Any = Two()
    return Live(stream, "jobs", lambda: source)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """The only work that there is."""
    work = Work()
    monkeypatch.setitem(sys.modules, "work", work)
    monkeypatch.setitem(sys.modules, "bare", ModuleType("bare"))
    monkeypatch.setattr(cron, "MODULES", {"jobs": "work", "previews": "bare"})
    return work


@pytest.fixture
async def called(work: Work) -> AsyncIterator[Callable[..., Any]]:
    """Return a function that calls the sweep of an application with changed settings."""
    begun: list[Service] = []

    async def call(method: str = "GET", **options: Any) -> httpx.Response:
        settings = {"store_url": "memory://", "auth_secret": SECRET, "cron_secret": CRON_SECRET}
        headers = options.pop("headers", {})
        app = App(router(cron.routes), tasks=cron.TASKS, bounds=options.pop("bounds", None))
        app.configure(Settings(**settings | options))
        service = await app.begin()
        begun.append(service)
        for stream in ("job:1", "job:gone"):
            await pumps(service).register(live(stream))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            async with asyncio.timeout(WAIT_SECONDS):
                return await client.request(method, PATH, headers=headers)

    yield call
    for service in begun:
        await service.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_secret_sweeps(called: Callable[..., Any], work: Work, method: str) -> None:
    answer = await called(method, headers=bearer(CRON_SECRET))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    swept = answer.json()["swept"]
    assert sorted(swept, key=lambda one: one["stream"]) == [
        {"stream": "job:1", "kind": "jobs", "state": "over"},
        {"stream": "job:gone", "kind": "jobs", "state": "gone"},
        {"stream": "job:old", "kind": "jobs", "state": "forgotten"},
    ]
    assert (work.pumped, work.chores) == (["job:1"], 1)


@pytest.mark.parametrize(
    ("headers", "settings", "status"),
    [
        ({}, {}, 401),
        (bearer("c" * 15), {}, 401),
        (bearer("c" * 17), {}, 401),
        (bearer(""), {"cron_secret": None}, 401),
        (bearer("None"), {"cron_secret": None}, 401),
        (bearer(CRON_SECRET), {"cron_secret": None}, 401),
        ({"Authorization": f"Basic {CRON_SECRET}"}, {}, 401),
        (bearer("\xe9" * 16), {}, 401),
        (token("job:*"), {}, 403),
        (token(), {}, 403),
        (token("*"), {}, 200),
        (token("*"), {"cron_secret": None}, 200),
        ({**token("*"), "Origin": "https://other.example.com"}, {}, 403),
        ({}, {"cron_secret": None, "auth_secret": None, "development": True}, 200),
        (
            {"Sec-Fetch-Site": "cross-site"},
            {"cron_secret": None, "auth_secret": None, "development": True},
            403,
        ),
    ],
)
async def test_only_who_may_do_everything_sweeps(
    called: Callable[..., Any],
    work: Work,
    headers: dict[str, str],
    settings: dict[str, Any],
    status: int,
    tmp_path: Any,
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await called(headers=raw, data_dir=tmp_path, **settings)
    assert answer.status_code == status, answer.text
    assert work.chores == (1 if status == 200 else 0)


async def test_the_secret_is_for_nothing_else(called: Callable[..., Any]) -> None:
    assert (await called("DELETE", headers=bearer(CRON_SECRET))).status_code == 405


@pytest.mark.parametrize(
    ("trouble", "logged"),
    [(Transient("the upstream is away"), "the upstream is away"), (ValueError("x"), "ValueError")],
    ids=["told", "unforeseen"],
)
async def test_what_fails_stops_nothing_else_and_is_seen(
    called: Callable[..., Any],
    work: Work,
    caplog: pytest.LogCaptureFixture,
    trouble: Exception,
    logged: str,
) -> None:
    work.trouble = trouble
    answer = await called(headers=bearer(CRON_SECRET))
    assert answer.status_code == 503
    assert "the sweep of jobs failed" in answer.json()["detail"]
    assert work.pumped == ["job:1"]
    assert f"the sweep of jobs failed: {logged}" in caplog.text


async def test_it_has_the_time_of_its_invocation(
    called: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    async def sweep(service: Service, invocation: Invocation, resumes: Any) -> list[Any]:
        assert invocation.deadline is not None
        given.append(invocation.deadline - asyncio.get_running_loop().time())
        return []

    monkeypatch.setattr("functions.cron.live.sweep", sweep)
    await called(headers=bearer(CRON_SECRET))

    def bounds() -> Invocation:
        return Invocation(deadline=asyncio.get_running_loop().time() + 9.0, may_freeze=True)

    await called(headers=bearer(CRON_SECRET), bounds=bounds)
    assert given == [pytest.approx(SWEEP_SECONDS, abs=1), pytest.approx(9, abs=1)]


async def test_a_server_of_ones_own_sweeps_by_itself(
    work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(store_url="memory://", auth_secret=SECRET)
    for seconds, sweeps in ((0.01, True), (0.0, False)):
        app = App(router(cron.routes), tasks=cron.TASKS)
        app.configure(replace(settings, sweep_seconds=seconds))
        lifespan = Lifespan(app)
        await lifespan.startup()
        before, until = work.chores, time.monotonic() + (WAIT_SECONDS if sweeps else 0.1)
        while work.chores < before + 2 and time.monotonic() < until:
            await asyncio.sleep(0.01)
        assert (work.chores >= before + 2) == sweeps
        assert sweeps or not caplog.records, "it did not even try"
        await lifespan.shutdown()
        caplog.clear()


async def test_every_task_and_every_kind_of_work_exists() -> None:
    for place in functions.app.TASKS.values():
        module, _, name = place.partition(":")
        assert inspect.iscoroutinefunction(getattr(import_module(module), name))
    assert cron.TASKS.items() <= functions.app.TASKS.items()
    for kind, module in cron.MODULES.items():
        ours = {f"lastevent.serve.{name}" for name in ("alerts", "generate", "metrics")}
        assert module in {*functions.app.FUNCTIONS.values(), *ours}
        found = import_module(module)
        hooks = {name for name in ("resume", "sweep", "carry_on") if hasattr(found, name)}
        assert hooks, f"the sweep does nothing for {kind}"
        assert all(inspect.iscoroutinefunction(getattr(found, name)) for name in hooks)


@pytest.mark.parametrize("platform", [None, "VERCEL", "AWS_LAMBDA_FUNCTION_NAME"])
def test_a_platform_has_a_schedule_of_its_own(platform: str | None) -> None:
    environ = {
        "LASTEVENT_AUTH_SECRET": SECRET,
        "LASTEVENT_STORE_URL": "upstash://",
        "LASTEVENT_SWEEP_SECONDS": "5",
        **({platform: "1"} if platform else {}),
    }
    assert Settings.from_env(environ).sweep_seconds == (0 if platform else 5)
