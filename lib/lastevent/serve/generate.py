"""Any async iterator becomes a stream with one call, and goes on without its viewers.

    await generate(service, "report:42", items)     here, as long as the process lives
    a task: await generate(…, invocation)           as long as its invocation may

A function that runs where its process may be frozen does it in a task (serve/tasks): it announces
the stream, has the task spawned and answers. docs/generators.md shows it.
"""

from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import suppress

from lastevent.core.errors import Transient
from lastevent.core.event import MESSAGE
from lastevent.core.topic import stream_name
from lastevent.serve.invocation import Invocation
from lastevent.serve.service import Service
from lastevent.serve.subscribe import Subscription
from lastevent.serve.window import Types
from lastevent.services.generation import Generation
from lastevent.services.generations import KIND, Generations
from lastevent.sources.items import Item


async def announce(service: Service, stream: str) -> Generation:
    """Say that ``generate`` will be called for this stream, by a task that is about to be spawned.

    From now on it can be watched and cancelled, and if the task never comes its stream ends with a
    ``failure``. Raises Conflict if it was said before.
    """
    return await _of(service).announce(stream_name(stream))


async def generate(
    service: Service,
    stream: str,
    items: AsyncIterable[Item],
    invocation: Invocation | None = None,
    *,
    type: str = MESSAGE,
) -> Generation:
    """Append all that ``items`` gives to a new stream, then close it.

    Returns as soon as that has begun. With the ``invocation`` of a task it returns when it is over,
    which it is in good time before the invocation's deadline.

    Text is an event of ``type`` as it is, a dict or a list as its JSON; a NewEvent says itself what
    it is. The last event is ``done``, ``cancelled`` or ``failure``. The iterator is closed in any
    case. Raises InvalidName, InvalidEvent for a type that cannot be, and Conflict for a stream that
    is there already: nothing is generated twice.
    """
    generations = _of(service)
    deadline = None if invocation is None else invocation.deadline
    begun = await generations.begin(stream_name(stream), items, type=type, deadline=deadline)
    if invocation is None:
        return begun
    await generations.attend(stream, service.stopping)
    return await generations.get(stream)


async def generation(service: Service, stream: str) -> Generation:
    """Return what has become of a generation; raise NotFound."""
    return await _of(service).get(stream_name(stream))


async def cancel(service: Service, stream: str) -> Generation:
    """Have a generation end, in whichever process it is; return it, as a rule ``stopping``.

    Its iterator is closed and its stream ends with ``cancelled``: at once if it is this process's,
    otherwise within a third of LASTEVENT_LEASE_SECONDS. One that has ended stays as it is. Raises
    NotFound.
    """
    return await _of(service).cancel(stream_name(stream))


async def generated(service: Service, stream: str, *, types: Types = None) -> Subscription:
    """Return the subscription to a generation's stream, which ends even if its process is killed:
    whoever follows it finds that out. Raises NotFound."""
    generations = _of(service)
    with suppress(Transient):  # the leg says so itself, and keeps its client (RULES 18)
        await generations.get(stream_name(stream))
    return Subscription((stream,), types=types, during=lambda _: generations.watch(stream))


async def sweep(service: Service) -> Sequence[Mapping[str, object]]:
    """End the streams of generations whose process is gone; return them."""
    lost = await _of(service).sweep()
    return [{"stream": it.stream, "kind": KIND, "state": it.state} for it in lost]


def _of(service: Service) -> Generations:
    return service.part(_generations)


def _generations(service: Service) -> Generations:
    return Generations(service.store, lease_seconds=service.settings.lease_seconds)
