"""How far a build is, in percent. No IO.

The steps seen in its log give a floor and a ceiling; between them counts how long it has taken and
how many lines it has written, against the project's last successful build. It never goes back, and
is 100 for a deployment that is ready, and for no other.
"""

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from lastevent.sources.vercel.events import LogEvent


class Phase(NamedTuple):
    """A step of a build: its name, where it begins in percent, and how a log shows it.

    ``line`` is looked for in a line's text, ``step`` in the name that the vendor gives the step.
    """

    name: str
    percent: int
    verb: str
    line: re.Pattern[str]
    step: re.Pattern[str]


def _phase(name: str, percent: int, verb: str, line: str, step: str) -> Phase:
    return Phase(name, percent, verb, re.compile(line, re.I), re.compile(step, re.I))


PHASES = (
    _phase("queue", 0, "Queued", r"(?!)", r"(?!)"),
    _phase("start", 2, "Starting", r"^Running build in\b", r"^(init|start)"),
    _phase("clone", 5, "Cloning", r"^(Cloning|Downloading) ", r"^clon"),
    _phase(
        "install",
        12,
        "Installing",
        r"^(Installing dependencies|Running \"install\" command|(npm|yarn|pnpm|bun) (ci|install))",
        r"^install",
    ),
    _phase(
        "build",
        35,
        "Building",
        r"^(Detected Next\.js version|Running \"(?!vercel build|install)"
        r"|> .*\bbuild\b|\W*Creating an optimized)",
        r"^(build|compil)",
    ),
    _phase(
        "collect", 60, "Building", r"^\W*(Compiled successfully|Collecting page data)", r"^collect"
    ),
    _phase(
        "generate", 65, "Building", r"^\W*Generating static pages", r"^(generat|static|prerender)"
    ),
    _phase(
        "output",
        80,
        "Building",
        r"^\W*(Finalizing page|Collecting build traces|Build Completed)",
        r"^(trac|output|packag)",
    ),
    _phase("deploy", 88, "Deploying", r"^Deploying outputs", r"^deploy"),
    _phase(
        "cache",
        95,
        "Deploying",
        r"^(Deployment completed|(Creat|Upload)\w* build cache)",
        r"^cache",
    ),
)

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_PAGES = re.compile(r"^\W*Generating static pages.*\((\d{1,6})/(\d{1,6})\)", re.I)


_BUILT = ("INITIALIZING", "BUILDING")


class Took(NamedTuple):
    """What a successful build took."""

    seconds: float
    lines: int


USUAL = Took(60, 100)
"""What counts for a project whose earlier builds are not known."""


@dataclass(frozen=True, slots=True)
class Progress:
    """``phase`` is an index of PHASES, ``floor`` the least percent by the steps seen.

    ``began`` and ``newest`` are the dates of the log's ends, in Unix ms; None while it is empty.
    """

    percent: int = 0
    phase: int = 0
    floor: int = 0
    lines: int = 0
    began: int | None = None
    newest: int | None = None

    def after(self, event: LogEvent) -> "Progress":
        """Return it once this event has been seen; the percent follows in ``at``."""
        phase, floor = self.phase, self.floor
        text = _COLOURS.sub("", event.text or "")
        for index in range(len(PHASES) - 1, phase, -1):
            it = PHASES[index]
            if (event.step and it.step.search(event.step)) or it.line.search(text):
                phase, floor = index, max(floor, it.percent)
                break
        if (pages := _PAGES.search(text)) and int(pages[2]):
            low, high = _span("generate")
            part = min(1.0, int(pages[1]) / int(pages[2]))
            floor = max(floor, int(low + (high - low) * part))
        return replace(
            self,
            phase=phase,
            floor=floor,
            lines=self.lines + (event.text is not None),
            began=min(self.began or event.date, event.date),
            newest=max(self.newest or event.date, event.date),
        )

    def at(self, ready_state: str, took: Took | None, quiet_seconds: float = 0) -> "Progress":
        """Return it with the percent of a deployment in this state.

        ``took``: what the project's last build took, None if nobody knows. ``quiet_seconds``: how
        long ago the newest event came.
        """
        if ready_state == "READY":
            return replace(self, percent=100)
        if ready_state not in _BUILT and not self.lines:
            return self
        ceiling = 100 if self.phase + 1 == len(PHASES) else PHASES[self.phase + 1].percent
        if took is not None:  # then its own past says more than what builds have in common
            ceiling = (ceiling + 100) // 2
        wanted = took or USUAL
        fraction = self._part(self.lines, wanted.lines)
        fraction += self._part(self.seconds + quiet_seconds, wanted.seconds)
        low = max(self.floor, 1)
        percent = min(max(int(50 * fraction), low), max(ceiling - 1, low), 99)
        return replace(self, percent=max(self.percent, percent))

    @property
    def seconds(self) -> float:
        """From the first event of the log to the newest."""
        return (
            0.0 if self.began is None or self.newest is None else (self.newest - self.began) / 1000
        )

    @property
    def step(self) -> str:
        """The name of the step that the log is in."""
        return PHASES[self.phase].name

    @property
    def text(self) -> str:
        """What a page shows: ``Building 45 %``."""
        verb = "Ready" if self.percent == 100 else PHASES[self.phase].verb
        return f"{verb} {self.percent} %"

    @staticmethod
    def _part(is_now: float, wanted: float) -> float:
        return min(1.0, is_now / wanted) if wanted > 0 else 1.0


def _span(name: str) -> tuple[int, int]:
    index = next(index for index, it in enumerate(PHASES) if it.name == name)
    return PHASES[index].percent, PHASES[index + 1].percent
