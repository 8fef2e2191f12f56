"""What a month costs, and an hour by policy, from list prices and measured counts.

    python benchmarks/costs.py

Prints the tables of docs/costs.md. The counts are those of benchmarks/counts.json, which
benchmarks/stores.py writes; how they become dollars stands in bill.py.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from benchmarks.bill import (
    LAMBDA,
    LAMBDA_API,
    PLATFORMS,
    SERVER,
    VERCEL,
    Bill,
    Platform,
    Viewing,
    Wait,
    following,
    polling,
    wait,
)
from benchmarks.counts import Counts, Figures, read
from benchmarks.report import lined_up
from lastevent.core.policy import METERED, RetryPolicy

CROWDS = (1, 100, 10_000)
EVERYWHERE = ("upstash", "upstash, polled", "dynamodb", "dynamodb + upstash")
NAMES = {
    "sqlite": "SQLite",
    "upstash": "Upstash",
    "upstash, polled": "Upstash without its push",
    "dynamodb": "DynamoDB",
    "dynamodb + upstash": "DynamoDB + Upstash's push",
}
POLLED = ("upstash", "dynamodb")
"""The stores that plain polling is compared with."""

CLIENTS = 1000
ACTIVE = Viewing(hours=1.0, machine_hours=1.0)
IDLE = replace(ACTIVE, events_an_hour=0.0)
DIALLED = (LAMBDA, LAMBDA_API, VERCEL, SERVER)


def month(medians: Mapping[str, Figures]) -> str:
    """Return the table of a month."""
    counts = {name: Counts.of(figures) for name, figures in medians.items()}
    lines = [["platform, store", *(f"{viewers:,}" for viewers in CROWDS)]]
    for platform in PLATFORMS:
        stores = ("sqlite", *EVERYWHERE) if platform is SERVER else EVERYWHERE
        for name in stores:
            bills = [following(platform, counts[name], viewers) for viewers in CROWDS]
            lines.append([f"{platform.name}, {NAMES[name]}", *map(_cell, bills)])
        for name in POLLED:
            bills = [polling(platform, counts[name], viewers) for viewers in CROWDS]
            lines.append([f"*plain polling:* {platform.name}, {NAMES[name]}", *map(_cell, bills)])
    return lined_up(lines)


def dial() -> str:
    """Return what the policies do where each held second is billed."""
    lines = [["policy", "a stream is held", "else looked at every", "its first event is late by"]]
    for name, policy in METERED.items():
        if policy.hold_seconds is None:
            lines.append([f"`{name}`", "always", "", f"{wait(LAMBDA, policy).worst:.2g} s at most"])
            continue
        shortest, longest = (pause / 1e3 for pause in policy.idle)
        held = f"for {policy.hold_seconds:g} s after its last event"
        late = wait(LAMBDA, policy)
        lines.append(
            [
                f"`{name}`",
                held,
                f"{shortest:g} to {longest:g} s",
                f"{late.mean:.1f} s on average, {late.worst:.2g} s at most",
            ]
        )
    return lined_up(lines)


def hour(medians: Mapping[str, Figures]) -> str:
    """Return the table of an hour of CLIENTS clients by policy."""
    counts = [Counts.of(medians[name]) for name in POLLED]
    kinds = {"idle": IDLE, "active": ACTIVE}
    heads = [f"{kind}, {NAMES[name]}" for kind in kinds for name in POLLED]
    lines = [["platform, policy", *heads, "late: mean", "worst"]]
    for platform in DIALLED:
        for names, policy in _alike(platform):
            bills = [
                following(platform, each, CLIENTS, viewing, policy=policy.name)
                for viewing in kinds.values()
                for each in counts
            ]
            label = f"{platform.name}, {' or '.join(names)}"
            lines.append([label, *map(_cell, bills), *_late(wait(platform, policy))])
        bills = [
            polling(platform, each, CLIENTS, viewing)
            for viewing in kinds.values()
            for each in counts
        ]
        late = Wait(ACTIVE.poll_every / 2, ACTIVE.poll_every)
        lines.append([f"*plain polling:* {platform.name}", *map(_cell, bills), *_late(late)])
    return lined_up(lines)


def _alike(platform: Platform) -> Iterator[tuple[Sequence[str], RetryPolicy]]:
    """Yield the policies of a platform, those that differ in nothing but their names together."""
    names: dict[RetryPolicy, list[str]] = {}
    for name, policy in platform.policies.items():
        names.setdefault(policy._replace(name=""), []).append(name)
    for some in names.values():
        yield some, platform.policies[some[0]]


def _late(late: Wait) -> tuple[str, str]:
    mean = "0" if late.mean < 0.005 else f"{late.mean:.1f} s"
    return mean, f"{late.worst:.2g} s"


def _cell(bill: Bill) -> str:
    return f"{_dollars(bill.total)} ({_dollars(bill.store)})"


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount < 100 else f"${amount:,.0f}"


def main() -> int:
    medians = read()
    print(month(medians), dial(), hour(medians), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
