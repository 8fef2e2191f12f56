"""Purchase orders as the tests have them: a run's context, and the examples."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lastevent.services.purchase_orders.work import Result
from lastevent.services.workflow.values import Input, Workflow
from tests.project.tree import ROOT

EXAMPLES = ROOT / "examples" / "orders"
GOOD = sorted((EXAMPLES / "good").iterdir())
BAD = sorted((EXAMPLES / "bad").iterdir())

SMALL = b"""sku,name,qty,price,currency
MUG-01,Blue mug,12,4.50,EUR
PLT-02,Red plate,3,7.90,EUR
MUG-01,Blue mug,8,4.50,EUR
"""
"""Three lines of two products."""


@dataclass
class Context:
    """What a stage gets of its run; ``told`` is the progress that it has made."""

    content: bytes
    content_type: str = ""
    merchant: str = "m1"
    subject: str = "po_1"
    told: list[tuple[float, str | None]] = field(default_factory=list)

    async def input(self) -> Input:
        """Return the upload."""
        return Input(self.content, self.content_type)

    async def progress(self, percent: float, message: str | None = None) -> None:
        """Remember what is told."""
        self.told.append((percent, message))


async def run(
    workflow: Workflow, context: Context, names: Sequence[str] | None = None
) -> dict[str, Result]:
    """Run these stages, or all, one after the other; return what they return, by name."""
    done: dict[str, Result] = {}
    for stage in workflow.stages:
        if names is None or stage.name in names:
            work: Any = stage.work  # takes the workflow's own context, of which this is a part
            done[stage.name] = await work(context)
    return done


def example(name: str) -> bytes:
    """Return an example by its name."""
    (path,) = EXAMPLES.glob(f"*/{name}")
    return Path(path).read_bytes()
