"""Previews: started, watched and stopped, here or by another server, and truthful when one dies."""

import asyncio
import json
import math
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lastevent.core.errors import Conflict, Fenced, NotFound, Transient
from lastevent.core.event import NewEvent
from lastevent.services.ledger import GONE
from lastevent.services.preview import Preview
from lastevent.services.previews import KIND, Previews
from lastevent.services.runs import SHUT_DOWN
from lastevent.sources.pump import failure
from lastevent.stores.base import Store
from lastevent.stores.url import open_store
from tests.project.tree import ROOT
from tests.services.logs import (
    COMMANDS,
    LEASE_SECONDS,
    Serve,
    closed,
    ended,
    eventually,
    log_of,
    pid_of,
    said,
)
from tests.sources.processes import WAIT_SECONDS, Held, alive, sh, until
from tests.sources.trouble import Trouble

HOST = Path(__file__).with_name("host.py")


async def test_a_run(store: Store, serve: Serve) -> None:
    previews = serve()
    assert previews.names == tuple(COMMANDS)
    preview = await previews.start("done")
    assert (preview.name, preview.state) == ("done", "running")
    end = await ended(previews, preview.id)
    assert (end.state, end.code, end.signal) == ("exited", 3, None)
    assert end.started_at <= (end.ended_at or "")
    events = await log_of(store, preview.id)
    assert [event.type for event in events] == ["started", "stdout", "exit"]
    assert json.loads(events[0].data)["name"] == "done"
    assert await closed(store, preview.id)
    assert await previews.stop(preview.id) == end, "stopping what has ended changes nothing"


async def test_only_commands_of_the_settings_can_be_started(serve: Serve) -> None:
    with pytest.raises(NotFound, match=r"'rm -rf /'.*done, lasts"):
        await serve().start("rm -rf /")


async def test_what_does_not_exist(serve: Serve) -> None:
    previews = serve()
    for call in (previews.get, previews.stop):
        with pytest.raises(NotFound):
            await call("nope")
    async with previews.watch("nope"):
        pass


async def test_so_many_and_no_more(serve: Serve) -> None:
    previews = serve(max_running=2)
    first, _ = await previews.start("lasts"), await previews.start("lasts")
    with pytest.raises(Conflict, match="2 previews"):
        await previews.start("done")
    await previews.stop(first.id)
    await ended(previews, first.id)
    await previews.start("lasts")


async def test_a_list_is_newest_first(serve: Serve) -> None:
    previews = serve()
    ids = []
    for _ in range(3):
        ids.append((await previews.start("done")).id)
        await asyncio.sleep(0.002)
    assert [preview.id for preview in await previews.list()] == ids[::-1]


async def test_a_program_that_does_not_exist_exits(store: Store, serve: Serve) -> None:
    previews = serve()
    end = await ended(previews, (await previews.start("missing")).id)
    assert (end.state, end.code) == ("exited", 127)
    assert "not found" in (await said(store, end.id, "stderr"))[0]["text"]


async def test_what_cannot_be_started_fails_and_says_why(store: Store, serve: Serve) -> None:
    previews = serve()
    preview = await previews.start("nowhere")
    assert preview.state == "failed"
    assert preview.ended_at is not None
    assert (await previews.get(preview.id)) == preview
    (event,) = await log_of(store, preview.id)
    assert event.type == "failure"
    assert "No such file or directory" in event.data
    assert await closed(store, preview.id)


async def test_a_command_does_not_get_the_servers_settings(
    store: Store, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "LASTEVENT_AUTH_SECRET",
        "NEXTAUTH_SECRET",
        "AUTH_SECRET_1",
        "UPSTASH_REDIS_REST_TOKEN",
        "KV_REST_API_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "VERCEL_TOKEN",
        "CRON_SECRET",
    ):
        monkeypatch.setenv(name, "hush-hush")
    monkeypatch.setenv("NODE_ENV", "development")
    previews = serve()
    end = await ended(previews, (await previews.start("environment")).id)
    lines = [line["text"] for line in await said(store, end.id, "stdout")]
    assert "NODE_ENV=development" in lines
    assert not any("hush-hush" in line for line in lines)


async def test_stop(store: Store, serve: Serve) -> None:
    previews = serve(lease_seconds=300.0)  # its own server need not look at the record
    preview = await previews.start("lasts")
    pid = await pid_of(store, preview.id)
    assert (await previews.stop(preview.id)).state == "stopping"
    await previews.stop(preview.id)
    end = await ended(previews, preview.id)
    assert (end.state, end.signal) == ("exited", "SIGTERM")
    assert await said(store, preview.id, "failure") == []
    await until(lambda: not alive(pid), "the process's end")


