"""What is aimed at with live sources, and whether it was reached; without what was not measured.

That everything comes once and in order is no aim but a promise: a row of its own says whether it
was kept.
"""

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.report import lined_up, share
from benchmarks.source_cases import Delays

WEBSOCKET = "a job's WebSocket"
PROCESS = "a process's lines"
KILL = "a kill"
PLANNED_END = "a planned end"

LATENCIES = {0.5: 10.0, 0.99: 100.0}
"""The most milliseconds that these parts of the events may take, of WEBSOCKET and PROCESS."""

HAND_OVERS = {KILL: 1500.0, PLANNED_END: 200.0}
"""The most milliseconds of the worst one."""

CALLS = 1.1
"""The most calls upstream that any number of viewers causes, by the fewest. How many fall into the
time of counting depends on when it begins."""

Rows = Iterable[Sequence[str]]


def aims(
    delays: Mapping[str, Mapping[str, Delays]],
    handed: Mapping[str, Mapping[str, Sequence[float]]],
    calls: Mapping[int, float],
) -> str:
    """Return the aims with what was measured, by store, as a Markdown table."""
    rows = [*_latencies(delays), *_hand_overs(handed), *_calls(calls), *_promise(delays)]
    return lined_up([["", "aim", "measured", ""], *rows])


def _latencies(delays: Mapping[str, Mapping[str, Delays]]) -> Rows:
    for source in (WEBSOCKET, PROCESS):
        for part, most in LATENCIES.items():
            measured = {
                store: share(found[source].values, part)
                for store, found in delays.items()
                if source in found
            }
            yield from _row(f"{source}, p{part * 100:.0f}, ms", most, measured)


def _hand_overs(handed: Mapping[str, Mapping[str, Sequence[float]]]) -> Rows:
    for kind, most in HAND_OVERS.items():
        measured = {store: max(took[kind]) for store, took in handed.items() if kind in took}
        yield from _row(f"hand-over after {kind}, worst, ms", most, measured)


def _calls(calls: Mapping[int, float]) -> Rows:
    if calls:
        ratio = max(calls.values()) / max(min(calls.values()), 1.0)
        yield from _row("calls of the API, most to fewest by viewers", CALLS, {"": ratio}, digits=2)


def _promise(delays: Mapping[str, Mapping[str, Delays]]) -> Rows:
    verdicts = [found.verdict.is_right for sources in delays.values() for found in sources.values()]
    label = "sources with every event once and in order"
    yield [label, "all", f"{sum(verdicts)} of {len(verdicts)}", _met(all(verdicts))]


def _row(label: str, most: float, measured: Mapping[str, float], digits: int = 1) -> Rows:
    if measured:
        values = (f"{store} {value:,.{digits}f}".strip() for store, value in measured.items())
        met = max(measured.values()) <= most
        yield [label, f"≤ {most:,g}", ", ".join(values), _met(met)]


def _met(is_met: bool) -> str:
    return "met" if is_met else "**missed**"
