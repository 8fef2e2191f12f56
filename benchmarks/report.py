"""The table and the machine that it was measured on."""

import os
import platform
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import ceil
from pathlib import Path
from statistics import median

from benchmarks.cases import Measured
from benchmarks.peers.servers import versions
from benchmarks.subjects import SUBJECTS, Subject


@dataclass(frozen=True, slots=True)
class Row:
    """A figure's line in the table. ``beside`` is the control's figure that it is compared with."""

    key: str
    label: str
    unit: str
    beside: str = ""
    digits: int = 2


def _fan_out(count: int) -> tuple[Row, ...]:
    key, label = f"fan_out_{count}", f"saturated, {count} subscriber{'s' if count > 1 else ''}"
    return (
        Row(f"{key}_delivered", f"{label}: deliveries", "/s", digits=0),
        Row(f"{key}_cpu", f"{label}: server CPU", "µs/delivery"),
        Row(f"{key}_p99", f"{label}: p99 with its queue", "ms", digits=1),
    )


ROWS = (
    Row("latency_p50", "publish to subscriber, p50", "ms"),
    Row("latency_p99", "publish to subscriber, p99", "ms"),
    Row("crossing_p50", "the same, another process writes the file, p50", "ms", "latency_p50"),
    Row("crossing_p99", "the same, another process writes the file, p99", "ms", "latency_p99"),
    Row("publish", "32 publishers at once, nobody reads", "events/s", digits=0),
    Row("publish_cpu", "32 publishers at once: server CPU", "µs/event", digits=0),
    *(row for count in (1, 100, 1000) for row in _fan_out(count)),
    Row("crowd_p50", "1000 subscribers × 50/s, p50", "ms"),
    Row("crowd_p99", "1000 subscribers × 50/s, p99", "ms"),
    Row("replay", "replay of 10,000 events, from memory", "events/s", digits=0),
    Row("cold_replay", "replay of 10,000 events, from the store", "events/s", "replay", digits=0),
    Row("replay_first", "until its first event, from memory", "ms"),
    Row("cold_replay_first", "until its first event, from the store", "ms", "replay_first"),
    Row("idle_memory", "an idle connection", "kB", digits=1),
    Row("beating_cpu", "10,000 idle connections with heartbeats: server CPU", "% of a core"),
    Row("beating_memory", "each of them", "kB", digits=1),
    Row("connecting", "connecting 1000", "ms", digits=0),
    Row("imports", "imports of a cold start", "ms", digits=0),
)

Figures = Mapping[str, Mapping[str, float]]
"""Medians by subject and key."""


def medians(runs: Iterable[tuple[str, Measured]]) -> dict[str, dict[str, float]]:
    """Return the median of each figure over all runs of a subject."""
    values: dict[str, dict[str, list[float]]] = {}
    for subject, measured in runs:
        for key, value in measured.figures.items():
            values.setdefault(subject, {}).setdefault(key, []).append(value)
    return {
        subject: {key: median(some) for key, some in figures.items()}
        for subject, figures in values.items()
    }


def table(
    figures: Figures, rows: Sequence[Row] = ROWS, subjects: Sequence[Subject] = SUBJECTS
) -> str:
    """Return the figures as a Markdown table; the first subject is the control.

    The others' figures come with their ratio to its own.
    """
    names = [subject.name for subject in subjects]
    lines = [["", *names]]
    for row in rows:
        if not any(row.key in figures.get(name, {}) for name in names):
            continue
        control = figures.get(names[0], {}).get(row.beside or row.key)
        cells = [f"{row.label}, {row.unit}"]
        for name in names:
            value = figures.get(name, {}).get(row.key)
            if value is None:
                cells.append("")
            elif name == names[0] or not control:
                cells.append(f"{value:,.{row.digits}f}")
            else:
                cells.append(f"{value:,.{row.digits}f} (×{value / control:.2f})")
        lines.append(cells)
    return lined_up(lines)


def share(values: Sequence[float], part: float) -> float:
    """Return the value that ``part`` of all are not above."""
    return sorted(values)[ceil(part * len(values)) - 1]


def lined_up(lines: Sequence[Sequence[str]]) -> str:
    """Return cells as a Markdown table, the first line as its head; numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(cells, widths) for cells in (lines[0], rule, *lines[1:]))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join([first, *rest])} |"


def machine() -> dict[str, str]:
    """Describe what a figure depends on."""
    packages = ("uvicorn", "uvloop", "httptools", "starlette")
    return {
        "processor": f"{os.cpu_count()} × {_first('/proc/cpuinfo', 'model name')}",
        "memory": _first("/proc/meminfo", "MemTotal"),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
        "peers": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _first(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
