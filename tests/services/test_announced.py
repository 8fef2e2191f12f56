"""Previews that are announced, and run by an invocation of their own: once, in time, or never."""

import asyncio
import json
from time import time

import pytest

from lastevent.core.errors import Conflict, NotFound
from lastevent.services.ledger import GONE, NOT_CLAIMED, STOPPED_BEFORE
from lastevent.services.life import SHUTDOWN_SECONDS, TIME_UP, Term
from lastevent.services.preview import Preview
from lastevent.services.previews import KIND, Previews
from lastevent.services.run import iso
from lastevent.services.runs import SHUT_DOWN
from lastevent.stores.base import Store
from tests.services.logs import Serve, closed, ended, eventually, log_of, pid_of, said
from tests.sources.processes import WAIT_SECONDS, alive, until


async def run(previews: Previews, id: str, seconds: float | None = None) -> Preview:
    """Do what the task of an invocation does that has so many seconds."""
    deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
    return await asyncio.wait_for(previews.run(id, deadline, asyncio.Event()), WAIT_SECONDS)


async def failures(store: Store, id: str) -> list[str]:
    return [it["error"] for it in await said(store, id, "failure")]


async def test_one_announces_and_another_runs(store: Store, serve: Serve) -> None:
    here, there = serve(), serve()
    preview = await here.announce("done")
    assert (preview.state, preview.host) == ("starting", "")
    assert await here.get(preview.id) == preview
    end = await run(there, preview.id)
    assert (end.state, end.code, end.ends_at) == ("exited", 3, None)
    assert end.host
    assert await here.get(preview.id) == end
    types = [event.type for event in await log_of(store, preview.id)]
    assert types == ["started", "stdout", "exit"]
    assert await closed(store, preview.id)
    (started,) = await said(store, preview.id, "started")
    assert "ends_at" not in started


async def test_only_commands_of_the_settings_can_be_announced(serve: Serve) -> None:
    with pytest.raises(NotFound, match="done, lasts"):
        await serve().announce("rm -rf /")


async def test_it_ends_before_its_invocation_does_and_says_so(store: Store, serve: Serve) -> None:
    before = int(time() * 1000)
    previews = serve()
    preview = await previews.announce("lasts")
    deadline = asyncio.get_running_loop().time() + 4.0
    running = asyncio.create_task(previews.run(preview.id, deadline, asyncio.Event()))
    pid = await pid_of(store, preview.id)
    (started,) = await said(store, preview.id, "started")
    assert before + 1000 < started["ends_at"] < before + 4000
    assert (await previews.get(preview.id)).ends_at == iso(started["ends_at"])

    end = await asyncio.wait_for(running, WAIT_SECONDS)
    assert asyncio.get_running_loop().time() < deadline
    assert not alive(pid)
    assert (end.state, end.signal) == ("exited", "SIGTERM")
    types = [event.type for event in await log_of(store, preview.id)]
    assert types == ["started", "stdout", "failure", "exit"]
    assert await failures(store, preview.id) == [TIME_UP]
    assert await closed(store, preview.id)


async def test_a_term_leaves_time_for_the_end() -> None:
    now = asyncio.get_running_loop().time()
    unbounded = Term.before(None, 5.0)
    assert unbounded == (None, 5.0)
    long, short, over = (Term.before(now + seconds, 5.0) for seconds in (300, 8, -1))
    assert long.ends_at is not None and short.ends_at is not None and over.ends_at is not None
    assert long.grace_seconds == 5.0
    assert long.ends_at / 1000 == pytest.approx(time() + 300 - 5 - SHUTDOWN_SECONDS, abs=1)
    assert short.grace_seconds == pytest.approx(1, abs=0.2)
    assert short.ends_at / 1000 == pytest.approx(time() + 8 * 2 / 3, abs=1)
    assert over.ends_at / 1000 == pytest.approx(time(), abs=1)


async def test_a_task_that_comes_twice_runs_it_once(store: Store, serve: Serve) -> None:
    here, there = serve(), serve()
    preview = await here.announce("done")
    results = await asyncio.gather(
        *(run(previews, preview.id) for previews in (here, there, here, there)),
        return_exceptions=True,
    )
    assert sum(isinstance(it, Conflict) for it in results) == 3, results
    with pytest.raises(Conflict, match=r"closed|exited"):
        await run(there, preview.id)
    assert len(await said(store, preview.id, "started")) == 1


async def test_a_task_that_comes_again_after_a_crash_does_not_run_it_again(
    store: Store, serve: Serve
) -> None:
    """The first had claimed it; whether the command ran, nobody knows."""
    preview = await serve().announce("done")
    record = await store.records.get(KIND, preview.id)
    assert record is not None
    await store.records.put(KIND, preview.id, preview.claimed("dead", None).text)
    with pytest.raises(Conflict):
        await run(serve(), preview.id)
    assert await failures(store, preview.id) == [GONE]
    assert (await serve().get(preview.id)).state == "lost"


