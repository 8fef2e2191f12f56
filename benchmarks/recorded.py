"""The ratios of the last full run, and how those of this one compare: a regression is seen.

`make bench` writes them to recorded.json, which is kept with the sources. They are ratios to the
control's figure in the same run, so that another machine's are comparable; a short run's are rough.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.report import ROWS, Figures, lined_up
from benchmarks.subjects import CONTROL, MEMORY, SQLITE

FILE = Path(__file__).with_name("recorded.json")
WORSE = 1.5
"""By so much a ratio has to be worse to be pointed at: short runs differ by a third."""

MORE_IS_BETTER = ("delivered", "publish", "replay")
MAIN = (
    "latency_p50",
    "publish",
    "fan_out_1_delivered",
    "fan_out_100_delivered",
    "fan_out_1000_delivered",
    "crowd_p50",
    "replay",
    "idle_memory",
    "connecting",
    "imports",
)

Ratios = Mapping[str, Mapping[str, float]]
"""By subject and key."""


def ratios(figures: Figures) -> dict[str, dict[str, float]]:
    """Return the main figures of ours as ratios to the control's."""
    control = figures.get(CONTROL.name, {})
    return {
        subject.name: {
            key: round(value / control[key], 3)
            for key, value in figures.get(subject.name, {}).items()
            if key in MAIN and control.get(key)
        }
        for subject in (MEMORY, SQLITE)
    }


def record(figures: Figures, machine: Mapping[str, str]) -> None:
    """Keep these ratios, and what they were measured on."""
    FILE.write_text(json.dumps({"machine": machine, "ratios": ratios(figures)}, indent=1) + "\n")


def known() -> Ratios:
    """Return the ratios of the last full run; none if there was none."""
    if not FILE.exists():
        return {}
    found: Ratios = json.loads(FILE.read_text())["ratios"]
    return found


def compared(figures: Figures, before: Ratios) -> str:
    """Return the ratios of now beside those ``before``, as a Markdown table."""
    labels = {row.key: row.label for row in ROWS}
    lines = [["ratio to the control", "now", "recorded", ""]]
    for subject, own in ratios(figures).items():
        for key, now in own.items():
            then = before.get(subject, {}).get(key)
            if not then:
                continue
            worse = then / now if key.endswith(MORE_IS_BETTER) else now / then
            remark = f"worse, ×{worse:.1f}" if worse > WORSE else ""
            lines.append([f"{labels[key]}, {subject}", f"{now:.2f}", f"{then:.2f}", remark])
    return lined_up(lines)
