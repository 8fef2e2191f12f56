"""How a run changes, and what its merchant is told of each change. No IO.

A transition that was made already changes nothing and tells nothing: whoever writes a record may
find that its first try was carried out although nobody heard of it.

Of each stage is told, in each round: that it was started, its progress, and one end. Of each run is
told one end too: the event that says ``"over": true``, after which nothing follows until it is run
again. An attempt that is followed by another is progress. Each event says when, and in which round.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lastevent.core.errors import Conflict, TooLarge
from lastevent.core.event import NewEvent
from lastevent.services.merchant_events import (
    completion_event,
    failure_event,
    progress_event,
    stage_event,
)
from lastevent.services.workflow.values import (
    LONGEST_MESSAGE,
    MAX_KEPT_BYTES,
    Run,
    StageState,
)

MAX_CUTS = 50
"""A stage in whose middle so many processes died is taken to be what kills them."""

CANCELLED = "It was cancelled."
CUT_TOO_OFTEN = "It was interrupted too often: its work seems to end the process that does it."


@dataclass(frozen=True, slots=True)
class Step:
    """A run after a transition, and the events that tell of it."""

    run: Run
    events: tuple[NewEvent, ...] = ()

    def then(self, transition: "Transition") -> "Step":
        """Return this step and the next as one."""
        after = transition(self.run)
        return Step(after.run, self.events + after.events)


type Transition = Callable[[Run], Step]


def taken(run: Run, runner: str, now_ms: int) -> Step:
    """Have a runner go on with it, which holds its lease."""
    if run.is_over or run.runner == runner:
        return Step(run)
    stage = run.current
    if run.runner and stage is not None and stage.status == "running":
        # Who had it did not leave it: its process is gone.
        run = run.with_stage(replace(stage, cuts=stage.cuts + 1, spent_ms=0))
        if stage.cuts + 1 > MAX_CUTS:
            return failed(run, stage.name, CUT_TOO_OFTEN, now_ms)
    started_at = run.started_at or now_ms
    return Step(replace(run, state="running", runner=runner, started_at=started_at))


def left(run: Run, spent_ms: int) -> Step:
    """Have its runner leave it to the next, ``spent_ms`` after it began with the present stage."""
    if run.is_over or not run.runner:
        return Step(run)
    stage = run.current
    if stage is not None and stage.status == "running" and run.again_at is None:
        run = run.with_stage(replace(stage, spent_ms=stage.spent_ms + spent_ms))
    return Step(replace(run, state="waiting", runner=""))


def started(run: Run, name: str, now_ms: int) -> Step:
    """Begin a stage; one that was begun goes on."""
    stage = run.stage(name)
    if run.is_over or stage.is_done:
        return Step(run)
    run = replace(run, again_at=None)
    if stage.status == "running":
        return Step(run)
    stage = replace(stage, status="running", started_at=now_ms, ended_at=None, error=None)
    run = run.with_stage(stage)
    return Step(run, (stage_event(**_named(run, stage), **_state(run, stage, now_ms)),))


def advanced(run: Run, name: str, percent: int, message: str | None, now_ms: int) -> Step:
    """Tell of a stage's progress, unless there is none."""
    stage = run.stage(name)
    percent = max(stage.progress, min(max(percent, 0), 100))
    message = stage.message if message is None else _short(message)
    if stage.status != "running" or (percent, message) == (stage.progress, stage.message):
        return Step(run)
    stage = replace(stage, progress=percent, message=message)
    run = run.with_stage(stage)
    return Step(run, (_progress(run, stage, now_ms),))


def checkpointed(run: Run, name: str, key: str, value: Any) -> Step:
    """Note how far a stage has come, for who does it again from there. Raises TooLarge."""
    stage = run.stage(name)
    checkpoints = {**stage.checkpoints, key: value}
    return Step(_small(run.with_stage(replace(stage, checkpoints=checkpoints))))


def completed(run: Run, name: str, result: Mapping[str, Any], now_ms: int) -> Step:
    """End a stage well, and the run if it was the last. Raises TooLarge."""
    stage = run.stage(name)
    if run.is_over or stage.is_done:
        return Step(run)
    stage = _ended(stage, now_ms, status="completed", progress=100, result=result)
    run = _small(run.with_stage(stage))
    said = (
        stage_event(**_named(run, stage), **_state(run, stage, now_ms)),
        completion_event(**_named(run, stage), results={**result, **_when(run, now_ms)}),
    )
    return Step(run, said).then(lambda run: _finished(run, stage, now_ms))


def skipped(run: Run, name: str, reason: str, now_ms: int) -> Step:
    """End a stage that had nothing to do, and the run if it was the last."""
    stage = run.stage(name)
    if run.is_over or stage.is_done:
        return Step(run)
    stage = _ended(stage, now_ms, status="skipped", message=_short(reason))
    run = run.with_stage(stage)
    said = (stage_event(**_named(run, stage), **_state(run, stage, now_ms)),)
    return Step(run, said).then(lambda run: _finished(run, stage, now_ms))


