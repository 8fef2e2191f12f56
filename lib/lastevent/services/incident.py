"""What people are to be alerted to. No IO.

    raised ──► told ──► (quiet for a time) ──► over ──► told

An incident that only happens, such as a run that failed, has no quiet time and no end: it is told
once. One that lasts goes on as long as somebody sees it again, and its end is told too.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Self

MAX_TITLE = 200
MAX_DETAILS = 20
MAX_DETAIL = 1000

CLAIM_MS = 60_000
"""For how long who tells an incident has it for himself; telling takes less than half of that."""

PAUSES_MS = (60_000, 120_000, 300_000, 900_000, 3_600_000)
"""Between the rounds in which a receiver that does not answer is told; the last one is repeated."""

MAX_ROUNDS = 24
"""About twenty hours; then it is given up."""

type Detail = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident's record. Times in Unix ms.

    ``seen``: when it was noticed last, by and large. ``untold``: what is still to be told of it,
    for the ``rounds`` and first time at ``again_at``. ``quiet_ms``: after how long without being
    seen it is over; None for what only happens.
    """

    id: str
    kind: str
    key: str
    title: str
    opened: int
    seen: int
    details: Mapping[str, Detail] = field(default_factory=dict)
    quiet_ms: int | None = None
    over: int | None = None
    untold: Literal["raised", "resolved"] | None = "raised"
    rounds: int = 0
    again_at: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``text`` gave."""
        return cls(**json.loads(text))

    @classmethod
    def new(
        cls,
        kind: str,
        key: str,
        title: str,
        details: Mapping[str, Detail],
        quiet_ms: int | None,
        now: int,
    ) -> Self:
        """Return an incident that is seen for the first time; what is too long is cut."""
        told = {
            plain(name[:MAX_TITLE]): plain(value[:MAX_DETAIL]) if isinstance(value, str) else value
            for name, value in list(details.items())[:MAX_DETAILS]
        }
        id = f"alert_{secrets.token_hex(12)}"
        return cls(id, kind, key, plain(title[:MAX_TITLE]), now, now, told, quiet_ms)

    @property
    def text(self) -> str:
        """The record's value."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to do for it."""
        return self.untold is None and (self.quiet_ms is None or self.over is not None)

    def is_due(self, now: int) -> bool:
        """Whether it is to be told now."""
        return self.untold is not None and now >= self.again_at

    def has_gone_quiet(self, now: int) -> bool:
        """Whether it is over, and nobody has said so yet. One that was never told goes on."""
        return (
            self.over is None
            and self.untold is None
            and self.quiet_ms is not None
            and now - self.seen > self.quiet_ms
        )

    def seen_again(self, now: int) -> Self:
        """Return it as seen now, or as it is if that was written down a short while ago."""
        if self.quiet_ms is None or now - self.seen < self.quiet_ms // 4:
            return self
        return replace(self, seen=now)

    def ended(self, now: int) -> Self:
        """Return it as over, which is still to be told."""
        return replace(self, over=now, untold="resolved", rounds=0, again_at=0)

    def claimed(self, now: int) -> Self:
        """Return it for one who is to tell it now, for CLAIM_MS."""
        return replace(self, rounds=self.rounds + 1, again_at=now + CLAIM_MS)

    def told(self) -> Self:
        """Return it with nothing left to tell."""
        return replace(self, untold=None)

    def put_off(self, now: int, retry_after: float | None) -> Self:
        """Return it after a round in which it could not be told; the last one gives it up, and
        with it its end."""
        if self.rounds >= MAX_ROUNDS:
            return replace(self, untold=None, over=now)
        pause = PAUSES_MS[min(self.rounds, len(PAUSES_MS)) - 1]
        return replace(self, again_at=now + max(pause, int((retry_after or 0.0) * 1000)))

    @property
    def message_id(self) -> str:
        """What the message about it is called, however often it is sent."""
        return f"{self.id}-{self.untold}"

    @property
    def message(self) -> bytes:
        """What is told, the same however often: JSON."""
        at = self.opened if self.over is None else self.over
        data: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "key": self.key,
            "title": self.title,
            "details": dict(self.details),
            "opened": self.opened,
        }
        if self.over is not None:
            data["resolved"] = self.over
        said = {
            "type": f"alert.{self.untold}",
            "timestamp": datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds"),
            "data": data,
        }
        return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def plain(text: str) -> str:
    """Return ``text`` with ``?`` for what UTF-8 does not have: a file's name, for one, may be read
    into such, and would neither be kept nor told."""
    return text.encode(errors="replace").decode()
