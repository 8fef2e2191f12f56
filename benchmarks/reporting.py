"""All functions, metered; and work in this server's process that reports marks to a merchant.

POST /api/report/publish?events=&rate=          by publish_progress
POST /api/report/run?orders=&steps=&rate=       by stage.progress: so many runs at once
"""

import asyncio
import json
import random
from collections.abc import Mapping
from time import monotonic_ns
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks import metered
from benchmarks.upstreams import paced
from functions import app as functions
from lastevent.serve.app import App, Functions, endpoint
from lastevent.serve.invocation import Invocation, invocation_of
from lastevent.serve.service import Service
from lastevent.serve.tasks import Task, spawn
from lastevent.services.merchant_events import publish_progress
from lastevent.services.workflow.stage import StageContext
from lastevent.services.workflow.values import Input, Stage, Workflow
from lastevent.services.workflow.workflows import Workflows

PATH = "/api/report"
QUIET_SECONDS = 1.0
"""Between the beginning, which does what is done once, and the first mark."""

_LOOK_SECONDS = 0.005
_LOOKS = 4000


def mark(number: int) -> str:
    """Return a mark of this moment."""
    return f"~{number}:{monotonic_ns()}~"


async def _publish(service: Service, invocation: Invocation, task: Mapping[str, Any]) -> None:
    """Publish marks at an even pace."""
    named = {"po_id": "po_0", "workflow_id": "wf_0", "stage": "reporting"}
    store, merchant = service.store, task["merchant"]
    await publish_progress(store, merchant, **named, progress=0)
    await asyncio.sleep(QUIET_SECONDS)
    async for number in paced(int(task["events"]), float(task["rate"])):
        await publish_progress(store, merchant, **named, progress=50, message=mark(number))


async def _report(stage: StageContext) -> None:
    """Say marks, each when the one before is written, so that none is left out for a newer one."""
    task = json.loads((await stage.input()).content)
    first, every, steps, pause = (task[name] for name in ("first", "every", "steps", "pause"))
    await stage.progress(0, "begun")
    # Runs that are begun together do not report in step for ever.
    await asyncio.sleep(QUIET_SECONDS + random.uniform(0, pause))
    for step in range(steps):
        said = mark(first + every * step)
        await stage.progress(100 * step / steps, said)
        await _written(stage, said)
        await asyncio.sleep(pause)


async def _written(stage: StageContext, said: str) -> None:
    for _ in range(_LOOKS):
        if stage.run.stage(stage.name).message == said:
            return
        await asyncio.sleep(_LOOK_SECONDS)
    raise RuntimeError("progress was not written")


def _runs(service: Service) -> Workflows:
    known = Workflow("report", (Stage("reporting", _report),))
    lease_seconds = service.settings.lease_seconds
    return Workflows(service.store, {known.name: known}, lease_seconds=lease_seconds)


async def _run(service: Service, invocation: Invocation, task: Mapping[str, Any]) -> None:
    await service.part(_runs).runner.run(task["run"], invocation.deadline, service.stopping)


async def _start_publishing(service: Service, request: Request) -> Response:
    merchant = (await service.auth.identify(request)).merchant
    task = Task("report-publish", {**request.query_params, "merchant": merchant})
    await spawn(service, invocation_of(request.scope), task)
    return Response(status_code=204)


async def _start_runs(service: Service, request: Request) -> Response:
    merchant = (await service.auth.identify(request)).merchant
    assert merchant is not None
    query = request.query_params
    orders = int(query["orders"])
    same = {"every": orders, "steps": int(query["steps"]), "pause": 1 / float(query["rate"])}
    begun = [
        await service.part(_runs).begin(
            "report", merchant, Input(json.dumps({"first": number, **same}).encode())
        )
        for number in range(orders)
    ]
    for run in begun:
        await spawn(service, invocation_of(request.scope), Task("report-run", {"run": run.key}))
    return Response(status_code=204)


routes = [
    Route(f"{PATH}/publish", endpoint(_start_publishing), methods=["POST"]),
    Route(f"{PATH}/run", endpoint(_start_runs), methods=["POST"]),
]

app = App(
    Functions({**functions.FUNCTIONS, PATH: __name__, metered.PATH: metered.__name__}),
    tasks={
        **functions.TASKS,
        "report-publish": f"{__name__}:_publish",
        "report-run": f"{__name__}:_run",
    },
)
