"""What a platform tells of one request: an adapter puts it into the scope, a leg obeys it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from lastevent.serve.tasks import Task

SCOPE_KEY = "lastevent.invocation"


class Invocation(NamedTuple):
    """The bounds of one request, and what may outlive it.

    ``deadline``: when the platform cuts it, an instant of the event loop's clock. ``buffered``: the
    client gets nothing before the response is whole. ``held_is_billed``: the platform bills each
    second that the response is held, whether or not it does anything. ``may_freeze``: the process
    may be frozen while no request is in flight. ``spawn``: how the platform starts a task in an
    invocation of its own, None where a task of this process has to do; for tasks.spawn alone.
    """

    deadline: float | None = None
    buffered: bool = False
    held_is_billed: bool = False
    may_freeze: bool = False
    spawn: "Callable[[Task], Awaitable[None]] | None" = None


def invocation_of(scope: MutableMapping[str, Any]) -> Invocation:
    """Return what the adapter has put into a request's scope; without one, nothing bounds it."""
    found = scope.get(SCOPE_KEY)
    return found if isinstance(found, Invocation) else Invocation()
