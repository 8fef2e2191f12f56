"""Three shapes of log events, as one. No IO.

    wrapped          {"type", "created", "payload": {"id", "date", "serial", "text", "info": {…}}}
    flat             {"type", "created", "id", "date", "serial", "text", "level", "info": {…}}
    alias-assigned   {"type", "date", "alias": […], "aliasError", "aliasWarning"}

https://vercel.com/docs/rest-api/deployments/get-deployment-events and the vendor's SDK
(``GetDeploymentEventsResponseBody``), in which ``serial`` is text and ``info.step`` may be absent.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["error", "warning", "info", "command"]

LEVELS: Mapping[str, Level] = {
    "command": "command",
    "stdout": "info",
    "stderr": "warning",
    "fatal": "error",
    "exit": "info",
    "deployment-state": "info",
}
"""Types that may carry a line, and its level where the event names none. Other types
(``delimiter``, ``metric``, ``report``, requests to the deployment) are no part of a build's log."""

STATE_TYPES = frozenset({"deployment-state", "alias-assigned"})

MAX_TEXT = 32_768
"""Characters of one line; what is beyond is cut off, and said to be."""

_LONGEST_SERIAL = 40


@dataclass(frozen=True, slots=True)
class LogEvent:
    """An event of a build's log. ``date`` is in Unix ms.

    ``text``: the line, None if there is none to show. ``tells_state``: the deployment's state may
    have changed with it.
    """

    id: str
    date: int
    serial: str
    level: Level
    text: str | None
    step: str | None = None
    tells_state: bool = False

    @property
    def place(self) -> tuple[int, int, str, str]:
        """Where it stands in the log: by date, then by serial, a number if it is one."""
        number = int(self.serial) if self.serial.isdecimal() else -1
        return self.date, number, self.serial, self.id


def parse_events(events: Iterable[Any]) -> list[LogEvent]:
    """Return what is part of a build's log, in order, each id once; pass over all else."""
    found = {event.id: event for item in events if (event := _parse(item)) is not None}
    return sorted(found.values(), key=lambda event: event.place)


def _parse(event: Any) -> LogEvent | None:
    if not isinstance(event, dict):
        return None
    type = event.get("type")
    payload = event.get("payload")
    body: Mapping[str, Any] = payload if isinstance(payload, dict) else event
    date = next(
        filter(None, map(_time, (body.get("date"), body.get("created"), event.get("created")))),
        None,
    )
    if date is None:
        return None  # what has no time has no place
    if type == "alias-assigned":
        return _alias_assigned(body, date)
    if type not in LEVELS:
        return None
    text = body.get("text")
    info = body.get("info")
    step = info.get("step") if isinstance(info, dict) else None
    serial = _serial(body.get("serial"))
    id = body.get("id")
    if not isinstance(id, str) or not id:
        id = _made_up_id(type, date, serial, text)
    return LogEvent(
        id=_clean(id)[:200],
        date=date,
        serial=serial,
        level=_level(body.get("level"), str(type)),
        text=_clean(text) if isinstance(text, str) else None,
        step=_clean(step)[:200] if isinstance(step, str) and step else None,
        tells_state=type in STATE_TYPES,
    )


def _alias_assigned(body: Mapping[str, Any], date: int) -> LogEvent:
    names = body.get("alias")
    aliases = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    level: Level = "info"
    text = f"Assigned to {', '.join(aliases)}" if aliases else None
    worse: dict[str, Level] = {"aliasWarning": "warning", "aliasError": "error"}
    for field, its_level in worse.items():
        trouble = body.get(field)
        if isinstance(trouble, dict) and isinstance(trouble.get("message"), str):
            text, level = trouble["message"], its_level
    return LogEvent(
        id=_made_up_id("alias-assigned", date, aliases),
        date=date,
        serial="",
        level=level,
        text=None if text is None else _clean(text),
        tells_state=True,
    )


def _level(named: Any, type: str) -> Level:
    if named in ("error", "warning"):
        level: Level = named
        return level
    return LEVELS[type]


def _serial(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and len(value) <= _LONGEST_SERIAL else ""


def _time(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1 << 53:
        return None
    return int(value)


def _clean(text: str) -> str:
    """Return text that can be stored: not endless, and no half of a surrogate pair."""
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}… [{len(text) - MAX_TEXT} more characters]"
    return text.encode(errors="replace").decode()


def _made_up_id(*known: object) -> str:
    """Return an id for an event without one: the same for the same event."""
    return hashlib.blake2b(json.dumps(known).encode(), digest_size=12).hexdigest()
