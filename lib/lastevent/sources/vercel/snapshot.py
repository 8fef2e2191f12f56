"""What a deployment looks like at one moment: the fields of the API's answer that we use.

https://vercel.com/docs/rest-api/deployments/get-a-deployment-by-id-or-url
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lastevent.core.errors import UpstreamLost

State = Literal["building", "ready", "error", "canceled", "blocked"]

STATES: Mapping[str, State] = {
    "QUEUED": "building",
    "INITIALIZING": "building",
    "BUILDING": "building",
    "READY": "ready",
    "ERROR": "error",
    "CANCELED": "canceled",
    "BLOCKED": "blocked",
}

FINAL = frozenset({"READY", "ERROR", "CANCELED"})
"""States that no deployment leaves."""

ENDING = FINAL | {"BLOCKED"}
"""States after which nothing more is built: a blocked one goes on only if somebody lets it."""

_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A deployment. Times in Unix ms, None where the API does not tell.

    ``ready_state`` is the vendor's word; one that we do not know counts as building.
    """

    id: str
    name: str
    ready_state: str
    project: str | None = None
    url: str | None = None
    inspector_url: str | None = None
    error: str | None = None
    created: int | None = None
    ended: int | None = None

    @classmethod
    def parse(cls, answer: Any) -> "Snapshot":
        """Read the API's answer; raise UpstreamLost for one that does not describe a deployment."""
        if not isinstance(answer, dict):
            raise UpstreamLost("Vercel's answer does not describe a deployment")
        id, ready_state = _text(answer, "id"), _text(answer, "readyState")
        if id is None or ready_state is None:
            raise UpstreamLost("Vercel's answer does not describe a deployment")
        ended = None
        if ready_state in ENDING:
            ended = _time(answer, "ready") or _time(answer, "canceledAt")
        return cls(
            id=id,
            name=_text(answer, "name") or id,
            ready_state=ready_state,
            project=_text(answer, "projectId"),
            url=_https(_text(answer, "url")),
            inspector_url=_https(_text(answer, "inspectorUrl")),
            error=_error(answer, ready_state),
            created=_time(answer, "createdAt"),
            ended=ended,
        )

    @property
    def state(self) -> State:
        """What the page calls it."""
        return STATES.get(self.ready_state, "building")


def _error(answer: Mapping[str, Any], ready_state: str) -> str | None:
    if ready_state == "BLOCKED":
        return _text(answer, "readyStateReason") or "The deployment is blocked."
    if ready_state != "ERROR":
        return None
    return _text(answer, "errorMessage") or _text(answer, "errorCode") or "The deployment failed."


def _text(answer: Mapping[str, Any], name: str) -> str | None:
    value = answer.get(name)
    # Half a surrogate pair is JSON, and nothing that can be stored.
    return value[:_LONGEST].encode(errors="replace").decode() if isinstance(value, str) else None


def _time(answer: Mapping[str, Any], name: str) -> int | None:
    value = answer.get(name)
    return int(value) if isinstance(value, int | float) and 0 < value < 1 << 53 else None


def _https(address: str | None) -> str | None:
    """Return an address that a page may link to: the API gives host names."""
    if not address or "://" in address:
        return address if address and address.startswith(("https://", "http://")) else None
    return f"https://{address}"
