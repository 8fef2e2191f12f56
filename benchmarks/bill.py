"""What following streams costs on each platform: list prices, and what platforms and stores bill.

The counts of what is asked of a store are those of benchmarks/counts.json; the prices, and what is
assumed of viewers and platforms, stand here. costs.py makes the tables of docs/costs.md of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

from benchmarks.counts import Counts
from benchmarks.usage import Usage
from lastevent.core.bounds import Bounds
from lastevent.core.policy import METERED, POLICIES, RetryPolicy
from lastevent.serve.settings import Settings
from lastevent.serve.subscribe import MAX_HOLD_SECONDS

MILLION = 1e6
GB = 1e9
HOUR = 3600.0
MONTH_DAYS = 30.0
MONTH_HOURS = 730.0


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
    """What a viewer does: a page open in office hours of a month, on a stream of its own.

    ``events_an_hour`` come to it at even distances, each appended alone, and are kept for
    ``kept_days``. Machines run for ``machine_hours``, whoever is there. ``poll_seconds``: of a
    function, for a plain poll or a look.
    """

    hours: float = 8.0 * 22
    machine_hours: float = MONTH_HOURS
    events_an_hour: float = 30.0
    kept_days: float = 7.0
    stored_bytes: float = 600.0
    poll_every: float = 5.0
    poll_seconds: float = 0.02


@dataclass(frozen=True, slots=True)
class Load:
    """What a platform bills.

    ``held``: the seconds of all responses together. ``processes`` run for ``process_hours`` in all,
    machines for ``machine_hours`` each.
    """

    processes: int
    process_hours: float
    machine_hours: float
    responses: float
    held: float
    cpu_seconds: float


def _mean_leg(longest: float) -> float:
    """Return the mean duration of a leg, of which up to a part is taken off by chance."""
    return longest * (1 - Bounds().spread / 2)


@dataclass(frozen=True, slots=True)
class Platform:
    """Where the functions run.

    ``viewers``: in one process at most. ``leg``: the seconds of a response that is held, on
    average. ``policies``: those that hold here, by name. ``at_events``: a response ends with the
    first events. ``forgets``: between two responses the process is frozen, and follows nothing when
    it wakes.
    """

    name: str
    bill: Callable[[Load, Prices], float]
    viewers: int
    leg: float = _mean_leg(Settings().max_leg_seconds)
    policies: Mapping[str, RetryPolicy] = field(default_factory=lambda: POLICIES)
    at_events: bool = False
    forgets: bool = False

    def processes(self, viewers: int) -> int:
        """Return how many run while ``viewers`` are there."""
        return ceil(viewers / self.viewers)


LAMBDA_GB = 0.25
VERCEL_GB = 2.0


def _machines(load: Load, prices: Prices) -> float:
    return max(1, load.processes) * load.machine_hours * prices.machine_hour


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
LAMBDA = Platform("Lambda, streaming", _lambda, viewers=1, policies=METERED, forgets=True)
LAMBDA_API = Platform(
    "Lambda, HTTP API",
    _lambda_api,
    viewers=1,
    leg=_mean_leg(MAX_HOLD_SECONDS),
    policies=METERED,
    at_events=True,
    forgets=True,
)
PLATFORMS = (SERVER, VERCEL, LAMBDA, LAMBDA_API)


class Course(NamedTuple):
    """An hour of one viewer: the seconds that it is held, in how many responses, and its looks."""

    held: float
    responses: float
    looks: float


def course(platform: Platform, policy: RetryPolicy, viewing: Viewing = Viewing()) -> Course:
    """Return what ``policy`` makes of an hour."""
    away = away_seconds(policy)
    events = viewing.events_an_hour
    hold = policy.hold_seconds
    if hold is None or hold * events >= HOUR:
        responses = HOUR / (platform.leg + away)
        return Course(responses * platform.leg, responses + platform.at_events * events, 0.0)
    legs = ceil(hold / (platform.leg + away))
    looks = (HOUR - hold * events) / (viewing.poll_seconds + away)
    return Course((hold - (legs - 1) * away) * events, legs * events, looks)


def away_seconds(policy: RetryPolicy) -> float:
    """Return how long a client of a quiet stream stays away, on average."""
    return sum(policy.idle) / 2 / 1e3


class Wait(NamedTuple):
    """Seconds until an event that comes after a quiet time reaches a client: because it was away.

    What the store takes to tell of it, the network and a cold start come on top.
    """

    mean: float
    worst: float


def wait(platform: Platform, policy: RetryPolicy, viewing: Viewing = Viewing()) -> Wait:
    """Return how late the first event is by ``policy``: on average half of the time away."""
    away = away_seconds(policy)
    there = platform.leg if policy.hold_seconds is None else viewing.poll_seconds
    return Wait(away / (there + away) * away / 2, policy.idle[1] / 1e3)


class Bill(NamedTuple):
    """Dollars."""

    store: float
    platform: float

    @property
    def total(self) -> float:
        return self.store + self.platform


def following(
    platform: Platform,
    counts: Counts,
    viewers: int,
    viewing: Viewing = Viewing(),
    prices: Prices = Prices(),
    policy: str = Settings().policy,
) -> Bill:
    """Return what ``viewers`` who follow their streams cost."""
    processes = platform.processes(viewers)
    events = viewers * viewing.events_an_hour * viewing.hours
    hour = course(platform, platform.policies[policy], viewing)
    held, responses, looks = (each * viewers * viewing.hours for each in hour)
    # A process that goes on running knows those that come back to it, of all that there are.
    arrivals = responses if platform.forgets else responses * (1 - 1 / max(1, processes))
    minutes = (hour.held / HOUR if platform.forgets else 1.0) * viewing.hours * 60
    used = (
        counts.idle * (processes * minutes)
        + counts.stream * ((viewers - processes) * minutes)
        + (counts.append + counts.delivery) * events
        + counts.arrival * arrivals
        + counts.look * looks
    )
    cpu = (
        counts.cpu.process_minute * processes * minutes
        + counts.cpu.viewer_minute * viewers * minutes
        + counts.cpu.event * events
        + counts.cpu.response * responses
    )
    load = Load(
        processes,
        processes * viewing.hours,
        viewing.machine_hours,
        responses + looks,
        held + looks * viewing.poll_seconds,
        cpu,
    )
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
    cpu = counts.cpu.poll * polls
    load = Load(processes, hours, viewing.machine_hours, polls, held, cpu)
    used = counts.append * events + counts.poll * polls
    return Bill(_store(used, events, viewing, prices), platform.bill(load, prices))


def _store(used: Usage, events: float, viewing: Viewing, prices: Prices) -> float:
    """Return the price of requests, and of what is kept; a file on the machine has neither."""
    kept = events * viewing.kept_days / MONTH_DAYS * viewing.stored_bytes / GB
    dynamodb = used.read_units * prices.dynamodb_read_unit
    dynamodb += used.write_units * prices.dynamodb_write_unit
    commands = used.commands * prices.upstash_command
    if dynamodb:
        return commands + dynamodb + kept * prices.dynamodb_gb_month
    if used.commands:
        return commands + kept * prices.upstash_gb_month
    return 0.0
