"""What a platform tells of one request: an adapter puts it into the scope, a leg obeys it."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

SCOPE_KEY = "lastevent.invocation"


@dataclass(frozen=True, slots=True)
class Invocation:
    """The bounds of one request.

    ``deadline``: when the platform cuts it, an instant of the event loop's clock. ``buffered``: the
    client gets nothing before the response is whole. ``held_is_billed``: the platform bills each
    second that the response is held, whether or not it does anything.
    """

    deadline: float | None = None
    buffered: bool = False
    held_is_billed: bool = False


def invocation_of(scope: MutableMapping[str, Any]) -> Invocation:
    """Return what the adapter has put into a request's scope; without one, nothing bounds it."""
    found = scope.get(SCOPE_KEY)
    return found if isinstance(found, Invocation) else Invocation()