async def test_stop_at_once(serve: Serve) -> None:
    previews = serve()
    starting = asyncio.create_task(previews.start("lasts"))
    await eventually(previews.list, len)
    (preview,) = await previews.list()
    await previews.stop(preview.id)
    await starting
    assert (await ended(previews, preview.id)).state == "exited"


async def test_another_server_can_stop_it(store: Store, serve: Serve) -> None:
    here, there = serve(), serve()
    preview = await there.start("lasts")
    assert (await here.get(preview.id)).state == "running"
    assert (await here.stop(preview.id)).state == "stopping"
    assert (await ended(here, preview.id)).signal == "SIGTERM"


async def test_many_may_stop_it_at_once(serve: Serve) -> None:
    servers = [serve() for _ in range(4)]
    preview = await servers[0].start("lasts")
    answers = await asyncio.gather(
        *(server.stop(preview.id) for server in servers for _ in range(4))
    )
    assert {answer.state for answer in answers} <= {"stopping", "exited"}
    assert (await ended(servers[0], preview.id)).signal == "SIGTERM"


async def test_a_preview_outlives_its_lease(store: Store, serve: Serve) -> None:
    here, there = serve(), serve()
    preview = await there.start("lasts")
    async with here.watch(preview.id):
        await asyncio.sleep(2.5 * LEASE_SECONDS)
    assert [it.state for it in await here.list()] == ["running"]
    assert not await closed(store, preview.id)


async def test_a_caller_who_leaves_does_not_leave_half_a_preview(serve: Serve) -> None:
    previews = serve()
    starting = asyncio.create_task(previews.start("done"))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    (preview,) = await eventually(previews.list, len)
    assert (await ended(previews, preview.id)).code == 3


async def test_a_store_that_is_away_refuses_a_start(store: Store, serve: Serve) -> None:
    for only in ("acquire", "append", "put"):
        trouble = Trouble(before=1, only=only)
        previews = serve(trouble.over(store))
        with pytest.raises(Transient):
            await previews.start("lasts")
        assert trouble.met == 1
        assert await previews.list() == []


