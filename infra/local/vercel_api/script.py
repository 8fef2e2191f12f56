"""A build as a script: what it says and when, and the states its deployment goes through.

Times are seconds after the deployment was made, at the speed 1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

EventType = Literal[
    "command", "delimiter", "deployment-state", "exit", "fatal", "metric", "stderr", "stdout"
]
"""The types of the vendor's own list that a build's log holds (SDK, `getDeploymentEvents`)."""

LOG_TYPES = frozenset({"command", "fatal", "stderr", "stdout"})
"""Those that are lines for people to read."""

ReadyState = Literal["QUEUED", "INITIALIZING", "BUILDING", "READY", "ERROR", "CANCELED", "BLOCKED"]
FINAL = frozenset({"READY", "ERROR", "CANCELED", "BLOCKED"})


@dataclass(frozen=True, slots=True)
class Line:
    """One event of the log. ``step`` and ``entrypoint`` are where in the build it was said."""

    at: float
    text: str | None = None
    type: EventType = "stdout"
    step: str | None = None
    entrypoint: str | None = "."
    level: Literal["error", "warning"] | None = None
    ready_state: ReadyState | None = None

    def __post_init__(self) -> None:
        if self.type not in get_args(EventType) or self.at < 0:
            raise ValueError("a line has a type of the vendor's and a time that is not negative")


@dataclass(frozen=True, slots=True)
class Phase:
    """A state that the deployment is in from a time on."""

    at: float
    state: ReadyState

    def __post_init__(self) -> None:
        if self.state not in get_args(ReadyState):
            raise ValueError(f"no deployment is {self.state}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A whole build. Phases and lines are in the order of their times.

    ``error_code``, ``error_message`` and ``error_step`` are what a failed deployment says,
    ``reason`` is why one was blocked (`readyStateReason`).
    """

    phases: tuple[Phase, ...]
    lines: tuple[Line, ...] = ()
    error_code: str | None = None
    error_message: str | None = None
    error_step: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if not self.phases or self.phases[0].at != 0:
            raise ValueError("a script begins with a phase at 0")
        phases, lines = [one.at for one in self.phases], [one.at for one in self.lines]
        if phases != sorted(phases) or lines != sorted(lines):
            raise ValueError("phases and lines are in the order of their times")

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` made of a script. Raises TypeError and ValueError."""
        rest = {name: members[name] for name in members if name not in ("phases", "lines")}
        phases = tuple(Phase(**phase) for phase in members["phases"])
        return cls(phases=phases, lines=tuple(Line(**x) for x in members.get("lines", ())), **rest)


def said(
    step: str | None, begin: float, end: float, text: str, *, entrypoint: str | None = "."
) -> Iterator[Line]:
    """Yield the lines of ``text``, evenly from ``begin`` (included) to ``end``.

    A mark at a line's beginning says what it is: `$ ` a command, `? ` a warning and `! ` an error
    on stderr, `| ` plain stderr. Anything else is stdout.
    """
    lines = text.strip("\n").split("\n")
    for number, line in enumerate(lines):
        at = begin + (end - begin) * number / len(lines)
        rest = line[2:]
        match line[:2]:
            case "$ ":
                yield Line(at, rest, "command", step, entrypoint)
            case "? ":
                yield Line(at, rest, "stderr", step, entrypoint, "warning")
            case "! ":
                yield Line(at, rest, "stderr", step, entrypoint, "error")
            case "| ":
                yield Line(at, rest, "stderr", step, entrypoint)
            case _:
                yield Line(at, line, "stdout", step, entrypoint)


def state_change(at: float, state: ReadyState) -> Line:
    """Return the event by which the log itself says a new state."""
    return Line(at, type="deployment-state", entrypoint=None, ready_state=state)
