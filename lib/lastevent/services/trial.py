"""What is known of a trial: somebody's connection, followed with numbers and with faults. No IO.

A trial is a stream of its own for some minutes. Numbers are appended to it, each once, and faults
that are asked for: what a response that carries the stream is to do (serve/faults.py), or what the
next request is to be answered.
"""

import enum
import json
import re
import secrets
from typing import NamedTuple

from lastevent.core.errors import NotFound, TooManyRequests
from lastevent.stores.base import Retention

TRIAL_SECONDS = 900.0
MAX_NUMBERS = 600
MAX_FAULTS = 40
REFUSAL_SECONDS = 15.0
"""How long a refusal waits for the request that it is meant for."""

RETENTION = Retention(TRIAL_SECONDS, MAX_NUMBERS + MAX_FAULTS)
PATTERN = "trial:*"

NUMBER, FAULT = "number", "fault"
"""The types of a trial's events."""

_ID = re.compile(r"[0-9a-f]{16}")


class Fault(enum.StrEnum):
    """What may be asked for: of the responses that are open, and the last two of the next too."""

    END = "end"  # a planned end, early
    CUT = "cut"  # an end that nobody planned, within an event
    STALL = "stall"  # nothing more is sent, and nothing closed
    BUSY = "busy"  # a planned end, and 503 to the next request
    GONE = "gone"  # a planned end, and 204 to the next request

    @property
    def refuses(self) -> bool:
        """Whether the next request is to be refused."""
        return self in (Fault.BUSY, Fault.GONE)


class Trial(NamedTuple):
    """One trial of ``owner``, a user as names of streams have it. Times are in Unix ms.

    ``faults`` counts those asked for. ``refusal`` is what the next request of each reader is
    answered until ``refuses_until``, but for the readers that were ``refused`` already.
    """

    owner: str
    id: str
    expires: int
    faults: int = 0
    refusal: Fault | None = None
    refuses_until: int = 0
    refused: tuple[str, ...] = ()

    @classmethod
    def new(cls, owner: str, now_ms: int) -> "Trial":
        """Return one that begins now."""
        return cls(owner, secrets.token_hex(8), now_ms + int(1000 * TRIAL_SECONDS))

    @classmethod
    def parse(cls, text: str) -> "Trial":
        """Return the trial of a record."""
        said = json.loads(text)
        refusal = said.pop("refusal")
        refused = tuple(said.pop("refused"))
        return cls(**said, refusal=refusal and Fault(refusal), refused=refused)

    def render(self) -> str:
        """Return it as a record's text."""
        return json.dumps(self._asdict())

    @property
    def stream(self) -> str:
        """The name of its stream."""
        return f"{base_of(self.owner)}:{self.id}"

    def asked(self, fault: Fault, now_ms: int) -> "Trial":
        """Return it with one more fault asked for; raise TooManyRequests when it had enough."""
        if self.faults >= MAX_FAULTS:
            raise TooManyRequests(
                f"a trial has at most {MAX_FAULTS} faults: begin another",
                max(0.0, (self.expires - now_ms) / 1000),
            )
        it = self._replace(faults=self.faults + 1)
        if not fault.refuses:
            return it
        until = now_ms + int(1000 * REFUSAL_SECONDS)
        return it._replace(refusal=fault, refuses_until=until, refused=())

    def answer(self, reader: str, now_ms: int) -> Fault | None:
        """Return what the next request of ``reader`` is refused with, None if it is served."""
        is_due = now_ms < self.refuses_until and reader not in self.refused
        return self.refusal if is_due else None

    def told(self, reader: str) -> "Trial":
        """Return it after ``reader`` was refused."""
        return self._replace(refused=(*self.refused, reader))


def base_of(owner: str) -> str:
    """Return the name which a token must be allowed to append to for this owner's trials."""
    return f"trial:{owner}"


def trial_id(text: str) -> str:
    """Return ``text`` if it may be a trial's id; raise NotFound otherwise."""
    if not _ID.fullmatch(text):
        raise NotFound("there is no such trial")
    return text
