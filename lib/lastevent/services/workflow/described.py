"""A run as who follows it is told of it: docs/workflow.md has the form."""

from lastevent.services.workflow.values import Run, StageState


def described(run: Run) -> dict[str, object]:
    """Return it as JSON has it; times are Unix ms."""
    results: dict[str, object] = {}
    for found in run.results.values():
        results |= found
    return {
        "id": run.subject,
        "workflowId": run.id,
        "name": run.name,
        "state": run.state,
        "cancelling": run.cancelling,
        "progress": run.progress,
        "stage": run.current.name if run.current else None,
        "round": run.round,
        "error": run.error,
        "createdAt": run.created_at,
        "startedAt": run.started_at,
        "endedAt": run.ended_at,
        "againAt": run.again_at,
        "results": results,
        "stages": [_stage(stage) for stage in run.stages],
    }


def _stage(stage: StageState) -> dict[str, object]:
    return {
        "name": stage.name,
        "status": stage.status,
        "progress": stage.progress,
        "message": stage.message,
        "error": stage.error,
        "attempt": stage.failures + 1,
        "startedAt": stage.started_at,
        "endedAt": stage.ended_at,
        "result": stage.result,
    }