def delayed(run: Run, name: str, failures: int, message: str, again_at: int, now_ms: int) -> Step:
    """Put a stage off whose attempt failed, the one of this number, to ``again_at``."""
    stage = run.stage(name)
    if run.is_over or stage.failures >= failures:
        return Step(run)
    stage = replace(stage, failures=failures, spent_ms=0, message=_short(message))
    run = replace(run.with_stage(stage), again_at=again_at)
    return Step(run, (_progress(run, stage, now_ms),))


def failed(run: Run, name: str, error: str, now_ms: int) -> Step:
    """End a run by what failed in a stage, or before it."""
    if run.is_over:
        return Step(run)
    stage, error = run.stage(name), _short(error)
    said: tuple[NewEvent, ...] = ()
    if stage.status == "running":
        stage = _ended(stage, now_ms, status="failed", error=error)
        run = run.with_stage(stage)
        told = _state(run, stage, now_ms) | {"message": error}
        said = (stage_event(**_named(run, stage), **told),)
    run = _over(replace(run, state="failed", error=error), now_ms)
    return Step(run, (*said, _failure(run, stage, error, now_ms)))


def cancelled(run: Run, now_ms: int) -> Step:
    """End a run because somebody wants that."""
    step = failed(run, _next(run).name, CANCELLED, now_ms)
    if step.run is run:
        return step
    state = replace(step.run, state="cancelled")
    failure = _failure(state, _next(state), CANCELLED, now_ms)
    return Step(state, (*step.events[:-1], failure))


def cancelling(run: Run, now_ms: int) -> Step:
    """Have a run end: at once if nobody has it, else by its runner. Raises Conflict if it ended."""
    if run.state == "cancelled":
        return Step(run)
    if run.is_over:
        raise Conflict(f"it has {run.state} already")
    return cancelled(run, now_ms) if not run.runner else Step(replace(run, cancelling=True))


def again(run: Run, seconds: float, now_ms: int) -> Step:
    """Have a run that ended badly go on from the stage at which it did, within ``seconds``.

    What its stages have done stays done. Raises Conflict unless it failed or was cancelled.
    """
    if run.state not in ("failed", "cancelled"):
        raise Conflict(f"only what failed or was cancelled is run again: it is {run.state}")
    stage = _next(run)
    fresh = replace(
        stage, status="pending", failures=0, cuts=0, spent_ms=0, error=None, message=None
    )
    return Step(
        replace(
            run.with_stage(fresh),
            state="waiting",
            runner="",
            cancelling=False,
            round=run.round + 1,
            again_at=None,
            ended_at=None,
            ends_at=now_ms + int(seconds * 1000),
            error=None,
        )
    )


def _finished(run: Run, last: StageState, now_ms: int) -> Step:
    if run.current is not None:
        return Step(run)
    run = _over(replace(run, state="completed"), now_ms)
    results: dict[str, object] = {}
    for found in run.results.values():
        results |= found
    told = results | _over_told(run, now_ms)
    return Step(run, (completion_event(**_named(run, last), results=told),))


def _over(run: Run, now_ms: int) -> Run:
    # Who ended it stays in it, so that it knows its own last write again.
    return replace(run, cancelling=False, again_at=None, ended_at=now_ms)


def _small(run: Run) -> Run:
    """Return it; raise TooLarge if its stages keep more than there is room for."""
    if run.kept_bytes > MAX_KEPT_BYTES:
        raise TooLarge(
            f"results and checkpoints of a run have at most {MAX_KEPT_BYTES // 1024} KB together: "
            "keep them small"
        )
    return run


def _short(text: str) -> str:
    """Return what is said of a stage as it can be written: no half characters, and not for ever."""
    text = text.encode(errors="replace").decode()
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 1]}…"


def _ended(stage: StageState, now_ms: int, **changes: Any) -> StageState:
    return replace(stage, ended_at=now_ms, spent_ms=0, **changes)


def _next(run: Run) -> StageState:
    """Return the stage at which a run stands that has not completed."""
    return run.current or run.stages[-1]


def _failure(run: Run, stage: StageState, error: str, now_ms: int) -> NewEvent:
    return failure_event(**_named(run, stage), error=error, **_over_told(run, now_ms))


def _over_told(run: Run, now_ms: int) -> dict[str, Any]:
    told = {"status": run.state, "progress": run.progress, "over": True}
    return told | _when(run, now_ms)


def _progress(run: Run, stage: StageState, now_ms: int) -> NewEvent:
    return progress_event(**_named(run, stage), **_state(run, stage, now_ms))


def _named(run: Run, stage: StageState) -> dict[str, Any]:
    return {"po_id": run.subject, "workflow_id": run.id, "stage": stage.name}


def _when(run: Run, now_ms: int) -> dict[str, Any]:
    """What places an event among others of its run, whoever reads it late, or again."""
    return {"round": run.round, "time": now_ms}


def _state(run: Run, stage: StageState, now_ms: int) -> dict[str, Any]:
    """What both kinds of progress are, and what is shown beside them."""
    return {
        "progress": run.progress,
        "stageProgress": stage.progress,
        "message": stage.message,
        "status": "started" if stage.status == "running" else stage.status,
        **_when(run, now_ms),
    }
