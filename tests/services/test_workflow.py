"""Runs of a workflow: stage by stage, tried again, put off, left, cancelled, run again."""

import asyncio
import contextlib
from dataclasses import replace
from time import time

import pytest

from lastevent.core.errors import (
    Conflict,
    InvalidRequest,
    KeyReused,
    NotFound,
    StoreUnavailable,
    TooLarge,
    UpstreamLost,
)
from lastevent.services.workflow import turn as turn_module
from lastevent.services.workflow.journal import PACE_SECONDS
from lastevent.services.workflow.records import KIND, MAX_INPUT_BYTES, UNFINISHED, WorkflowRecords
from lastevent.services.workflow.runner import Runner
from lastevent.services.workflow.stage import DEFECT, StageContext
from lastevent.services.workflow.transitions import MAX_CUTS
from lastevent.services.workflow.values import Input, Result, Skipped, Stage, Workflow
from lastevent.stores.base import Lease, Store
from tests.services.toy_workflow import (
    EFFECTS,
    ITEMS,
    LEASE_SECONDS,
    NAMES,
    WAIT_SECONDS,
    Toy,
    begin,
    check_order,
    outline,
    run_to_end,
    told,
)

GOOD = [f"{name} {status}" for name in NAMES for status in ("started", "completed")]


@pytest.fixture
def toy(store: Store) -> Toy:
    return Toy(store)


async def test_a_run_goes_stage_by_stage_and_tells_of_it(toy: Toy, store: Store) -> None:
    workflows = toy.workflows()
    run = await begin(workflows)
    assert (run.state, run.progress) == ("waiting", 0)
    end = await run_to_end(workflows, run)
    assert (end.state, end.progress) == ("completed", 100)
    assert end.results == {name: {f"{name}Items": ITEMS} for name in NAMES}
    assert [stage.status for stage in end.stages] == ["completed"] * 3
    assert end.outbox == ()
    events = await told(store)
    check_order(events)
    assert outline(events) == [*GOOD, "over completed"]
    kind, last = events[-1]
    assert kind == "completion"
    assert {f"{name}Items": ITEMS for name in NAMES}.items() <= last.items()
    assert last["poId"] == run.subject and last["workflowId"] == run.id
    assert len(await store.records.query(EFFECTS)) == 3 * ITEMS
    assert await store.records.query(UNFINISHED) == []
    assert await workflows.runner.run(run.key) == "over", "there is nothing more to do"
    assert toy.attempts == list(NAMES)


async def test_the_context_of_a_stage(toy: Toy, store: Store) -> None:
    keys: list[str] = []

    async def look(stage: StageContext) -> Result:
        given = await stage.input()
        assert (given.content, given.content_type) == (b"hello", "text/plain")
        assert (stage.merchant, stage.attempt) == ("42", len(keys) + 1)
        assert stage.results == {"read": {"readItems": ITEMS}}
        keys.append(stage.key("a"))
        assert len(stage.key("ü" * 300)) <= 255
        assert stage.key("ü") != stage.key("ö")
        assert stage.done("item") == (None if len(keys) == 1 else {"n": 1})
        await stage.checkpoint("item", {"n": 1})
        if len(keys) < 3:
            raise UpstreamLost("not now")
        return None

    toy.hooks["save"] = look
    end = await run_to_end(toy.workflows(), await begin(toy.workflows()))
    assert end.state == "completed"
    assert len(set(keys)) == 1 and len(keys) == 3
    assert end.stage("save").failures == 2


async def test_a_stage_that_fails_is_tried_again(toy: Toy, store: Store) -> None:
    async def fail(stage: StageContext) -> Result:
        await stage.progress(50, "Half")
        if stage.attempt < 3:
            raise UpstreamLost("the shop is away")
        return {}

    toy.hooks["save"] = fail
    end = await run_to_end(toy.workflows(), await begin(toy.workflows()))
    assert end.state == "completed"
    events = await told(store)
    check_order(events)
    assert outline(events) == [*GOOD, "over completed"], "attempts are no news of their own"
    messages = [data.get("message") for kind, data in events if kind == "progress"]
    assert "Attempt 1 failed: the shop is away" in messages
    assert "Attempt 2 failed: the shop is away" in messages


