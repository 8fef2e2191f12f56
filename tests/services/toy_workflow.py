"""A workflow of three stages, whose effects can be counted: records that may be made once."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from lastevent.core.errors import Conflict
from lastevent.services.workflow.stage import StageContext
from lastevent.services.workflow.values import Input, Result, Run, Stage, Workflow
from lastevent.services.workflow.workflows import Workflows
from lastevent.stores.base import Store

NAMES = ("read", "save", "ship")
EFFECTS = "toy-effects"
ITEMS = 3
LEASE_SECONDS = 1.0
WAIT_SECONDS = 20.0

Hook = Callable[[StageContext], Awaitable[Result]]


@dataclass
class Toy:
    """The workflow, what happened in it, and ``hooks`` that stand in for a stage's own work."""

    store: Store
    name: str = "toy"
    hooks: dict[str, Hook] = field(default_factory=dict)
    attempts: list[str] = field(default_factory=list)

    def workflow(self, run_seconds: float = 60.0, **options: Any) -> Workflow:
        quick = {"backoff_seconds": 0.01, "retries": 2, "seconds": 10.0}
        stages = [Stage(name, self.work, **quick | options) for name in NAMES]
        stages[1] = replace(stages[1], weight=2.0)
        return Workflow(self.name, tuple(stages), run_seconds, prefix="toy")

    def workflows(
        self, store: Store | None = None, lease_seconds: float = LEASE_SECONDS, **options: Any
    ) -> Workflows:
        """Return a server's workflows."""
        return Workflows(
            store or self.store, {self.name: self.workflow(**options)}, lease_seconds=lease_seconds
        )

    async def work(self, stage: StageContext) -> Result:
        self.attempts.append(stage.name)
        if stage.name in self.hooks:
            return await self.hooks[stage.name](stage)
        return await self.effects(stage)

    async def effects(self, stage: StageContext) -> Result:
        """Make each item's effect, which would conflict with itself if it were made twice."""
        for n in range(ITEMS):
            if stage.done(f"item-{n}") is None:
                with suppress(Conflict):  # it was made, and its process died before it said so
                    await self.store.records.put(EFFECTS, stage.key(f"item-{n}"), "1", expect=0)
                await stage.checkpoint(f"item-{n}")
            await stage.progress(100 * (n + 1) / ITEMS, f"Item {n + 1}")
        return {f"{stage.name}Items": ITEMS}


async def begin(workflows: Workflows, merchant: str = "42", key: str | None = None) -> Run:
    return await workflows.begin("toy", merchant, Input(b"hello", "text/plain"), key)


async def told(store: Store, merchant: str = "42") -> list[tuple[str, dict[str, Any]]]:
    """Return the type and data of all that a merchant was told."""
    page = await store.log.read(f"merchant:{merchant}", None, 1000)
    return [(event.type, json.loads(event.data)) for event in page.events]


def outline(events: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """Return what happened, without progress: ``stage read started``, ``over completed``…"""
    lines = []
    for kind, data in events:
        if kind == "stage":
            lines.append(f"{data['stage']} {data['status']}")
        elif data.get("over"):
            lines.append(f"over {data['status']}")
    return lines


def check_order(events: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Assert what every viewer of one run relies on."""
    progress = [data["progress"] for kind, data in events if "progress" in data]
    assert progress == sorted(progress), "the whole went backwards"
    for name in NAMES:
        of_stage = [data for _, data in events if data["stage"] == name and not data.get("over")]
        steps = [data["stageProgress"] for data in of_stage if "stageProgress" in data]
        assert steps == sorted(steps), f"{name} went backwards"
        statuses = [
            data["status"] for kind, data in events if kind == "stage" if data["stage"] == name
        ]
        assert statuses in (
            [],
            ["started"],
            ["started", "completed"],
            ["started", "skipped"],
            ["started", "failed"],
        ), f"{name}: {statuses}"
    ends = [n for n, (_, data) in enumerate(events) if data.get("over")]
    assert ends in ([], [len(events) - 1]), "something follows the end"


async def run_to_end(workflows: Workflows, run: Run) -> Run:
    async with asyncio.timeout(WAIT_SECONDS):
        assert await workflows.runner.run(run.key) == "over"
    return await workflows.get(run.merchant, run.subject)
