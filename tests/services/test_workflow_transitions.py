"""Transitions of a run, in any order: none is made twice, and nothing ever goes back."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lastevent.core.errors import Conflict
from lastevent.services.workflow import transitions as do
from lastevent.services.workflow.records import addressed
from lastevent.services.workflow.stage import StageContext
from lastevent.services.workflow.transitions import Step, Transition
from lastevent.services.workflow.values import Result, Run, Stage, Workflow

NAMES = ("a", "b", "c")
NOW = 1_700_000_000_000


async def _nothing(stage: StageContext) -> Result:
    return None


WORKFLOW = Workflow(
    "w", tuple(Stage(name, _nothing, weight=n + 0.3) for n, name in enumerate(NAMES))
)


def _on_current(make: Callable[[str], Transition]) -> Transition:
    """Return the transition of the stage at which a run stands, as a runner makes them."""

    def transition(run: Run) -> Step:
        return Step(run) if run.current is None else make(run.current.name)(run)

    return transition


TRANSITIONS: dict[str, Callable[[int], Transition]] = {
    "taken": lambda n: lambda run: do.taken(run, f"runner {n % 3}", NOW),
    "left": lambda n: lambda run: do.left(run, n),
    "started": lambda n: _on_current(lambda name: lambda run: do.started(run, name, NOW)),
    "advanced": lambda n: _on_current(
        lambda name: lambda run: do.advanced(run, name, n, f"{n}", NOW)
    ),
    "completed": lambda n: _on_current(
        lambda name: lambda run: do.completed(run, name, {"n": n}, NOW)
    ),
    "skipped": lambda n: _on_current(lambda name: lambda run: do.skipped(run, name, "why", NOW)),
    "delayed": lambda n: _on_current(
        lambda name: lambda run: do.delayed(run, name, run.stage(name).failures + 1, "no", NOW, NOW)
    ),
    "failed": lambda n: _on_current(lambda name: lambda run: do.failed(run, name, "no", NOW)),
    "cancelled": lambda n: lambda run: do.cancelled(run, NOW),
    "again": lambda n: lambda run: do.again(run, 60, NOW),
}

steps = st.lists(st.tuples(st.sampled_from(sorted(TRANSITIONS)), st.integers(-5, 105)), max_size=40)


def begun() -> Run:
    return Run.new(WORKFLOW, "42", "po_1", "wf_1", "", NOW)


def walk(chosen: list[tuple[str, int]]) -> tuple[Run, list[tuple[str, dict[str, Any]]]]:
    """Return where a run is after these transitions, and what was told of them."""
    run, told = begun(), []
    for name, n in chosen:
        try:
            step = TRANSITIONS[name](n)(run)
        except Conflict:
            continue
        told += [(event.type, json.loads(event.data)) for event in step.events]
        run = step.run
    return run, told


@given(steps)
def test_nothing_goes_back_and_each_end_is_told_once(chosen: list[tuple[str, int]]) -> None:
    run, told = walk(chosen)
    progress = [data["progress"] for _, data in told if "progress" in data]
    assert progress == sorted(progress)
    for name in NAMES:
        of_stage = [data for _, data in told if data["stage"] == name]
        parts = [data["stageProgress"] for data in of_stage if "stageProgress" in data]
        assert parts == sorted(parts)
    ends = [data["status"] for _, data in told if data.get("over")]
    assert len(ends) == run.round - 1 + run.is_over
    if run.is_over:
        assert ends[-1] == run.state
        assert told[-1][1]["over"]
    assert all(data["time"] == NOW for _, data in told)
    rounds = [data["round"] for _, data in told]
    assert rounds == sorted(rounds)
    done = all(stage.is_done for stage in run.stages)
    assert done == (run.progress == 100) == (run.state == "completed")


@given(steps)
def test_of_each_stage_is_told_its_beginning_and_one_end(chosen: list[tuple[str, int]]) -> None:
    _, told = walk([(name, n) for name, n in chosen if name != "again"])
    for name in NAMES:
        statuses = [
            data["status"] for kind, data in told if kind == "stage" if data["stage"] == name
        ]
        assert len(set(statuses)) == len(statuses)
        assert "started" not in statuses[1:]


@given(steps, st.sampled_from(sorted(set(TRANSITIONS) - {"again", "delayed"})), st.integers(0, 100))
def test_a_transition_that_was_made_changes_and_tells_nothing(
    chosen: list[tuple[str, int]], name: str, n: int
) -> None:
    run, _ = walk(chosen)
    stage = run.current.name if run.current else NAMES[-1]
    made: Transition = {
        "taken": lambda run: do.taken(run, "me", NOW),
        "left": lambda run: do.left(run, n),
        "started": lambda run: do.started(run, stage, NOW),
        "advanced": lambda run: do.advanced(run, stage, n, "x", NOW),
        "completed": lambda run: do.completed(run, stage, {}, NOW),
        "skipped": lambda run: do.skipped(run, stage, "why", NOW),
        "failed": lambda run: do.failed(run, stage, "no", NOW),
        "cancelled": lambda run: do.cancelled(run, NOW),
    }[name]
    once = made(run)
    twice = made(once.run)
    assert twice == Step(once.run)


def test_a_failed_attempt_is_counted_once() -> None:
    run = do.started(begun(), "a", NOW).run
    once = do.delayed(run, "a", 1, "no", NOW + 5, NOW)
    assert (once.run.stage("a").failures, once.run.again_at) == (1, NOW + 5)
    assert do.delayed(once.run, "a", 1, "no", NOW + 9, NOW) == Step(once.run)


@given(steps)
def test_a_record_is_read_as_it_was_written(chosen: list[tuple[str, int]]) -> None:
    run, _ = walk(chosen)
    run = do.checkpointed(run, "a", "k", {"ü": [1]}).run
    run = addressed(do.advanced(replace(run, state="running"), "a", 1, "x", NOW), "key")
    assert Run.parse(run.text) == run


def test_time_that_a_stage_has_had_counts() -> None:
    run = do.started(do.taken(begun(), "one", NOW).run, "a", NOW).run
    run = do.left(run, 5).run
    run = do.left(do.taken(run, "two", NOW).run, 7).run
    assert (run.stage("a").spent_ms, run.stage("a").cuts) == (12, 0)
    run = do.taken(do.taken(run, "three", NOW).run, "four", NOW).run
    assert (run.stage("a").spent_ms, run.stage("a").cuts) == (0, 1), "nobody knows how long"


def test_time_between_attempts_is_none_that_a_stage_has_had() -> None:
    run = do.started(do.taken(begun(), "one", NOW).run, "a", NOW).run
    run = do.left(do.delayed(run, "a", 1, "no", NOW + 5, NOW).run, 5).run
    assert (run.stage("a").spent_ms, run.again_at) == (0, NOW + 5)
    run = do.started(do.taken(run, "two", NOW).run, "a", NOW).run
    assert run.again_at is None, "the attempt that was waited for has begun"


def test_what_is_run_again_has_all_its_attempts() -> None:
    run = do.started(do.taken(begun(), "one", NOW).run, "a", NOW).run
    run = do.delayed(do.taken(run, "two", NOW).run, "a", 1, "no", NOW, NOW).run
    run = do.failed(do.left(run, 5).run, "a", "no", NOW).run
    stage = do.again(run, 60.0, NOW).run.stage("a")
    assert (stage.failures, stage.cuts, stage.spent_ms, stage.status) == (0, 0, 0, "pending")


def test_the_whole_is_not_done_before_its_last_stage_is() -> None:
    run = do.taken(begun(), "one", NOW).run
    for name in NAMES[:-1]:
        run = do.completed(do.started(run, name, NOW).run, name, {}, NOW).run
    run = do.advanced(
        do.started(run, NAMES[-1], NOW).run, NAMES[-1], 100, "all but the end", NOW
    ).run
    assert run.progress == 99
    assert do.completed(run, NAMES[-1], {}, NOW).run.progress == 100


def test_who_is_cancelled_waits_for_nothing_more() -> None:
    run = do.cancelling(do.taken(begun(), "one", NOW).run, NOW).run
    assert (run.state, run.cancelling) == ("running", True)
    run = do.cancelled(run, NOW).run
    assert (run.state, run.cancelling, run.ended_at) == ("cancelled", False, NOW)
