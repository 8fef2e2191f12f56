"""Measure messaging and workflows: python benchmarks/updates.py [--quick] [--store STORE]

From the saying of something to one server to its sight at another, on each store with a push,
beside the control: bare events that are published to a stream, on the same servers and store. Then
what messages and purchase orders ask of the store. What takes too long is named; anything lost,
repeated or out of order is reported, and makes the command fail.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import monotonic

import uvloop

from benchmarks import update_cases, update_costs
from benchmarks.report import lined_up, machine, share
from benchmarks.source_cases import Delays
from benchmarks.store_report import cell
from benchmarks.subjects import MEMORY, Subject
from benchmarks.update_cases import QUICK, Scale
from benchmarks.update_rig import SUBJECTS, Pair, pair
from benchmarks.usage import Usage

TARGET_MS = 100.0
"""What the 99th percentile of an update is to stay under."""

SUBJECT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Row:
    """What is timed, by its key, and the key of what it stands beside. ``update``: whether it is
    the way of something to a viewer, of which there is a target."""

    key: str
    label: str
    beside: str = ""
    update: bool = True


ROWS = (
    Row("plain", "a bare event, 1 viewer"),
    Row("plain_answer", "its publisher's answer", update=False),
    Row("message", "a message, 1 viewer", "plain"),
    Row("message_answer", "its sender's answer", "plain_answer", update=False),
    Row("plain_crowd", "a bare event, {viewers} viewers"),
    Row("message_crowd", "a message, {viewers} viewers", "plain_crowd"),
    Row("published", "publish_progress", "plain"),
    Row("reported", "stage.progress, 1 order", "plain"),
    Row("reported_many", "stage.progress, {orders} orders", "plain"),
)

COUNTED = {
    "sent": "a message, sent and told to both",
    "read": "the same, marked as delivered and as read",
    "order": "a purchase order, from its upload to its end",
}


@dataclass(slots=True)
class Measured:
    """What was measured on one store: delays by row, and counts as store_report has them; ``order``
    is how long a purchase order took, in milliseconds, None where none was counted."""

    delays: dict[str, Delays] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    order: float | None = None

    @property
    def wrong(self) -> list[str]:
        """The rows of which something was lost, repeated or out of order."""
        return [
            f"{key}: {delays.verdict}"
            for key, delays in self.delays.items()
            if not delays.verdict.is_right
        ]


async def measure(subject: Subject, scale: Scale) -> Measured:
    """Measure everything on one store; each case is told when it is done."""
    found, began = Measured(), monotonic()

    def done(case: str, **delays: Delays) -> None:
        nonlocal began
        found.delays |= delays
        worst = max((share(it.values, 0.99) for it in delays.values() if it.values), default=0.0)
        told = f"{subject.name:<20} {case:<24} {monotonic() - began:5.1f} s"
        print(told + (f"  p99 {worst:6.1f} ms" if worst else ""), file=sys.stderr)
        began = monotonic()

    async with asyncio.timeout(SUBJECT_SECONDS), pair(subject) as where:
        for viewers, key in ((1, ""), (scale.viewers, "_crowd")):
            for name, case in (("plain", update_cases.plain), ("message", update_cases.messages)):
                seen, answered = await case(where, scale, viewers)
                more = {} if key else {f"{name}_answer": answered}
                done(f"{name} to {viewers}", **{f"{name}{key}": seen}, **more)
        done("publish_progress", published=await update_cases.published(where, scale))
        done("one order", reported=await update_cases.reported(where, scale, 1))
        many = await update_cases.reported(where, scale, scale.orders)
        done(f"{scale.orders} orders", reported_many=many)
        await count(where, scale, found)
        done("counts")
    return found


async def count(where: Pair, scale: Scale, found: Measured) -> None:
    """Time orders, and count what they and messages ask of the store, if it bills anything."""
    order, took = await update_costs.order_costs(where, scale)
    found.order = median(took)
    if await where.usage() != Usage():
        sent, read = await update_costs.message_costs(where, scale)
        for key, usage in (("sent", sent), ("read", read), ("order", order)):
            found.counts |= usage.figures(key)


def latency_table(measured: Mapping[str, Measured], scale: Scale) -> str:
    """Return p50 and p99 by store, with their ratio to those of what they stand beside."""
    lines = [["ms", *(_head(store) for store in measured)]]
    for row in ROWS:
        label = row.label.format(viewers=scale.viewers, orders=scale.orders)
        for name, part in (("p50", 0.5), ("p99", 0.99)):
            cells = [f"{label}, {name}"]
            for found in measured.values():
                value = _share(found, row.key, part)
                beside = _share(found, row.beside, part)
                ratio = f" (×{value / beside:.2f})" if value and beside else ""
                cells.append("" if value is None else f"{value:,.1f}{ratio}")
            lines.append(cells)
    orders = [found.order for found in measured.values()]
    took = ["" if order is None else f"{order:,.0f}" for order in orders]
    lines.append(["a purchase order, from its upload to its end, median", *took])
    return lined_up(lines)


def count_table(measured: Mapping[str, Measured]) -> str:
    """Return what is asked of the stores that bill something."""
    billed = {store: found.counts for store, found in measured.items() if found.counts}
    lines = [["", *billed]]
    lines += [
        [label, *(cell(own, key) for own in billed.values())] for key, label in COUNTED.items()
    ]
    return lined_up(lines)


def late(measured: Mapping[str, Measured], scale: Scale) -> list[str]:
    """Return what was to be under TARGET_MS and was not, a sentence each."""
    found = []
    for store, own in measured.items():
        for row in ROWS:
            value = _share(own, row.key, 0.99)
            if row.update and value is not None and value >= TARGET_MS:
                label = row.label.format(viewers=scale.viewers, orders=scale.orders)
                found.append(f"{store}, {label}: {value:.1f} ms")
    return found


def _share(found: Measured, key: str, part: float) -> float | None:
    delays = found.delays.get(key)
    return share(delays.values, part) if delays and delays.values else None


def _head(store: str) -> str:
    return f"{store}, one server" if store == MEMORY.name else store


async def run(subjects: Sequence[Subject], scale: Scale) -> bool:
    """Measure, and print; return whether every event came once and in order."""
    measured = {subject.name: await measure(subject, scale) for subject in subjects}
    print(f"From the saying to the sight at another server\n\n{latency_table(measured, scale)}\n")
    if any(found.counts for found in measured.values()):
        print(f"What is asked of the store\n\n{count_table(measured)}\n")
    for each in late(measured, scale):
        print(f"{TARGET_MS:.0f} ms OR MORE: {each}")
    wrong = [f"{store}, {each}" for store, found in measured.items() for each in found.wrong]
    for each in wrong:
        print(f"WRONG: {each}")
    return not wrong


def main() -> int:
    names = [subject.name for subject in SUBJECTS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a short run; times are rough")
    parser.add_argument("--store", choices=names, help="one store")
    arguments = parser.parse_args()
    print("\n".join(f"{key}: {value}" for key, value in machine().items()), end="\n\n")
    subjects = [it for it in SUBJECTS if arguments.store in (None, it.name)]
    return 0 if uvloop.run(run(subjects, QUICK if arguments.quick else Scale())) else 1


if __name__ == "__main__":
    sys.exit(main())
