"""The application's start and end (ASGI, "Lifespan Protocol")."""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message

from lastevent.core.errors import ConfigError


class Lifespan:
    """Runs the lifespan of ``app`` in a task of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._asked: asyncio.Queue[Message] = asyncio.Queue()
        self._said: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Future[None] | None = None

    async def startup(self) -> None:
        """Start the application; raise what it raises, or ConfigError if it says that it failed."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}
        self._task = asyncio.ensure_future(self._app(scope, self._asked.get, self._said.put))
        await self._until("startup")

    async def shutdown(self) -> None:
        """End the application; raise what it raises, or ConfigError if it says that it failed."""
        await self._until("shutdown")

    async def _until(self, phase: str) -> None:
        assert self._task is not None
        await self._asked.put({"type": f"lifespan.{phase}"})
        said = asyncio.ensure_future(self._said.get())
        either: set[asyncio.Future[Any]] = {said, self._task}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not said.done():
            said.cancel()
            self._task.result()
            raise ConfigError(f"the application ended without a word on its {phase}")
        message = said.result()
        if message["type"] != f"lifespan.{phase}.complete":
            raise ConfigError(message.get("message") or f"the application's {phase} failed")
