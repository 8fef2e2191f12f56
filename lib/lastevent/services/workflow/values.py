"""What a workflow is, and what is known of one run of it. No IO.

    waiting ─► running ─► completed
       │          ├─────► failed ─────┐
       └──────────┴─────► cancelled ──┴─► waiting, when it is to be run again

A run waits when nobody has it: at its beginning, between two invocations, before another attempt. A
stage is ``pending``, ``running``, and then ``completed``, ``skipped`` or ``failed``; it stays
``running`` from its first attempt to its end, whoever has it in between.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from lastevent.core.errors import InvalidRequest
from lastevent.services.merchant_events import stream_of
from lastevent.services.outbox import FIELD, Letter

if TYPE_CHECKING:
    from lastevent.services.workflow.stage import StageContext

State = Literal["waiting", "running", "completed", "failed", "cancelled"]
StageStatus = Literal["pending", "running", "completed", "skipped", "failed"]

DAY_SECONDS = 24 * 3600.0

MAX_KEPT_BYTES = 64 * 1024
"""Of all results and checkpoints of a run. Its record holds them, and twice more, with each quote
escaped, what is to be told of them: all of which has to fit some stores' 380 KB."""

LONGEST_MESSAGE = 3000
"""Characters of what is said of a stage."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """What a stage's work returns when there was nothing to do; the reason is shown."""

    reason: str


type Result = Mapping[str, Any] | Skipped | None
"""What a stage found, as JSON: small, since it is told in an event and kept in the run's record."""

type Work = Callable[["StageContext"], Awaitable[Result]]
"""What a stage does. It may be cut at any await and is called again: so its effects are idempotent.

A LastEventError that is not Transient fails the run with its sentence, and any other exception is
tried again."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a workflow.

    ``weight``: its share of the whole run's progress, by comparison with the others'. ``retries``:
    how often it is tried again, first after ``backoff_seconds``, doubled each time up to
    ``longest_backoff_seconds``. ``seconds``: how long one attempt may take.
    """

    name: str
    work: Work
    weight: float = 1.0
    retries: int = 3
    seconds: float = 120.0
    backoff_seconds: float = 1.0
    longest_backoff_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise InvalidRequest(f"the stage {self.name} needs a weight above 0")


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow: its stages in their order.

    ``seconds``: how long a whole run may take. ``prefix`` begins the id of what its runs are about.
    """

    name: str
    stages: tuple[Stage, ...]
    seconds: float = DAY_SECONDS
    prefix: str = "run"

    def __post_init__(self) -> None:
        names = {stage.name for stage in self.stages}
        if not names or len(names) < len(self.stages):
            raise InvalidRequest(f"the workflow {self.name} needs stages, each of its own name")

    def stage(self, name: str) -> Stage | None:
        """Return the stage of that name, None if there is none."""
        return next((stage for stage in self.stages if stage.name == name), None)


@dataclass(frozen=True, slots=True)
class Input:
    """What a run works on: a file's bytes, what the sender says they are, and its name."""

    content: bytes
    content_type: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageState:
    """What is known of a stage. Times in Unix ms.

    ``failures``: attempts that failed; ``cuts``: how often its process died in the middle of it;
    ``spent_ms``: what the present attempt took in earlier invocations. ``progress``: 0 to 100, and
    never less than it was.
    """

    name: str
    weight: float = 1.0
    status: StageStatus = "pending"
    failures: int = 0
    cuts: int = 0
    spent_ms: int = 0
    started_at: int | None = None
    ended_at: int | None = None
    progress: int = 0
    message: str | None = None
    error: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    checkpoints: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether it is not to be run any more."""
        return self.status in ("completed", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run's record. Times in Unix ms.

    ``subject`` is what it is about, a purchase order's id; ``name`` is its input's. ``runner``: who
    has it, empty for nobody; ``cancelling``: somebody wants its end. ``again_at``: it is not gone
    on with before; ``ends_at``: it fails then. ``round``: 1, and one more each time that it is run
    again. ``progress``: 0 to 100 of the whole; its stages' never go back, so it does not either.
    """

    id: str
    workflow: str
    merchant: str
    subject: str
    stages: tuple[StageState, ...]
    created_at: int
    ends_at: int
    name: str = ""
    state: State = "waiting"
    runner: str = ""
    cancelling: bool = False
    round: int = 1
    again_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    progress: int = 0
    error: str | None = None
    outbox: tuple[Letter, ...] = ()

    @classmethod
    def new(
        cls, workflow: Workflow, merchant: str, subject: str, id: str, name: str, now_ms: int
    ) -> Self:
        """Return a run of ``workflow`` that nobody has begun."""
        return cls(
            name=name,
            id=id,
            workflow=workflow.name,
            merchant=merchant,
            subject=subject,
            stages=tuple(StageState(name=it.name, weight=it.weight) for it in workflow.stages),
            created_at=now_ms,
            ends_at=now_ms + int(workflow.seconds * 1000),
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``text`` gave."""
        value = json.loads(text)
        value["stages"] = tuple(StageState(**it) for it in value["stages"])
        value[FIELD] = tuple(Letter.of(it) for it in value.get(FIELD, ()))
        return cls(**value)

    @property
    def text(self) -> str:
        """The record's value."""
        value = asdict(replace(self, outbox=())) | {FIELD: [it.plain for it in self.outbox]}
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    @property
    def key(self) -> str:
        """The record's id: a merchant's are side by side."""
        return key_of(self.merchant, self.subject)

    @property
    def stream(self) -> str:
        """The name of the stream that is told of it."""
        return stream_of(self.merchant)

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state in ("completed", "failed", "cancelled")

    @property
    def current(self) -> StageState | None:
        """The first stage that is not done, None if all are."""
        return next((stage for stage in self.stages if not stage.is_done), None)

    @property
    def results(self) -> dict[str, Mapping[str, Any]]:
        """What the stages that are done have found, by their names."""
        return {stage.name: stage.result for stage in self.stages if stage.is_done}

    @property
    def kept_bytes(self) -> int:
        """How much its stages' results and checkpoints have as JSON. Raises TypeError or ValueError
        for what is none."""
        kept = [(stage.result, stage.checkpoints) for stage in self.stages]
        text = json.dumps(kept, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return len(text.encode())

    def stage(self, name: str) -> StageState:
        """Return the stage of that name; raise KeyError."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)

    def with_stage(self, stage: StageState) -> Self:
        """Return it with that stage in its place, and the whole's progress to match."""
        stages = tuple(stage if it.name == stage.name else it for it in self.stages)
        done = sum(it.weight * (1.0 if it.is_done else it.progress / 100) for it in stages)
        whole = int(100 * done / sum(it.weight for it in stages) + 1e-9)
        if not all(it.is_done for it in stages):
            whole = min(whole, 99)
        return replace(self, stages=stages, progress=whole)

    def telling(self, letter: Letter) -> Self:
        """Return it with a letter more to tell, unless it has that one."""
        if any(it.key == letter.key for it in self.outbox):
            return self
        return replace(self, outbox=(*self.outbox, letter))

    def having_told(self, letters: tuple[Letter, ...]) -> Self:
        """Return it without these letters."""
        keys = {letter.key for letter in letters}
        return replace(self, outbox=tuple(it for it in self.outbox if it.key not in keys))


def key_of(merchant: str, subject: str) -> str:
    """Return the id of the record of a merchant's run. A slash is in no stream's name."""
    return f"{merchant}/{subject}"
