"""What is aimed at, and whether it was reached: ratios of ours to a peer's in the same run."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.subjects import CONTROL, MEMORY, NCHAN, SQLITE, SSE_STARLETTE, Subject

Figures = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Aim:
    """``ours`` is to be at least ``factor`` times the peer's figure; at most, if ``at_most``.

    Without a peer ``factor`` is the figure itself. ``peer_key``: the peer's figure, where it is
    another than ours.
    """

    label: str
    key: str
    factor: float
    peer: Subject | None = NCHAN
    ours: Subject = MEMORY
    at_most: bool = False
    peer_key: str = ""

    def row(self, figures: Figures) -> str:
        """Return the aim's line; it is empty where something was not measured."""
        ours = figures.get(self.ours.name, {}).get(self.key)
        beside = 1.0
        if self.peer is not None:
            beside = figures.get(self.peer.name, {}).get(self.peer_key or self.key, 0.0)
        if ours is None or not beside:
            return ""
        value = ours / beside
        is_met = value <= self.factor if self.at_most else value >= self.factor
        aim = f"{'≤' if self.at_most else '≥'} {self.factor:g}"
        unit = f"× {self.peer.name}" if self.peer else ""
        met = "met" if is_met else "**missed**"
        return f"| {self.label}, {self.ours.name} | {aim}{unit} | {value:.2f} | {met} |"


AIMS = (
    Aim("fan-out to 1000", "fan_out_1000_delivered", 10),
    Aim("fan-out to 1000", "fan_out_1000_delivered", 50, SSE_STARLETTE),
    Aim("the same, p99", "fan_out_1000_p99", 4, at_most=True),
    Aim("fan-out to 100", "fan_out_100_delivered", 1.2),
    Aim("fan-out to 1", "fan_out_1_delivered", 0.9),
    Aim("1000 × 50/s, p50", "crowd_p50", 1.2, at_most=True),
    Aim("1000 × 50/s, p99", "crowd_p99", 1.2, at_most=True),
    Aim("replay of 10,000, from the tail", "replay", 50),
    Aim("replay of 10,000, from the file", "cold_replay", 10, ours=SQLITE, peer_key="replay"),
    Aim("an idle connection, kB", "idle_memory", 10, None, at_most=True),
    Aim("10,000 idle connections, % of a core", "beating_cpu", 10, None, at_most=True),
    Aim("connecting 1000, ms", "connecting", 250, None, at_most=True),
    Aim("1000 × 50/s, p50", "crowd_p50", 1.2, CONTROL, at_most=True),
)


def aims(figures: Figures) -> str:
    """Return the aims that these figures tell about, as a Markdown table."""
    rows = [row for aim in AIMS if (row := aim.row(figures))]
    return "\n".join(["| | aim | measured | |", "|---|---|---|---|", *rows])
