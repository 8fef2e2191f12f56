"""AWS Lambda with whole answers: behind an HTTP API, or anything else that does not stream.

Mangum turns the event into a request and the response into an answer. Around it stands what it does
not do: the bounds of the invocation, an answer that is whole in any case, a process that lets go of
what it must not hold while it is frozen, and a start that fails where the platform looks for it.
"""

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any, cast

from starlette.types import Message, Receive, Scope, Send

from lastevent.adapters.lambda_invoke import own_function
from lastevent.serve.app import App
from lastevent.serve.invocation import SCOPE_KEY, Invocation
from lastevent.serve.tasks import Task

if TYPE_CHECKING:
    from mangum import Mangum

log = logging.getLogger("lastevent")

REST_SECONDS = 2.0
IN_BASE64 = ["none/none"]
"""The content types that Mangum may write as JSON text: escapes would make that grow by an unknown
factor, base64 makes it grow by a third, and the limit is on what has grown."""


class LambdaHandler:
    """``handler(event, context)`` for ``app``.

    On Lambda it begins at once, so that a setting that cannot be right fails the initialisation,
    with its sentence; anywhere else at the first call.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._mangum: Mangum | None = None
        self._loop: asyncio.AbstractEventLoop
        self._spawn = own_function(os.environ)
        if os.environ.get("AWS_LAMBDA_RUNTIME_API") and not _runs_in_a_loop():
            self._begin()

    def __call__(self, event: dict[str, Any], context: Any) -> Any:
        """Answer one event of an HTTP API, a REST API or a function URL, or do a task.

        What a task raises, or one that cannot be read, is a failed invocation.
        """
        mangum = self._mangum or self._begin()
        task = Task.of_event(event)
        if task is not None:
            return self._loop.run_until_complete(self._perform(task, context))
        return mangum(event, context)

    def _begin(self) -> "Mangum":
        from mangum import Mangum

        # One loop for all invocations: the connections to the store belong to it.
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._app.begin())
        except BaseException:
            loop.close()
            raise
        asyncio.set_event_loop(loop)
        self._loop = loop
        self._mangum = Mangum(self._serve, lifespan="off", text_mime_types=IN_BASE64)
        return self._mangum

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[SCOPE_KEY] = self._invocation(scope["aws.context"], buffered=True)
        answer = _Answer(send)
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            if not answer.started:
                raise  # Mangum answers 500
            log.exception("a response broke off")
        finally:
            await self._rest()
        await answer.complete()

    async def _perform(self, task: Task, context: Any) -> object:
        try:
            return await self._app.perform(task, self._invocation(context))
        finally:
            await self._rest()

    def _invocation(self, context: Any, *, buffered: bool = False) -> Invocation:
        left = cast(float, context.get_remaining_time_in_millis()) / 1000
        return Invocation(
            deadline=asyncio.get_running_loop().time() + left,
            buffered=buffered,
            held_is_billed=True,
            may_freeze=True,
            spawn=self._spawn,
        )

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(REST_SECONDS):
                await self._app.rest()
        except Exception:
            log.exception("the process could not let go of everything")


def _runs_in_a_loop() -> bool:
    """Whether this is called in an event loop: the streaming runtime imports functions in its own,
    and does not call their handlers."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Answer:
    """Sees that a response that has begun is completed: without that, nothing of it arrives."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False
        self._whole = False

    async def send(self, message: Message) -> None:
        if self._whole:
            return
        self.started = True
        self._whole = message["type"] == "http.response.body" and not message.get("more_body")
        await self._send(message)

    async def complete(self) -> None:
        if self.started and not self._whole:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