async def test_a_store_that_comes_back_gets_everything_once(
    store: Store, serve: Serve, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    script = f"echo before; until [ -e {go} ]; do sleep 0.02; done; seq 100; exit 4"
    trouble = Trouble()
    previews = serve(trouble.over(store), commands={"waits": sh(script)})
    preview = await previews.start("waits")
    await eventually(lambda: said(store, preview.id, "stdout"), len)
    trouble.before, trouble.after = 3, 3
    go.touch()
    await eventually(lambda: closed(store, preview.id), bool)
    lines = [line["text"] for line in await said(store, preview.id, "stdout")]
    assert lines == ["before", *map(str, range(1, 101))]
    assert [it["code"] for it in await said(store, preview.id, "exit")] == [4]
    assert (await ended(serve(), preview.id)).code == 4
    assert trouble.met == 6


async def test_a_record_that_cannot_be_written_at_once_is_written_later(
    store: Store, serve: Serve
) -> None:
    trouble = Trouble(only="put")
    previews = serve(trouble.over(store))
    preview = await previews.start("lasts")
    await previews.stop(preview.id)
    trouble.before = 2

    async def state() -> str:
        record = await store.records.get(KIND, preview.id)
        return Preview.parse(record.value).state if record else ""

    await eventually(state, lambda it: it == "exited")
    assert trouble.met == 2


async def test_a_store_that_stays_away_ends_the_command(store: Store, serve: Serve) -> None:
    trouble = Trouble()
    previews = serve(trouble.over(store), patience_seconds=0.3)
    preview = await previews.start("lasts")
    pid = await pid_of(store, preview.id)
    trouble.before = math.inf
    await until(lambda: not alive(pid), "the command's end")
    trouble.before = 0
    assert (await ended(serve(), preview.id)).state == "lost"


async def test_a_shutdown_ends_all_and_says_so(store: Store, serve: Serve) -> None:
    previews = serve()
    ids = [(await previews.start("lasts")).id for _ in range(3)]
    pids = [await pid_of(store, id) for id in ids]
    await asyncio.wait_for(previews.aclose(), WAIT_SECONDS)
    for id in ids:
        assert await closed(store, id)
        events = await log_of(store, id)
        assert [event.type for event in events[-2:]] == ["failure", "exit"]
        assert json.loads(events[-2].data)["error"] == SHUT_DOWN
        assert (await serve().get(id)).signal == "SIGTERM"
    assert not any(map(alive, pids))
    with pytest.raises(Transient):
        await previews.start("done")


async def test_a_shutdown_is_bounded_even_if_the_store_is_away(
    store: Store, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lastevent.services.life.SHUTDOWN_SECONDS", 0.3)
    trouble = Trouble()
    previews = serve(trouble.over(store))
    preview = await previews.start("lasts")
    pid = await pid_of(store, preview.id)
    trouble.before = math.inf
    await asyncio.wait_for(previews.aclose(), WAIT_SECONDS)
    assert not alive(pid)


async def test_a_shutdown_refuses_what_is_still_starting(
    store: Store, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*args: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("lastevent.services.life.SHUTDOWN_SECONDS", 0.1)
    monkeypatch.setattr(store.leases, "acquire", hangs)
    previews = serve(grace_seconds=0.1)
    starting = asyncio.create_task(previews.start("lasts"))
    await asyncio.sleep(0.01)
    await asyncio.wait_for(previews.aclose(), WAIT_SECONDS)
    with pytest.raises(Transient):
        await asyncio.wait_for(starting, WAIT_SECONDS)


# What is left when a server dies.


async def abandoned(store: Store, *, end: NewEvent | None = None) -> Preview:
    """Leave what a server leaves that died while it ran a preview; ``end``: after its log's end."""
    preview = Preview.new("site", "dead", 1_800_000_000_000).running()
    await store.log.append(preview.stream, [NewEvent("stdout", '{"text":"x","time":0}')])
    if end is not None:
        await store.log.append(preview.stream, [end], close=True)
    await store.records.put(KIND, preview.id, preview.text)
    return preview


@pytest.mark.parametrize("how", ["get", "list", "stop", "watch"])
async def test_whoever_looks_finds_out(store: Store, serve: Serve, how: str) -> None:
    preview = await abandoned(store)
    previews = serve()
    if how == "watch":
        async with previews.watch(preview.id):
            await eventually(lambda: closed(store, preview.id), bool)
    elif how == "list":
        assert (await previews.list())[0].state == "lost"
    else:
        assert (await getattr(previews, how)(preview.id)).state == "lost"
    assert await closed(store, preview.id)
    assert [it["error"] for it in await said(store, preview.id, "failure")] == [GONE]
    with pytest.raises(Fenced):
        await store.log.append(preview.stream, [], fence=0)
    end = await eventually(lambda: previews.get(preview.id), lambda it: it.state == "lost")
    assert end.ended_at is not None
    assert await serve().get(preview.id) == end
    assert await store.leases.acquire(preview.stream, "another", 1), "the lease was let go"


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (NewEvent("exit", '{"code":3,"signal":null,"time":0}'), "exited"),
        (failure(GONE, 0), "lost"),
    ],
    ids=["the host", "who buried it"],
)
async def test_who_died_between_log_and_record(
    store: Store, serve: Serve, end: NewEvent, state: str
) -> None:
    """The log has its end; the record catches up, and the log is left alone."""
    preview = await abandoned(store, end=end)
    seen = await serve().get(preview.id)
    assert seen.state == state
    assert seen.code == (3 if state == "exited" else None)
    assert len(await log_of(store, preview.id)) == 2


async def test_who_ends_while_somebody_looks_is_left_alone(
    store: Store, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server lets the lease go right after the record was read, and before the lease is."""
    preview = await abandoned(store)
    acquire = store.leases.acquire

    async def late(*args: Any) -> Any:
        monkeypatch.undo()
        await store.log.append(preview.stream, [failure("Could not start.", 0)], close=True)
        failed = preview.failed(1_800_000_000_001)
        await store.records.put(KIND, preview.id, failed.text)
        return await acquire(*args)

    monkeypatch.setattr(store.leases, "acquire", late)
    assert (await serve().get(preview.id)).state == "failed"
    assert len(await log_of(store, preview.id)) == 2


async def test_many_lookers_end_it_once(store: Store, serve: Serve) -> None:
    preview = await abandoned(store)
    servers = [serve() for _ in range(4)]
    await asyncio.gather(*(server.list() for server in servers for _ in range(5)))
    await ended(servers[0], preview.id)
    assert len(await said(store, preview.id, "failure")) == 1


async def test_viewers_share_one_check(store: Store, serve: Serve) -> None:
    here, there = serve(), serve()
    preview = await there.start("lasts")

    def checks() -> int:
        return sum("Runs._check" in repr(task.get_coro()) for task in asyncio.all_tasks())

    async with here.watch(preview.id), here.watch(preview.id):
        async with here.watch(preview.id):
            assert checks() == 1
        await asyncio.sleep(0.01)
        assert checks() == 1
    await until(lambda: checks() == 0, "the check's end")


async def test_watching_ones_own_preview_leaves_the_lease_alone(store: Store, serve: Serve) -> None:
    """The lease is its own; a look at it each few seconds would cost for nothing."""
    trouble = Trouble(only="acquire")
    previews = serve(trouble.over(store), lease_seconds=30.0)
    preview = await previews.start("lasts")
    trouble.before = math.inf
    async with previews.watch(preview.id):
        await asyncio.sleep(0.2)
    assert trouble.met == 0


async def test_a_check_survives_trouble(store: Store, serve: Serve) -> None:
    preview = await abandoned(store)
    trouble = Trouble(before=1, after=1)
    previews = serve(trouble.over(store), lease_seconds=0.1)
    async with previews.watch(preview.id):
        await eventually(lambda: closed(store, preview.id), bool)


# Servers that are processes.


@asynccontextmanager
async def server_process(
    url: str, script: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run a server of one preview in a process of its own; yield it and the preview's id."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(HOST), url, str(LEASE_SECONDS), script),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), WAIT_SECONDS)
        yield process, line.decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.wait_for(process.wait(), WAIT_SECONDS)


@pytest.fixture
def shared_url(tmp_path: Path) -> str:
    """The URL of a store that several processes use."""
    return f"sqlite:///{tmp_path}/shared.db"


@pytest.fixture
async def shared(shared_url: str) -> AsyncIterator[Store]:
    made = open_store(shared_url)
    await made.prepare()
    yield made
    await made.close()


async def test_when_a_server_is_killed_its_command_dies_and_the_log_ends(
    shared: Store, shared_url: str
) -> None:
    previews = Previews(shared, {}, lease_seconds=LEASE_SECONDS)
    async with server_process(shared_url, "sleep 600 & echo $!; wait") as (process, id):
        grandchild = await pid_of(shared, id)
        (started,) = await said(shared, id, "started")
        async with previews.watch(id):
            await asyncio.sleep(1.5 * LEASE_SECONDS)
            assert not await closed(shared, id), "its server lives"
            process.kill()
            await until(lambda: not alive(grandchild), "the grandchild's end")
            await until(lambda: not alive(started["pid"]), "the command's end")
            await eventually(lambda: closed(shared, id), bool)
    assert [it["error"] for it in await said(shared, id, "failure")] == [GONE]
    assert (await previews.get(id)).state == "lost"
    await previews.aclose()


async def test_a_server_that_shuts_down_says_so(shared: Store, shared_url: str) -> None:
    async with server_process(shared_url, "echo $$; sleep 600") as (process, id):
        pid = await pid_of(shared, id)
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), WAIT_SECONDS)
        assert process.returncode == 0
        assert not alive(pid)
    assert [event.type for event in (await log_of(shared, id))[-2:]] == ["failure", "exit"]


async def test_a_server_that_was_paused_finds_itself_fenced(shared: Store, shared_url: str) -> None:
    """Paused beyond its lease and buried meanwhile, it must not write a word, and end its child."""
    previews = Previews(shared, {}, lease_seconds=LEASE_SECONDS)
    script = "echo $$; while :; do echo on; sleep 0.02; done"
    async with server_process(shared_url, script) as (process, id):
        pid = await pid_of(shared, id)
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"pause\n")
        assert await asyncio.wait_for(process.stdout.readline(), WAIT_SECONDS) == b"paused\n"
        end = await ended(previews, id)
        assert end.state == "lost"
        before = await log_of(shared, id)
        assert before[-1].type == "failure"
        assert alive(pid), "its guard knows nothing of the pause"
        process.stdin.write(b"go on\n")
        await until(lambda: not alive(pid), "the command's end")
        process.stdin.close()
        await asyncio.wait_for(process.wait(), WAIT_SECONDS)
    assert await log_of(shared, id) == before
    assert await previews.get(id) == end
    await previews.aclose()


async def test_fifty_previews_leave_nothing_behind(store: Store, serve: Serve) -> None:
    previews = serve()
    await ended(previews, (await previews.start("done")).id)
    held = Held()
    for _ in range(10):
        started = [await previews.start("done") for _ in range(5)]
        for preview in started:
            await ended(previews, preview.id)
    await until(lambda: Held() == held, "all to be let go")
