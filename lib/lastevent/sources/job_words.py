"""How external services word the updates of a job: where a thing stands in a message, and what its
type means. Two tables, and the settings that change them. No IO.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from lastevent.core.errors import ConfigError

Kind = Literal["progress", "done", "failed", "refused", "joined", "ignored", "update"]
"""What a message means: ``refused`` is an error that is a refusal when it answers the joining,
``joined`` says that the joining succeeded, ``update`` is all that no table knows."""

Path = tuple[str, ...]

ENVELOPES = ("data", "payload")
"""Objects within a message that hold its fields as well as it does itself."""


def _paths(*names: str) -> tuple[Path, ...]:
    """Return where a field of one of these names may stand."""
    keys = [tuple(name.split(".")) for name in names]
    return tuple((*inside, *key) for inside in [(), *((it,) for it in ENVELOPES)] for key in keys)


FIELDS: Mapping[str, tuple[Path, ...]] = {
    "type": _paths("type", "event", "kind"),
    "job": _paths("jobId", "job_id"),
    "status": _paths("status", "state"),
    "progress": _paths(
        *("progress", "percent", "percentage"),
        *("progress.progress", "progress.percent", "progress.percentage"),
    ),
    "processed": _paths("processed", "current", "progress.processed", "progress.current"),
    "total": _paths("total", "progress.total"),
    "message": _paths("message", "text", "detail", "progress.message"),
    "error": _paths("error", "errorMessage", "error.message"),
    "result": _paths("result"),
}
"""Field to the places where it may stand; the first that holds something of the kind counts."""

WORDS: Mapping[Kind, str] = {
    "progress": "progress,update,updated,status,state,job,job_update,job_progress,job_status,"
    "progress_update,status_update,import_progress,import_update,import_status",
    "done": "done,complete,completed,finished,success,succeeded,"
    "job_done,job_complete,job_completed,job_finished,import_complete,import_completed",
    "failed": "failed,failure,cancelled,canceled,aborted,job_failed,job_error,import_failed,"
    "import_error",
    "refused": "error,unauthorized,forbidden,not_found,join_error",
    "ignored": "ping,pong,heartbeat,keepalive,connected,welcome,hello,ack,joined,subscribed",
    "joined": "",
    "update": "",
}
"""Kind to the types (and statuses) that mean it, however they write their words."""


def parse_fields(text: str) -> tuple[dict[str, tuple[Path, ...]], float]:
    """Read ``FIELD=PATH,PATH; FIELD=PATH``; return the table, and what progress is multiplied by.

    A field named here is looked for at these places only. ``progress=done*100`` is for a service
    that says a fraction. Raises ConfigError.
    """
    table, factor = dict(FIELDS), 1.0
    for name, value in _entries(text, tuple(FIELDS)):
        if name == "progress" and "*" in value:
            value, _, multiplier = value.partition("*")
            if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", multiplier) or not float(multiplier):
                raise ConfigError("after the * of progress write a number, such as ratio*100")
            factor = float(multiplier)
        places = [part.strip() for part in value.split(",")]
        if not all(re.fullmatch(r"[^\s.]+(\.[^\s.]+){0,7}", place) for place in places):
            raise ConfigError(f"{name}: write keys joined by dots, such as data.percent")
        table[name] = tuple(tuple(place.split(".")) for place in places)
    return table, factor


def parse_types(text: str) -> dict[str, Kind]:
    """Read ``KIND=TYPE,TYPE; KIND=TYPE`` over the defaults; raise ConfigError.

    A kind named here is meant by these types only, and they no longer mean another.
    """
    named: dict[Kind, str] = dict(_entries(text, get_args(Kind)))
    defaults = {kind: words for kind, words in WORDS.items() if kind not in named}
    return {
        plain(word): kind
        for table in (defaults, named)  # in this order: what is named counts
        for kind, words in table.items()
        for word in words.split(",")
        if word.strip()
    }


def _entries(text: str, known: tuple[str, ...]) -> Iterator[tuple[Any, str]]:
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = (part.strip() for part in entry.partition("="))
        if not equals or not value or name not in known:
            raise ConfigError(
                f"{entry[:60]!r} is not NAME=VALUE,VALUE with a name of {', '.join(known)}; "
                "join by semicolons"
            )
        yield name, value


def plain(word: str) -> str:
    """Return a word as all writings of it are: jobCompleted, job:completed, JOB-COMPLETED."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\s.:/-]+", "_", word.strip()).lower()