@pytest.mark.parametrize("how", ["get", "list", "sweep", "watch"])
async def test_one_that_nobody_claims_is_found_out(
    store: Store, serve: Serve, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    previews = serve()
    preview = await previews.announce("lasts")
    assert (await previews.get(preview.id)).state == "starting", "it has a minute"
    assert await previews.sweep() == ()
    monkeypatch.setattr("lastevent.services.ledger.CLAIM_SECONDS", 0.0)
    await asyncio.sleep(0.002)
    if how == "watch":
        async with previews.watch(preview.id):
            await eventually(lambda: closed(store, preview.id), bool)
    elif how == "get":
        assert (await previews.get(preview.id)).state == "lost"
    else:
        (found,) = await getattr(previews, how)()
        assert found.state == "lost"
    assert await failures(store, preview.id) == [NOT_CLAIMED]
    assert await closed(store, preview.id)
    with pytest.raises(Conflict, match="closed"):
        await run(previews, preview.id)
    assert await said(store, preview.id, "started") == []


async def test_one_that_is_stopped_before_does_not_begin(store: Store, serve: Serve) -> None:
    here, there = serve(), serve()
    preview = await here.announce("lasts")
    stopped = await here.stop(preview.id)
    assert not stopped.is_active
    assert await failures(store, preview.id) == [STOPPED_BEFORE]
    with pytest.raises(Conflict):
        await run(there, preview.id)
    assert await said(store, preview.id, "started") == []
    assert await there.get(preview.id) == stopped


async def test_one_that_is_stopped_while_it_is_claimed_does_not_begin(
    store: Store, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops it finds the lease taken; who has the lease finds the record changed."""
    here, there = serve(), serve()
    preview = await here.announce("lasts")
    append = store.log.append

    async def late(*args: object, **options: object) -> object:
        monkeypatch.undo()
        appended = await append(*args, **options)  # type: ignore[arg-type]
        assert (await here.stop(preview.id)).state == "stopping"
        return appended

    monkeypatch.setattr(store.log, "append", late)
    with pytest.raises(Conflict, match="stopping"):
        await run(there, preview.id)
    assert await failures(store, preview.id) == [STOPPED_BEFORE]
    assert not (await here.get(preview.id)).is_active


async def test_another_can_stop_it_once_it_runs(store: Store, serve: Serve) -> None:
    here, there = serve(), serve()
    preview = await here.announce("lasts")
    running = asyncio.create_task(run(there, preview.id))
    await pid_of(store, preview.id)
    assert (await here.stop(preview.id)).state == "stopping"
    assert (await running).signal == "SIGTERM"
    assert await failures(store, preview.id) == []


async def test_an_invocation_whose_process_has_to_go(store: Store, serve: Serve) -> None:
    previews = serve()
    preview = await previews.announce("lasts")
    leaving = asyncio.Event()
    running = asyncio.create_task(previews.run(preview.id, None, leaving))
    pid = await pid_of(store, preview.id)
    leaving.set()
    assert (await asyncio.wait_for(running, WAIT_SECONDS)).signal == "SIGTERM"
    assert not alive(pid)
    assert await failures(store, preview.id) == [SHUT_DOWN]


async def test_an_invocation_that_is_cut_off_leaves_the_end_to_the_process(
    store: Store, serve: Serve
) -> None:
    previews = serve()
    preview = await previews.announce("lasts")
    running = asyncio.create_task(run(previews, preview.id))
    pid = await pid_of(store, preview.id)
    running.cancel()
    await asyncio.wait([running])
    assert alive(pid)
    await previews.aclose()
    await until(lambda: not alive(pid), "the command's end")
    assert await failures(store, preview.id) == [SHUT_DOWN]


@pytest.mark.parametrize("why", ["name", "room"])
async def test_what_cannot_run_where_its_task_came_fails_at_once(
    store: Store, serve: Serve, why: str
) -> None:
    here, there = serve(), serve(commands={}) if why == "name" else serve(max_running=1)
    preview = await here.announce("done")
    if why == "room":
        await there.start("lasts")
    end = await run(there, preview.id)
    assert end.state == "failed"
    (event,) = await log_of(store, preview.id)
    error = json.loads(event.data)["error"]
    assert error.startswith("It could not be started: ")
    assert ("no command 'done'" if why == "name" else "1 previews run") in error
    assert await closed(store, preview.id)
    assert await ended(here, preview.id) == end


async def test_a_task_for_what_was_never_announced(serve: Serve) -> None:
    with pytest.raises(NotFound):
        await run(serve(), "nope")
