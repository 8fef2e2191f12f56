"""What is known of one preview, and what its log says of how it ended. No IO.

It is a run (run.py) that ends as ``exited``, with a code or by a signal, when its command did.
"""

import json
import secrets
from dataclasses import dataclass, replace

from lastevent.core.event import Event
from lastevent.services.run import Run, iso

_LATEST = (1 << 44) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(Run):
    """A preview's record; ``name`` is its command's.

    ``code`` and ``signal`` are known of what has exited: one of them, None the other.
    """

    name: str
    code: int | None = None
    signal: str | None = None

    @classmethod
    def new(cls, name: str, host: str, now_ms: int) -> "Preview":
        """Return one that is about to start. Ids sort newest first, as lists are to be."""
        id = f"{_LATEST - now_ms:011x}{secrets.token_hex(3)}"
        return cls(id=id, name=name, state="starting", started_at=iso(now_ms), host=host)

    @property
    def stream(self) -> str:
        """The name of the stream with its log."""
        return stream_of(self.id)

    def ended(self, last: Event) -> "Preview":
        """Return it after the end that the ``last`` event of its log tells."""
        it = replace(self, state="lost", ended_at=iso(last.time))
        if last.type != "exit":
            return it
        said = json.loads(last.data)
        return replace(it, state="exited", code=said["code"], signal=said["signal"])


def stream_of(id: str) -> str:
    """Return the name of the stream with the log of the preview ``id``."""
    return f"preview:{id}"
