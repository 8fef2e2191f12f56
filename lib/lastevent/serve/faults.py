"""What the responses of a trial do at request: end early, be cut, or fall silent.

A fault is an event of the trial's stream, so that it comes to whichever process serves a reader,
over the same way as everything else. The response that carries it does as it says, once its reader
is live: in what is replayed, faults are history.
"""

import asyncio
import re

from starlette.types import Message, Send

from lastevent.core.bounds import Reason
from lastevent.serve.response import LegResponse
from lastevent.services.trial import FAULT, Fault

SILENT_BEATS = 3.0
"""How many heartbeats a stall lasts at most: clients give up after two. A leg's end ends it too."""

_LIVE = b'data: {"state":"live"}\n'
_FAULT = re.compile(
    rb'\nevent: %b\ndata: \{"fault":"(%b)"\}\n\n'
    % (FAULT.encode(), "|".join(fault.value for fault in Fault).encode())
)


class FaultySend:
    """Passes on what ``response`` sends, until a fault is among it."""

    def __init__(self, response: LegResponse, send: Send, heartbeat_seconds: float) -> None:
        self._response = response
        self._send = send
        self._silence = SILENT_BEATS * heartbeat_seconds
        self._live = False
        self._is_cut = False

    async def __call__(self, message: Message) -> None:
        """Send a message, or what a fault leaves of it."""
        body = message.get("body", b"")
        found = _FAULT.search(body, self._place_of_live(body))
        if self._is_cut:
            return
        if found is None:
            await self._send(message)
            return
        fault = Fault(found[1].decode())
        if fault is Fault.CUT:
            self._is_cut = True
            # Within the event, its id before it: who took it for whole would skip an event.
            await self._send({**message, "body": body[: found.start(1)], "more_body": True})
            self._response.cut()
        elif fault is Fault.STALL:
            await self._send({**message, "body": body[: found.end()], "more_body": True})
            await asyncio.sleep(self._silence)
            await self._send({**message, "body": body[found.end() :]})
        else:
            await self._send(message)
            # Not within what it is sending.
            asyncio.get_running_loop().call_soon(self._response.end, Reason.DURATION)

    def _place_of_live(self, body: bytes) -> int:
        """Return from where on ``body`` is no replay; its end if it is nothing else."""
        if self._live:
            return 0
        place = body.find(_LIVE)
        self._live = place >= 0
        return place if self._live else len(body)
