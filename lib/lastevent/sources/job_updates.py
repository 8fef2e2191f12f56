"""What an external service says of a job, made into events. No IO.

Services word their updates differently. Where in a message a thing stands is a table of fields,
what its type means a table of words, and both have settings. The defaults understand the usual
names, at the top of a message or in its ``data`` or ``payload``.

The type decides what a message means; a type that no table knows never ends a job, whatever status
stands beside it. Where there is no type, or it only says that something goes on, the status decides
whether the job is over.

    progress   {"jobId","progress","status","message","data"}: each only if it is known
    update     the same with "type", the service's own word: what is not about progress
    done       the same with "progress": 100 and "result"; the last one
    failed     the same with "error"; the last one

``progress`` is a percentage, ``data`` what else the message holds.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from lastevent.core.event import NewEvent
from lastevent.sources.job_words import ENVELOPES, FIELDS, Kind, Path, parse_types, plain

MAX_EVENT_BYTES = 64 * 1024
MAX_TEXT = 4000


class Unreadable(Exception):
    """A message to pass over; ``str(error)`` says why, and nothing of what it says."""


@dataclass(frozen=True, slots=True)
class Update:
    """One message: what it means, and its ``event``; ``mark`` is the same for those that say the
    same of the job, whatever else they hold."""

    kind: Kind
    event: NewEvent
    mark: str

    @property
    def error(self) -> str:
        """What is wrong, of one that failed or refuses."""
        return str(json.loads(self.event.data)["error"])


@dataclass(frozen=True, slots=True)
class Mapper:
    """How one service words its updates: places of ``fields``, kinds of ``words``.

    ``secret`` is taken out of whatever it says.
    """

    fields: Mapping[str, tuple[Path, ...]] = field(default_factory=lambda: FIELDS)
    words: Mapping[str, Kind] = field(default_factory=lambda: parse_types(""))
    factor: float = 1.0
    secret: str | None = field(default=None, repr=False)

    @property
    def waits_for_join(self) -> bool:
        """Whether the service is known to say when a joining has succeeded."""
        return "joined" in self.words.values()

    def read(self, message: str | bytes, job: str) -> Update:
        """Return what ``message`` says of ``job``; raise Unreadable if that is nothing."""
        try:
            said = json.loads(message, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise Unreadable("it is not JSON") from None
        if not isinstance(said, dict):
            raise Unreadable("it is not a JSON object")
        found = _Found(said, self.fields)
        named = found.text("job")
        if named is not None and named != job:
            raise Unreadable("it is about another job")
        return self._update(found, job)

    def _update(self, found: "_Found", job: str) -> Update:
        kind_text, status = found.text("type"), found.text("status")
        progress = self._progress(found)
        kind = self._kind(kind_text, status, progress)
        message, error = found.text("message"), found.text("error")
        known: dict[str, Any] = {
            "type": kind_text if kind == "update" else None,
            "progress": 100 if kind == "done" else progress,
            "status": status,
            "message": message,
            "result": found.value("result") if kind == "done" else None,
            "error": error,
        }
        if kind in ("failed", "refused"):
            known["error"] = error or message or "The job failed."
        data: dict[str, Any] = {"jobId": job}
        data |= {name: value for name, value in known.items() if value is not None}
        mark = blake2b(_compact([kind, data]).encode(), digest_size=9).hexdigest()
        name = "failed" if kind == "refused" else kind
        if rest := found.rest():
            data["data"] = rest
        return Update(kind, NewEvent(name, self._text(data)), mark)

    def _text(self, data: dict[str, Any]) -> str:
        text = self._redacted(_compact(data))
        if len(text) > MAX_EVENT_BYTES:
            kept = {name: it for name, it in data.items() if name not in ("data", "result")}
            text = self._redacted(_compact(kept | {"truncated": True}))
        return text

    def _redacted(self, text: str) -> str:
        if not self.secret:
            return text
        return text.replace(_compact(self.secret)[1:-1], "[redacted]")

    def _kind(self, kind: str | None, status: str | None, progress: float | None) -> Kind:
        meant = self.words.get(plain(kind), "update") if kind else None
        if meant not in (None, "progress"):
            return meant
        over = self.words.get(plain(status)) if status else None
        if over in ("done", "failed"):
            return over
        if over == "refused":
            return "failed"
        about_progress = meant == "progress" or status is not None or progress is not None
        return "progress" if about_progress else "update"

    def _progress(self, found: "_Found") -> float | None:
        percentage = found.number("progress")
        if percentage is not None:
            percentage *= self.factor
        else:
            processed = found.number("processed", take=False)
            total = found.number("total", take=False)
            if processed is None or total is None or total <= 0:
                return None
            percentage = 100 * processed / total
        rounded = round(min(max(percentage, 0.0), 100.0), 2)
        return int(rounded) if rounded.is_integer() else rounded


class _Found:
    """The fields of one message, and what of it no field took."""

    def __init__(self, said: dict[str, Any], fields: Mapping[str, tuple[Path, ...]]) -> None:
        self._said = said
        self._fields = fields
        self._taken: set[Path] = set()

    def value(self, name: str) -> Any:
        """Take what stands first at one of the field's places; None if nothing does."""
        for path, value in self._values(name, object):
            self._taken.add(path)
            return value
        return None

    def text(self, name: str) -> str | None:
        """Take the first text of a field, or number as text; cut to MAX_TEXT characters."""
        for path, value in self._values(name, str, int):
            if text := str(value).strip():
                self._taken.add(path)
                return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
        return None

    def number(self, name: str, *, take: bool = True) -> float | None:
        """Take the first number of a field, or leave it; a text such as "45 %" is one too."""
        for path, value in self._values(name, str, int, float):
            try:
                number = float(value.rstrip("% ") if isinstance(value, str) else value)
            except (ValueError, OverflowError):
                continue
            if math.isfinite(number):
                if take:
                    self._taken.add(path)
                return number
        return None

    def rest(self) -> dict[str, Any]:
        """Return what has not been taken, the envelopes opened."""
        return self._rest(self._said, ())

    def _rest(self, said: dict[str, Any], at: Path) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, value in said.items():
            if (*at, key) in self._taken:
                continue
            if isinstance(value, dict) and not at and key in ENVELOPES:
                kept |= self._rest(value, (key,))
            else:
                kept[key] = value
        return kept

    def _values(self, name: str, *kinds: type) -> Iterator[tuple[Path, Any]]:
        for path in self._fields.get(name, ()):
            value: Any = self._said
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None and isinstance(value, kinds) and not isinstance(value, bool):
                yield path, value


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
