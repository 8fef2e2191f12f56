"""What a month costs, from list prices and measured counts: python benchmarks/costs.py

Prints the tables of docs/costs.md. The counts are those of benchmarks/counts.json, which
benchmarks/stores.py writes; the prices, and what is assumed of viewers and platforms, stand here.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from benchmarks.counts import Counts, read
from benchmarks.report import lined_up
from benchmarks.usage import Usage

MILLION = 1e6
GB = 1e9
HOUR = 3600.0
MONTH_DAYS = 30.0
MONTH_HOURS = 730.0
CROWDS = (1, 100, 10_000)


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices in US dollars, November 2026, us-east-1 and iad1; free allowances left out.

    Upstash: upstash.com/docs/redis/overall/billing (pay as you go, fixed plans). DynamoDB:
    aws.amazon.com/dynamodb/pricing/on-demand. Lambda: aws.amazon.com/lambda/pricing (arm64, first
    tier). HTTP API: aws.amazon.com/api-gateway/pricing (first tier). Vercel:
    vercel.com/docs/functions/usage-and-pricing. Machine: aws.amazon.com/ec2/pricing/on-demand
    (t4g.small, Linux). docs/costs.md says which of these could be looked up.
    """

    upstash_command: float = 0.20 / 100_000
    upstash_gb_month: float = 0.25
    upstash_fixed_month: float = 10.0
    upstash_fixed_gb: float = 0.25
    dynamodb_write_unit: float = 0.625 / MILLION
    dynamodb_read_unit: float = 0.125 / MILLION
    dynamodb_gb_month: float = 0.25 + 0.20
    """With point-in-time recovery, which our table has."""
    lambda_gb_second: float = 0.0000133334
    lambda_request: float = 0.20 / MILLION
    http_api_request: float = 1.00 / MILLION
    vercel_cpu_hour: float = 0.128
    vercel_gb_hour: float = 0.0106
    vercel_invocation: float = 0.60 / MILLION
    machine_hour: float = 0.0168


@dataclass(frozen=True, slots=True)
class Viewing:
    """What a viewer does: a page open in office hours, on a stream of its own.

    ``events_an_hour`` come to it, each appended alone, and are kept for ``kept_days``.
    """

    hours: float = 8.0 * 22
    events_an_hour: float = 30.0
    kept_days: float = 7.0
    stored_bytes: float = 600.0
    poll_every: float = 5.0
    poll_seconds: float = 0.02


@dataclass(frozen=True, slots=True)
class Load:
    """What a platform bills in a month.

    ``held``: the seconds of all responses together. ``processes`` run for ``process_hours`` in all.
    """

    processes: int
    process_hours: float
    responses: float
    held: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Platform:
    """Where the functions run.

    ``viewers``: in one process at most. ``hold``: the seconds of a response, ``away``: until the
    viewer is back. ``at_events``: a response ends with the first events. ``forgets``: between two
    responses the process is frozen, and follows nothing when it wakes.
    """

    name: str
    bill: Callable[[Load, Prices], float]
    viewers: int
    hold: float = 51.0
    away: float = 0.3
    at_events: bool = False
    forgets: bool = False

    def processes(self, viewers: int) -> int:
        """Return how many run while ``viewers`` are there."""
        return ceil(viewers / self.viewers)


LAMBDA_GB = 0.25
VERCEL_GB = 2.0


def _machines(load: Load, prices: Prices) -> float:
    return max(1, load.processes) * MONTH_HOURS * prices.machine_hour


def _vercel(load: Load, prices: Prices) -> float:
    return (
        load.cpu_seconds / HOUR * prices.vercel_cpu_hour
        + load.process_hours * VERCEL_GB * prices.vercel_gb_hour
        + load.responses * prices.vercel_invocation
    )


def _lambda(load: Load, prices: Prices) -> float:
    held = load.held * LAMBDA_GB * prices.lambda_gb_second
    return held + load.responses * prices.lambda_request


def _lambda_api(load: Load, prices: Prices) -> float:
    return _lambda(load, prices) + load.responses * prices.http_api_request


