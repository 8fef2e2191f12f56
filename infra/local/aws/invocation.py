"""One event on its way through a function, and the answer on its way back."""

import asyncio
import json
import secrets
import time
import uuid
from collections import deque
from dataclasses import dataclass

# So many parts wait for a caller that does not read; then the function waits.
MAX_WAITING_PARTS = 16


class Throttled(Exception):
    """No execution environment is free, and no more may be started."""


class InvocationFailed(Exception):
    """The function did not answer, or not to the end.

    ``kind`` is the error's type as Lambda names it (`Function.<…>` and `Runtime.<…>`, or
    `Sandbox.Timedout`), ``payload`` the JSON that a caller of the Invoke API would get.
    """

    def __init__(self, kind: str, payload: bytes) -> None:
        super().__init__(f"{kind}: {payload.decode(errors='replace')}")
        self.kind = kind
        self.payload = payload

    @classmethod
    def of(cls, kind: str, message: str) -> "InvocationFailed":
        """Make one in the form that Lambda itself reports errors in."""
        return cls(kind, json.dumps({"errorType": kind, "errorMessage": message}).encode())


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """What is known of an answer before its first byte."""

    streaming: bool
    """Whether the runtime streams: `Lambda-Runtime-Function-Response-Mode: streaming`."""
    content_type: str


class Invocation:
    """One event, and the answer as the runtime gives it.

    The runtime's side calls `begin`, `put` and `finish`, or `fail` at any time; the caller's side
    awaits `head`, reads `part` after part, or calls `drop`. ``over`` is set when the invocation no
    longer occupies its execution environment.
    """

    def __init__(self, event: bytes) -> None:
        self.id = str(uuid.uuid4())
        self.attempt = str(uuid.uuid4())
        self.trace = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Sampled=0"
        self.event = event
        self.deadline_ms = 0
        """When the platform ends it, in Unix time; set when it is handed to a runtime."""
        self.claimed = False
        """Whether the runtime has begun to answer, in whatever way."""
        self.over = asyncio.Event()
        self._head: asyncio.Future[AnswerHead] = asyncio.get_running_loop().create_future()
        # A caller may have gone before it looked.
        self._head.add_done_callback(lambda head: head.exception())
        self._parts: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._complete = False
        self._dropped = False
        self._failure: InvocationFailed | None = None

    @property
    def answered(self) -> bool:
        """Whether the answer is complete, or never will be."""
        return self._complete or self._failure is not None

    @property
    def failure(self) -> InvocationFailed | None:
        """Why the answer broke off, or never came."""
        return self._failure

    def begin(self, head: AnswerHead) -> None:
        """Say what kind of answer comes."""
        if not self._head.done():
            self._head.set_result(head)

    async def put(self, part: bytes) -> None:
        """Pass on a part of the answer; return when there is room for the next."""
        while len(self._parts) >= MAX_WAITING_PARTS and not self.answered and not self._dropped:
            self._room.clear()
            await self._room.wait()
        if part and not self.answered and not self._dropped:
            self._parts.append(part)
            self._changed.set()

    def finish(self) -> None:
        """The answer is complete."""
        self._complete = True
        self._wake()

    def fail(self, failure: InvocationFailed) -> None:
        """No more comes. What was put before still arrives; a complete answer stays complete."""
        if not self.answered:
            self._failure = failure
            if not self._head.done():
                self._head.set_exception(failure)
            self._wake()

    async def head(self) -> AnswerHead:
        """Return what kind of answer comes. Raises InvocationFailed."""
        return await asyncio.shield(self._head)

    async def part(self) -> bytes | None:
        """Return the next part of the answer, None at its end.

        Raises InvocationFailed where it breaks off.
        """
        while not self._parts:
            if self._failure:
                raise self._failure
            if self._complete:
                return None
            self._changed.clear()
            await self._changed.wait()
        self._room.set()
        return self._parts.popleft()

    async def whole(self, limit: int) -> bytes:
        """Return the whole answer. Raises InvocationFailed, also for one beyond ``limit``."""
        await self.head()
        collected = bytearray()
        while (part := await self.part()) is not None:
            collected += part
            if len(collected) > limit:
                self.drop()
                raise InvocationFailed.of("Function.ResponseSizeTooLarge", f"over {limit} bytes")
        return bytes(collected)

    def drop(self) -> None:
        """Nobody waits for the answer any more: what comes is thrown away, at once."""
        self._dropped = True
        self._parts.clear()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._room.set()
