"""benchmarks/counts.json: what stores.py measured, committed; and what costs.py makes of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.usage import Usage

COUNTS = Path(__file__).with_name("counts.json")
SIGNIFICANT = 4
"""Digits: more would pretend to a precision that no run has, and differ each time."""

CROWD = 100
"""Subscribers of the case on as many streams."""

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cpu:
    """Seconds of a processor: by the minute of an idle process, and of each viewer in it; by the
    event delivered to one viewer, by the response, and by the plain poll that finds nothing."""

    process_minute: float
    viewer_minute: float
    event: float
    response: float
    poll: float


@dataclass(frozen=True, slots=True)
class Counts:
    """What is asked of a store.

    ``idle``: a minute of a process in which viewers wait, ``stream``: of each further stream there.
    ``append``: an event appended alone, ``delivery``: one that comes to a process alone.
    ``arrival``: a response whose process does not follow its stream yet. ``look``: one that is not
    held, because its stream is quiet. ``poll``: a plain poll.
    """

    idle: Usage
    stream: Usage
    append: Usage
    delivery: Usage
    arrival: Usage
    look: Usage
    poll: Usage
    cpu: Cpu

    @classmethod
    def of(cls, figures: Figures) -> "Counts":
        """Read the medians of a store."""
        idle = _usage(figures, "idle_1")
        alone, crowd = figures["idle_1_cpu"], figures[f"idle_{CROWD}_on_{CROWD}_cpu"]
        viewer = max(0.0, (CROWD * crowd - alone) / (CROWD - 1))
        return cls(
            idle,
            ((_usage(figures, f"idle_{CROWD}_on_{CROWD}") - idle) / (CROWD - 1)).positive,
            _usage(figures, "append"),
            _usage(figures, "sparse_1").positive,
            _usage(figures, "arrival").positive,
            _usage(figures, "look"),
            _usage(figures, "poll"),
            Cpu(
                (alone - viewer) / 1e3,
                viewer / 1e3,
                figures["delivery_1_cpu"] / 1e3,
                figures["response_cpu"] / 1e3,
                figures["poll_cpu"] / 1e3,
            ),
        )


def write(about: Mapping[str, str], figures: Mapping[str, Figures], path: Path = COUNTS) -> None:
    """Write the medians of all stores, and the machine that they are of."""
    rounded = {
        name: {key: float(f"{value:.{SIGNIFICANT}g}") for key, value in sorted(own.items())}
        for name, own in figures.items()
    }
    document = {"machine": dict(about), "medians": rounded}
    path.write_text(json.dumps(document, indent=1) + "\n")


def update(figures: Mapping[str, Figures], path: Path = COUNTS) -> None:
    """Write medians of some cases over those that are there, whose machine stays named."""
    document = json.loads(path.read_text())
    medians = document["medians"]
    write(
        document["machine"],
        {name: {**medians.get(name, {}), **figures.get(name, {})} for name in medians | figures},
        path,
    )


def read(path: Path = COUNTS) -> dict[str, dict[str, float]]:
    """Return the medians by store."""
    medians: dict[str, dict[str, float]] = json.loads(path.read_text())["medians"]
    return medians


def _usage(figures: Figures, key: str) -> Usage:
    return Usage(*(figures[f"{key}_{unit}"] for unit in Usage.__slots__))