SERVER = Platform("a server", _machines, viewers=10_000)
VERCEL = Platform("Vercel", _vercel, viewers=200)
LAMBDA = Platform("Lambda, streaming", _lambda, viewers=1, forgets=True)
LAMBDA_API = Platform(
    "Lambda, HTTP API", _lambda_api, viewers=1, hold=25.0, at_events=True, forgets=True
)
PLATFORMS = (SERVER, VERCEL, LAMBDA, LAMBDA_API)

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


class Bill(NamedTuple):
    """What a month costs, in dollars."""

    store: float
    platform: float

    @property
    def total(self) -> float:
        return self.store + self.platform


def month(
    platform: Platform,
    counts: Counts,
    viewers: int,
    viewing: Viewing = Viewing(),
    prices: Prices = Prices(),
) -> Bill:
    """Return what ``viewers`` who follow their streams cost."""
    processes = platform.processes(viewers)
    watched = viewers * viewing.hours * HOUR
    events = viewers * viewing.events_an_hour * viewing.hours
    responses = watched / (platform.hold + platform.away) + platform.at_events * events
    held = watched * platform.hold / (platform.hold + platform.away)
    # A process that goes on running knows those that come back to it, of all that there are.
    arrivals = responses if platform.forgets else responses * (1 - 1 / max(1, processes))
    minutes = viewing.hours * 60
    used = (
        counts.idle * (processes * minutes)
        + counts.stream * ((viewers - processes) * minutes)
        + (counts.append + counts.delivery) * events
        + counts.arrival * arrivals
    )
    cpu = (
        counts.cpu.process_minute * processes * minutes
        + counts.cpu.viewer_minute * viewers * minutes
        + counts.cpu.event * events
        + counts.cpu.response * responses
    )
    load = Load(processes, processes * viewing.hours, responses, held, cpu)
    return Bill(_store(used, events, viewing, prices), platform.bill(load, prices))


def polling(
    platform: Platform,
    counts: Counts,
    viewers: int,
    viewing: Viewing = Viewing(),
    prices: Prices = Prices(),
) -> Bill:
    """Return what the same viewers cost who ask again and again instead."""
    processes = platform.processes(viewers)
    events = viewers * viewing.events_an_hour * viewing.hours
    polls = viewers * viewing.hours * HOUR / viewing.poll_every
    held = polls * viewing.poll_seconds
    hours = min(processes * viewing.hours, held / HOUR)
    load = Load(processes, hours, polls, held, counts.cpu.poll * polls)
    used = counts.append * events + counts.poll * polls
    return Bill(_store(used, events, viewing, prices), platform.bill(load, prices))


def _store(used: Usage, events: float, viewing: Viewing, prices: Prices) -> float:
    """Return the price of requests, and of what is kept; a file on the machine has neither."""
    kept = events * viewing.kept_days / MONTH_DAYS * viewing.stored_bytes / GB
    dynamodb = used.read_units * prices.dynamodb_read_unit
    dynamodb += used.write_units * prices.dynamodb_write_unit
    commands = used.commands * prices.upstash_command
    if used.write_units:
        return commands + dynamodb + kept * prices.dynamodb_gb_month
    if used.commands:
        return commands + kept * prices.upstash_gb_month
    return 0.0


def tables(medians: Mapping[str, Mapping[str, float]]) -> str:
    """Return what stands in docs/costs.md."""
    counts = {name: Counts.of(figures) for name, figures in medians.items()}
    lines = [["platform, store", *(f"{viewers:,}" for viewers in CROWDS)]]
    for platform in PLATFORMS:
        stores = ("sqlite", *EVERYWHERE) if platform is SERVER else EVERYWHERE
        for name in stores:
            bills = [month(platform, counts[name], viewers) for viewers in CROWDS]
            lines.append([f"{platform.name}, {NAMES[name]}", *map(_cell, bills)])
        for name in POLLED:
            bills = [polling(platform, counts[name], viewers) for viewers in CROWDS]
            lines.append([f"*plain polling:* {platform.name}, {NAMES[name]}", *map(_cell, bills)])
    return lined_up(lines)


def _cell(bill: Bill) -> str:
    return f"{_dollars(bill.total)} ({_dollars(bill.store)})"


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount < 100 else f"${amount:,.0f}"


def main() -> int:
    print(tables(read()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
