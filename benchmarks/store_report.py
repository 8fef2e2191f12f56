"""The tables of the stores: how fast they are, and what is asked of them."""

from collections.abc import Mapping, Sequence

from benchmarks.report import Figures, Row, lined_up, table
from benchmarks.subjects import STORES, Subject

SPEED = (
    Row("latency_1_p50", "another process's append to 1 subscriber, p50", "ms"),
    Row("latency_1_p99", "another process's append to 1 subscriber, p99", "ms"),
    Row("latency_100_p50", "the same to 100 subscribers, p50", "ms"),
    Row("latency_100_p99", "the same to 100 subscribers, p99", "ms"),
    Row("append_singles", "32 appends of one event at once", "events/s", digits=0),
    Row("append_batches", "4 appends of 100 events at once", "events/s", digits=0),
    Row("append_processes", "8 of one event in each of 4 processes", "events/s", digits=0),
    Row("replay", "replay of 10,000 events", "events/s", digits=0),
    Row("replay_first", "until its first event", "ms"),
    Row("delivery_1_cpu", "an event to 1 subscriber: server CPU", "ms"),
    Row("delivery_100_cpu", "an event to 100 subscribers: server CPU", "ms"),
    Row("idle_1_cpu", "an idle minute, 1 subscriber: server CPU", "ms"),
    Row("idle_100_cpu", "an idle minute, each of 100 subscribers: server CPU", "ms"),
    Row("idle_100_on_100_cpu", "the same on 100 streams: server CPU", "ms"),
    Row("response_cpu", "a response that returns: server CPU", "ms"),
    Row("look_cpu", "a look: server CPU", "ms"),
    Row("churn_cuts", "100 clients, cut at random bytes: cuts", "/s", digits=0),
    Row("churn_p50", "the same: from a request to the first byte, p50", "ms"),
    Row("churn_p99", "the same, p99", "ms"),
    Row("churn_cpu", "the same: server CPU, by the cut", "ms"),
    Row("poll_cpu", "a plain poll: server CPU", "ms"),
)

COUNTED = {
    "idle_1": "an idle minute, 1 subscriber",
    "idle_100": "an idle minute, 100 subscribers of one stream",
    "idle_100_on_100": "an idle minute, 100 subscribers of 100 streams",
    "append": "an event appended alone",
    "append_singles": "an event, 32 appended at once",
    "append_batches": "an event of a batch of 100",
    "append_processes": "an event, appended by 4 processes at once",
    "delivery_1": "an event delivered, 20 a second, 1 subscriber",
    "delivery_100": "an event delivered, 20 a second, 100 subscribers",
    "sparse_1": "an event delivered, one in 10 s, 1 subscriber",
    "sparse_100": "an event delivered, one in 10 s, 100 subscribers",
    "first": "a process's first response, from the start of a stream",
    "arrival": "a response with a cursor to a stream not followed yet",
    "return": "one with a cursor to a stream that is followed",
    "later": "one from the start of a stream that is followed",
    "look": "a look at a quiet stream",
    "poll": "a plain poll, instead",
    "replay": "a replay of 10,000 events",
    "churn": "a cut, its events included, 20 a second for all",
}
"""What is counted, by its key."""

UNITS = {"commands": "c", "requests": "q", "read_units": "r", "write_units": "w"}
"""The letter in a cell for each of Usage's counts."""


def tables(figures: Figures, subjects: Sequence[Subject] = STORES) -> str:
    """Return both tables; the first subject is the control, of which nothing is asked."""
    return f"{table(figures, SPEED, subjects)}\n\n{_counts(figures, subjects[1:])}"


def _counts(figures: Figures, subjects: Sequence[Subject]) -> str:
    names = [subject.name for subject in subjects]
    lines = [["", *names]]
    for key, label in COUNTED.items():
        cells = [cell(figures.get(name, {}), key) for name in names]
        if any(cells):
            lines.append([label, *cells])
    return lined_up(lines)


def cell(figures: Mapping[str, float], key: str) -> str:
    """Return the counts of a case, those that are none left out; nothing if it was not run."""
    if f"{key}_commands" not in figures:
        return ""
    texts = [(_text(figures[f"{key}_{unit}"]), letter) for unit, letter in UNITS.items()]
    return " ".join(f"{text} {letter}" for text, letter in texts if text not in ("0", "-0")) or "0"


def _text(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")
