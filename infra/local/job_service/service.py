"""The application: what a client of the service sees."""

import asyncio
import contextlib
import json
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from infra.local.job_service.jobs import Connection, Faults, Job

_TRANSPORT = "job_service.transport"
JOIN_SECONDS = 10.0


class ReachableProtocol(WebSocketsSansIOProtocol):
    """uvicorn's own, with the transport in each connection's extensions: the faults need it."""

    async def run_asgi(self) -> None:
        """Serve one connection."""
        extensions: dict[str, Any] = self.scope.setdefault("extensions", {})
        extensions[_TRANSPORT] = self.transport
        await super().run_asgi()


class JobService:
    """Jobs, and who hears of them. To be served with `ReachableProtocol`.

    ``key``: what clients must show, as a bearer token, in ``X-Api-Key`` or in the join message;
    None if all are served. ``acknowledges``: a joining is answered. ``tells_state``: whoever joins
    is told the last thing said. ``forbidden``: users who may see nothing.
    """

    def __init__(
        self,
        key: str | None = None,
        *,
        acknowledges: bool = False,
        tells_state: bool = False,
        forbidden: frozenset[str] = frozenset(),
    ) -> None:
        self.jobs: dict[str, Job] = {}
        self.faults = Faults()
        self.checks: list[tuple[str, str]] = []
        self.shown: list[str] = []
        """Where clients showed the key: Authorization, X-Api-Key, message."""
        self._key = key
        self._acknowledges = acknowledges
        self._tells_state = tells_state
        self._forbidden = forbidden
        self._running: set[asyncio.Task[None]] = set()
        self.routes = [
            WebSocketRoute("/ws", self._joined_by_message),
            WebSocketRoute("/jobs/{job}/ws", self._joined_by_path),
            Route("/jobs/{job}", self._state, methods=["GET"]),
            Route("/jobs/{job}/access", self._access, methods=["GET"]),
        ]

    @property
    def app(self) -> Starlette:
        """The application of nothing but the service."""
        return Starlette(routes=self.routes)

    def job(self, id: str) -> Job:
        """Return a job, which begins to exist with that."""
        return self.jobs.setdefault(id, Job(id))

    async def say(self, id: str, **message: Any) -> None:
        """Have a job say something now."""
        await self.job(id).say(message, self.faults)

    def run(self, id: str, updates: int, seconds: float) -> None:
        """Have a job say so many updates, ``seconds`` apart, and then that it is done."""
        task = asyncio.create_task(self.job(id).run(updates, seconds, self.faults))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def cut(self, id: str) -> None:
        """Break all connections of a job."""
        for connection in list(self.job(id).open):
            connection.cut()

    def mute(self) -> None:
        """Let connections stand, and bring nothing from now on."""
        self.faults.mute = True
        for job in self.jobs.values():
            for connection in job.open:
                connection.mute()

    async def _joined_by_message(self, socket: WebSocket) -> None:
        if not await self._opens(socket):
            return
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                message = json.loads(await socket.receive_text())
        except (TimeoutError, ValueError, WebSocketDisconnect):
            raise WebSocketException(1002, "no join message") from None
        self._show(socket, message)
        await self._join(socket, str(message.get("jobId")))

    async def _joined_by_path(self, socket: WebSocket) -> None:
        if await self._opens(socket):
            self._show(socket, {})
            await self._join(socket, socket.path_params["job"])

    async def _opens(self, socket: WebSocket) -> bool:
        """Accept a connection, unless a fault or a wrong key in its headers is in the way."""
        await asyncio.sleep(self.faults.seconds)
        status = self.faults.take_status()
        if status is None and self._shown_by(socket) not in (None, self._key):
            status = 401
        if status is not None:
            await socket.send_denial_response(self._refusal(status))
            return False
        await socket.accept()
        return True

    async def _join(self, socket: WebSocket, id: str) -> None:
        if self.faults.close is not None:
            raise WebSocketException(self.faults.close, self.faults.reason)
        if id not in self.jobs:
            raise WebSocketException(4404, "no such job")
        job, connection = self.jobs[id], Connection(socket, socket.scope["extensions"][_TRANSPORT])
        told = job.said[-1:] if self._tells_state else []
        job.join(connection)  # before it is said: what comes from now on is heard
        try:
            if self._acknowledges:
                await connection.send({"type": "joined", "jobId": id})
            for update in told:
                await connection.send(update)
            if self.faults.mute:
                connection.mute()
            with contextlib.suppress(WebSocketDisconnect):
                while True:
                    await socket.receive_text()
        finally:
            job.leave(connection)

    async def _state(self, request: Request) -> Response:
        job = await self._asked(request)
        return JSONResponse(job.poll(request.client.port if request.client else 0))

    async def _access(self, request: Request) -> Response:
        job, user = await self._asked(request), request.query_params.get("user", "")
        self.checks.append((job.id, user))
        return Response(status_code=403 if user in self._forbidden else 204)

    async def _asked(self, request: Request) -> Job:
        """Return the job that a request is about, unless a fault is in the way."""
        await asyncio.sleep(self.faults.seconds)
        if (status := self.faults.take_status()) is not None:
            refusal = self._refusal(status)
            raise HTTPException(status, headers=dict(refusal.headers))
        if self._shown_by(request) != self._key:
            raise HTTPException(401)
        if (job := self.jobs.get(request.path_params["job"])) is None:
            raise HTTPException(404)
        return job

    def _refusal(self, status: int) -> Response:
        after = self.faults.retry_after
        headers = {} if after is None else {"Retry-After": f"{after:g}"}
        if 300 <= status < 400:
            headers["Location"] = "/elsewhere"
        return Response(status_code=status, headers=headers)

    def _show(self, socket: WebSocket, message: dict[str, Any]) -> None:
        if self._key is None:
            return
        if self._shown_by(socket) == self._key:
            self.shown.append("Authorization" if "authorization" in socket.headers else "X-Api-Key")
        elif message.get("key") == self._key:
            self.shown.append("message")
        else:
            raise WebSocketException(4401, "wrong key")

    def _shown_by(self, connection: HTTPConnection) -> str | None:
        _, _, token = connection.headers.get("authorization", "").partition(" ")
        return token or connection.headers.get("x-api-key")