async def test_attempts_have_an_end(toy: Toy, store: Store) -> None:
    async def fail(stage: StageContext) -> Result:
        raise UpstreamLost("the shop is away")

    toy.hooks["save"] = fail
    end = await run_to_end(toy.workflows(), await begin(toy.workflows()))
    assert (end.state, end.error) == ("failed", "the shop is away")
    assert toy.attempts.count("save") == 3
    events = await told(store)
    check_order(events)
    assert outline(events) == [*GOOD[:2], "save started", "save failed", "over failed"]
    kind, last = events[-1]
    assert (kind, last["error"], last["stage"]) == ("failure", "the shop is away", "save")


async def test_what_is_wrong_for_good_is_not_tried_again(toy: Toy, store: Store) -> None:
    async def refuse(stage: StageContext) -> Result:
        raise InvalidRequest("line 3: no quantity")

    toy.hooks["read"] = refuse
    end = await run_to_end(toy.workflows(), await begin(toy.workflows()))
    assert (end.state, end.error) == ("failed", "line 3: no quantity")
    assert toy.attempts == ["read"]


async def test_a_defect_tells_nothing_of_its_inside(
    toy: Toy, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_(stage: StageContext) -> Result:
        raise ZeroDivisionError("secret-sauce")

    toy.hooks["read"] = break_
    end = await run_to_end(toy.workflows(), await begin(toy.workflows()))
    assert end.state == "failed"
    assert "logged" in str(end.error)
    assert "secret-sauce" not in str(await told(store)) + end.text
    assert "secret-sauce" in caplog.text


async def test_a_limit_of_the_work_itself_is_not_the_stages(toy: Toy) -> None:
    async def impatient(stage: StageContext) -> Result:
        raise TimeoutError

    toy.hooks["read"] = impatient
    end = await run_to_end(toy.workflows(), await begin(toy.workflows()))
    assert (end.state, end.error) == ("failed", DEFECT)


async def test_a_stage_that_is_skipped_says_why(toy: Toy, store: Store) -> None:
    async def skip(stage: StageContext) -> Result:
        return Skipped("no shop is set up")

    toy.hooks["ship"] = skip
    end = await run_to_end(toy.workflows(), await begin(toy.workflows()))
    assert (end.state, end.progress) == ("completed", 100)
    events = await told(store)
    check_order(events)
    (message,) = [data["message"] for _, data in events if data.get("status") == "skipped"]
    assert message == "no shop is set up"


async def test_a_stage_has_its_time(toy: Toy, store: Store) -> None:
    async def hang(stage: StageContext) -> Result:
        await asyncio.sleep(WAIT_SECONDS)
        return {}

    toy.hooks["read"] = hang
    workflows = toy.workflows(seconds=0.1, retries=1)
    end = await run_to_end(workflows, await begin(workflows))
    assert (end.state, end.error) == ("failed", "it took longer than 0.1 seconds")
    assert toy.attempts == ["read", "read"]


async def test_a_stage_has_its_time_over_all_invocations(toy: Toy, store: Store) -> None:
    seen: list[int] = []

    async def noted(stage: StageContext) -> Result:
        seen.append(stage.attempt)
        await asyncio.sleep(0.05)
        return {}

    toy.hooks["read"] = noted
    run = await begin(toy.workflows())
    spent = replace(run.stage("read"), status="running", started_at=1, spent_ms=10_000)
    await WorkflowRecords(store).put(run.with_stage(spent), 1)
    assert (await run_to_end(toy.workflows(), run)).state == "completed"
    assert seen == [1, 2], "the first was to end at once"


async def test_a_run_has_its_time(toy: Toy, store: Store) -> None:
    async def hang(stage: StageContext) -> Result:
        await asyncio.sleep(WAIT_SECONDS)
        return {}

    toy.hooks["save"] = hang
    workflows = toy.workflows(run_seconds=0.5)
    end = await run_to_end(workflows, await begin(workflows))
    assert (end.state, end.error) == ("failed", "the whole took too long")
    check_order(await told(store))


async def test_progress_is_told_at_a_pace_and_the_last_always(toy: Toy, store: Store) -> None:
    async def chatter(stage: StageContext) -> Result:
        for n in range(1000):
            await stage.progress(n / 10, f"Step {n}")
        await asyncio.sleep(3 * PACE_SECONDS)
        events = [data for kind, data in await told(store) if kind == "progress"]
        assert events[-1]["message"] == "Step 999", "what was said last is told while it is true"
        await stage.progress(50, "Back")
        return {}

    toy.hooks["save"] = chatter
    end = await run_to_end(toy.workflows(), await begin(toy.workflows()))
    assert end.state == "completed", end.error
    events = await told(store)
    check_order(events)
    saved = [data for kind, data in events if kind == "progress" and data["stage"] == "save"]
    assert len(saved) < 10
    assert (saved[-1]["message"], saved[-1]["stageProgress"]) == ("Back", 99)


async def test_an_invocation_leaves_a_run_to_the_next(toy: Toy, store: Store) -> None:
    """What is done stays done, and time that a stage has had counts."""
    began = asyncio.Event()

    async def slow(stage: StageContext) -> Result:
        await stage.checkpoint(f"turn-{len(toy.attempts)}")
        await stage.progress(10 * len(toy.attempts), "Working")
        began.set()
        if len(toy.attempts) < 4:
            await asyncio.sleep(WAIT_SECONDS)
        return {"turns": [name for name in ("turn-2", "turn-3", "turn-4") if stage.done(name)]}

    toy.hooks["save"] = slow
    workflows = toy.workflows()
    run = await begin(workflows)
    leaving = asyncio.Event()
    turn = asyncio.create_task(workflows.runner.run(run.key, leaving=leaving))
    await asyncio.wait_for(began.wait(), WAIT_SECONDS)
    leaving.set()
    assert await turn == "left"
    left = await workflows.get("42", run.subject)
    assert (left.state, left.outbox) == ("waiting", ()), "what was said last is told, and taken off"
    async with asyncio.timeout(WAIT_SECONDS):
        other = toy.workflows()
        deadline = asyncio.get_running_loop().time() + 2.3
        assert await other.runner.run(run.key, deadline) == "left"
        assert asyncio.get_running_loop().time() < deadline
    left = await workflows.get("42", run.subject)
    assert left.stage("save").spent_ms > 1000
    assert left.stage("save").cuts == 0
    assert left.outbox == ()
    end = await run_to_end(toy.workflows(), run)
    assert end.results["save"] == {"turns": ["turn-2", "turn-3", "turn-4"]}
    assert toy.attempts == ["read", "save", "save", "save", "ship"]
    check_order(await told(store))


async def test_too_little_time_is_not_begun_with(toy: Toy) -> None:
    workflows = toy.workflows()
    run = await begin(workflows)
    deadline = asyncio.get_running_loop().time() + 1
    assert await workflows.runner.run(run.key, deadline) == "later"
    assert toy.attempts == []


async def test_a_long_pause_is_left_to_another_invocation(toy: Toy, store: Store) -> None:
    async def away(stage: StageContext) -> Result:
        if stage.attempt == 1:
            raise UpstreamLost("come back later", retry_after=60)
        return {}

    toy.hooks["save"] = away
    workflows = toy.workflows()
    run = await begin(workflows)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(WAIT_SECONDS):
        assert await workflows.runner.run(run.key, loop.time() + 60) == "later"
        before = await store.records.get(KIND, run.key)
        assert await toy.workflows().runner.run(run.key, loop.time() + 60) == "later"
        assert await store.records.get(KIND, run.key) == before, "nobody has taken it"
    left = await workflows.get("42", run.subject)
    assert left.state == "waiting"
    assert left.again_at is not None
    assert 50 < left.again_at / 1000 - time() <= 60
    assert await toy.workflows(lease_seconds=0.0).abandoned() == [], "it is not to be gone on with"
    assert toy.attempts == ["read", "save"]


async def test_two_runners_of_one_run(toy: Toy, store: Store) -> None:
    run = await begin(toy.workflows())
    async with asyncio.timeout(WAIT_SECONDS):
        outcomes = await asyncio.gather(*(toy.workflows().runner.run(run.key) for _ in range(3)))
    assert "over" in outcomes
    assert toy.attempts == list(NAMES)
    assert outline(await told(store)) == [*GOOD, "over completed"]


async def test_one_runner_twice_in_a_process(toy: Toy) -> None:
    workflows = toy.workflows()
    run = await begin(workflows)
    outcomes = await asyncio.gather(*(workflows.runner.run(run.key) for _ in range(2)))
    assert sorted(outcomes) in (["elsewhere", "over"], ["over", "over"])
    assert toy.attempts == list(NAMES)


async def test_a_late_runner_writes_nothing_more(toy: Toy, store: Store) -> None:
    """Its lease is another's and it does not know; the record's runner is the fence."""
    blocked, free = asyncio.Event(), asyncio.Event()

    async def sleepy(stage: StageContext) -> Result:
        if toy.attempts.count("save") == 1:
            blocked.set()
            await free.wait()
            await stage.checkpoint("late")
        return {}

    toy.hooks["save"] = sleepy
    late, workflows = toy.workflows(), toy.workflows()
    run = await begin(late)
    turn = asyncio.create_task(late.runner.run(run.key))
    await asyncio.wait_for(blocked.wait(), WAIT_SECONDS)
    record = await store.records.get("workflows", run.key)
    assert record is not None
    taken = record.value.replace('"runner":"', '"runner":"x')
    await store.records.put("workflows", run.key, taken, expect=record.version)
    free.set()
    assert await asyncio.wait_for(turn, WAIT_SECONDS) == "elsewhere"
    assert "late" not in (await workflows.get("42", run.subject)).stage("save").checkpoints
    end = await run_to_end(workflows, run)
    assert end.state == "completed"
    assert end.stage("save").cuts == 1
    check_order(await told(store))


async def test_a_dead_processs_run_is_waited_for(toy: Toy, store: Store) -> None:
    run = await begin(toy.workflows())
    assert await store.leases.acquire(f"workflow:{run.key}", "the dead", LEASE_SECONDS)
    assert (await run_to_end(toy.workflows(), run)).state == "completed"


async def test_a_living_processs_run_is_left_to_it(toy: Toy, store: Store) -> None:
    run = await begin(toy.workflows())
    assert await store.leases.acquire(f"workflow:{run.key}", "the living", 60)
    async with asyncio.timeout(WAIT_SECONDS):
        assert await toy.workflows().runner.run(run.key) == "elsewhere"
    assert toy.attempts == []


@pytest.mark.parametrize("taken", [True, False])
async def test_a_lease_that_is_lost(
    toy: Toy, store: Store, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    """To another: then this one stops. To nobody, since the store was away: then it goes on."""
    began, free = asyncio.Event(), asyncio.Event()

    async def slow(stage: StageContext) -> Result:
        began.set()
        await free.wait()
        return {}

    toy.hooks["save"] = slow
    workflows = toy.workflows()
    run = await begin(workflows)
    turn = asyncio.create_task(workflows.runner.run(run.key))
    await asyncio.wait_for(began.wait(), WAIT_SECONDS)
    asked: list[str] = []

    async def lost(*_: object) -> bool:
        asked.append("renew")
        return False

    async def acquire(name: str, holder: str, seconds: float) -> Lease | None:
        asked.append("acquire")
        return None if taken else Lease(name, holder, 99)

    with monkeypatch.context() as patch:
        patch.setattr(type(store.leases), "renew", lost)
        patch.setattr(type(store.leases), "acquire", lambda _, *args: acquire(*args))
        async with asyncio.timeout(WAIT_SECONDS):
            while len(asked) < 4 and not turn.done():
                await asyncio.sleep(0.01)
            free.set()
            assert await turn == ("elsewhere" if taken else "over")
    assert (await workflows.get("42", run.subject)).state == ("running" if taken else "completed")


async def test_a_store_that_stays_away_ends_a_turn(
    toy: Toy, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    async def cut(stage: StageContext) -> Result:
        patch.setattr(type(store.records), "put", away)
        await stage.checkpoint("x")
        return {}

    toy.hooks["save"] = cut
    runner = Runner(
        store, {"toy": toy.workflow()}, lease_seconds=LEASE_SECONDS, patience_seconds=0.2
    )
    run = await begin(toy.workflows())
    with monkeypatch.context() as patch, pytest.raises(StoreUnavailable):
        await asyncio.wait_for(runner.run(run.key), WAIT_SECONDS)
    del toy.hooks["save"]
    end = await run_to_end(toy.workflows(), run)
    assert (end.state, end.stage("save").cuts) == ("completed", 1)
    check_order(await told(store))


async def test_what_ends_every_process_has_an_end_itself(toy: Toy, store: Store) -> None:
    workflows = toy.workflows()
    run = await begin(workflows)
    record = await store.records.get("workflows", run.key)
    assert record is not None
    stage = replace(run.stages[0], status="running", cuts=MAX_CUTS)
    worn = replace(run.with_stage(stage), state="running", runner="the dead")
    await store.records.put("workflows", run.key, worn.text)
    end = await run_to_end(workflows, run)
    assert (end.state, toy.attempts) == ("failed", [])
    assert "interrupted too often" in str(end.error)
    assert outline(await told(store)) == ["read failed", "over failed"]


async def test_it_is_cancelled_wherever_it_is(toy: Toy, store: Store) -> None:
    began = asyncio.Event()

    async def slow(stage: StageContext) -> Result:
        began.set()
        await asyncio.sleep(WAIT_SECONDS)
        return {}

    toy.hooks["save"] = slow
    host, other = toy.workflows(), toy.workflows()
    run = await begin(host)
    turn = asyncio.create_task(host.runner.run(run.key))
    await asyncio.wait_for(began.wait(), WAIT_SECONDS)
    assert (await other.cancel("42", run.subject)).cancelling
    assert await asyncio.wait_for(turn, WAIT_SECONDS) == "over"
    end = await other.get("42", run.subject)
    assert (end.state, end.stage("save").status) == ("cancelled", "failed")
    events = await told(store)
    check_order(events)
    assert outline(events)[-2:] == ["save failed", "over cancelled"]
    assert (await other.cancel("42", run.subject)).state == "cancelled", "once is enough"
    assert await store.records.query(UNFINISHED) == []


async def test_nobodys_run_is_cancelled_at_once(toy: Toy, store: Store) -> None:
    workflows = toy.workflows()
    run = await begin(workflows)
    assert (await workflows.cancel("42", run.subject)).state == "cancelled"
    assert outline(await told(store)) == ["over cancelled"]
    assert await workflows.runner.run(run.key) == "over"
    assert toy.attempts == []


async def test_a_dead_runners_run_is_cancelled_by_the_next(toy: Toy, store: Store) -> None:
    workflows = toy.workflows()
    run = await begin(workflows)
    record = await store.records.get("workflows", run.key)
    assert record is not None
    await store.records.put("workflows", run.key, record.value.replace('"runner":"', '"runner":"x'))
    assert (await workflows.cancel("42", run.subject)).state == "waiting"
    end = await run_to_end(toy.workflows(), run)
    assert end.state == "cancelled"
    assert toy.attempts == []


async def test_what_failed_is_run_again_from_there(toy: Toy, store: Store) -> None:
    async def refuse(stage: StageContext) -> Result:
        await stage.checkpoint("seen")
        await stage.progress(60, "Saving")
        raise InvalidRequest("the shop refuses this")

    toy.hooks["save"] = refuse
    workflows = toy.workflows()
    run = await begin(workflows)
    failed = await run_to_end(workflows, run)
    assert failed.state == "failed"
    before = len(await told(store))

    async def well(stage: StageContext) -> Result:
        assert stage.done("seen"), "what was done stays done"
        return {}

    toy.hooks["save"] = well
    again = await workflows.again("42", run.subject)
    assert (again.state, again.round, again.error) == ("waiting", 2, None)
    assert again.progress == failed.progress, "never backwards"
    assert len(await store.records.query(UNFINISHED)) == 1, "the sweep finds it"
    assert await workflows.runner.run(run.key) == "over"
    end = await workflows.get("42", run.subject)
    assert end.state == "completed"
    assert toy.attempts == ["read", "save", "save", "ship"]
    events = (await told(store))[before:]
    check_order(events)
    assert outline(events) == [*GOOD[2:], "over completed"]
    assert {data["round"] for kind, data in events if kind == "stage"} == {2}
    with pytest.raises(Conflict):
        await workflows.again("42", run.subject)
    with pytest.raises(Conflict):
        await workflows.cancel("42", run.subject)
    assert await store.records.query(UNFINISHED) == []


async def test_an_upload_is_taken_once(toy: Toy, store: Store) -> None:
    workflows = toy.workflows()
    first = await begin(workflows, key="k1")
    assert await begin(toy.workflows(), key="k1") == first
    assert (await begin(workflows, key="k2")).subject != first.subject
    assert (await begin(workflows, merchant="43", key="k1")).subject != first.subject
    with pytest.raises(KeyReused):
        await workflows.begin("toy", "42", Input(b"other", "text/plain"), "k1")
    end = await run_to_end(workflows, first)
    assert await begin(workflows, key="k1") == end
    with pytest.raises(TooLarge):
        await workflows.begin("toy", "42", Input(bytes(MAX_INPUT_BYTES + 1)))


async def test_lists_are_of_one_merchant_and_newest_first(toy: Toy) -> None:
    workflows = toy.workflows()
    made = []
    for merchant in ("4", "42", "4", "4"):
        made.append(await begin(workflows, merchant=merchant))
        await asyncio.sleep(0.002)
    mine = await workflows.of_merchant("4")
    assert [run.subject for run in mine] == [made[n].subject for n in (3, 2, 0)]
    assert await workflows.of_merchant("4", after=made[3].subject, limit=1) == [made[2]]
    with pytest.raises(NotFound):
        await workflows.get("42", made[0].subject)


async def test_work_that_will_not_end_is_left_behind(
    toy: Toy, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cancelled and goes on all the same; what it says then is not heard."""
    free, began = asyncio.Event(), asyncio.Event()

    async def stubborn(stage: StageContext) -> Result:
        began.set()
        while not free.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await free.wait()
        await stage.checkpoint("late")
        return {}

    toy.hooks["read"] = stubborn
    monkeypatch.setattr(turn_module, "GRACE_SECONDS", 0.1)
    workflows = toy.workflows()
    run = await begin(workflows)
    turn = asyncio.create_task(workflows.runner.run(run.key))
    await asyncio.wait_for(began.wait(), WAIT_SECONDS)
    await workflows.cancel("42", run.subject)
    assert await asyncio.wait_for(turn, WAIT_SECONDS) == "over"
    free.set()
    await asyncio.sleep(0.05)
    end = await workflows.get("42", run.subject)
    assert (end.state, dict(end.stage("read").checkpoints)) == ("cancelled", {})


async def nothing(stage: StageContext) -> Result:
    return None


@pytest.mark.parametrize(
    "stages", [(), (Stage("a", nothing), Stage("a", nothing))], ids=["none", "twice"]
)
def test_a_workflow_has_stages_of_their_own_names(stages: tuple[Stage, ...]) -> None:
    with pytest.raises(InvalidRequest):
        Workflow("w", stages)
    with pytest.raises(InvalidRequest):
        Stage("a", nothing, weight=0)
