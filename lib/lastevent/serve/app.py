"""The ASGI application around the functions: the only wiring.

    scope ─► App ─► CORS, if origins are allowed ─► errors as problems ─► functions ─► a route
                                                                     └──► pages

An App begins on its lifespan's startup, or on its first request where nobody runs a lifespan. What
its requests share (service.Service) belongs to the event loop that it began on. An adapter to a
platform begins it by ``begin``, tells it of each request's bounds (invocation.Invocation), and has
it ``rest`` where it may be frozen between two requests.

Routes get at it by ``endpoint`` (a Response) or ``leg_endpoint`` (an event stream, plain ASGI: none
of the wrappers that a framework puts around ``send`` stand on the hot path).
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from lastevent.core.errors import ConfigError, NotFound, Transient
from lastevent.serve.access_log import redact_access_log
from lastevent.serve.auth import Authenticator, development_secret
from lastevent.serve.invocation import SCOPE_KEY, Invocation, invocation_of
from lastevent.serve.problem import log, problem
from lastevent.serve.service import Service, of
from lastevent.serve.settings import Settings
from lastevent.serve.signals import on_termination
from lastevent.serve.subscribe import LEG, Subscription, serve_leg, serve_trouble
from lastevent.serve.tasks import Task, holding
from lastevent.serve.visible_log import show_log
from lastevent.stores.url import open_store

SWEEP = Task("sweep")
"""What a process that lives on does by itself, and a platform's schedule has done elsewhere."""

Handler = Callable[[Service, Request], Awaitable[Response]]
Resolver = Callable[[Service, Request], Awaitable[Subscription]]


class endpoint:
    """Makes an ASGI endpoint of ``handler(service, request) -> Response``."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._handler(of(scope), Request(scope, receive))
        await response(scope, receive, send)


class leg_endpoint:
    """Makes an ASGI endpoint that serves ``resolver(service, request)``: as legs, or as JSON.

    JSON goes to those who name it, and to a browser's address bar; everybody else gets events.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service, request = of(scope), Request(scope)
        if _wants_json(request.headers.get("accept", "")):
            from lastevent.serve.history import history

            response = await history(service, request, await self._resolver(service, request))
            await response(scope, receive, send)
            return
        try:
            subscription = await self._resolver(service, request)
        except Transient as error:
            log.warning("a leg could not begin: %s", error)
            await serve_trouble(service, scope, send)
            return
        await serve_leg(service, subscription, request, receive, send)


def _wants_json(accept: str) -> bool:
    if "text/event-stream" in accept:
        return False
    return "application/json" in accept or "text/html" in accept


class Functions:
    """Routes that live in modules, each imported when a path below its prefix is first asked for.

    ``modules`` maps a path prefix to the name of a module with ``routes``; the longest prefix that
    fits counts.
    """

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = dict(modules)
        self._routers: dict[str, Router] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        prefix = scope["path"]
        while prefix and prefix not in self._modules:
            prefix = prefix.rpartition("/")[0]
        if not prefix:
            await not_found(scope, receive, send)
            return
        module = self._modules[prefix]
        if module not in self._routers:
            self._routers[module] = router(import_module(module).routes)
        await self._routers[module](scope, receive, send)


def router(routes: Sequence[BaseRoute]) -> Router:
    """Return a router whose unknown paths are problems, without redirects."""
    return Router(routes, redirect_slashes=False, default=not_found)


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a path that nobody serves."""
    raise NotFound(f"there is nothing at {scope['path'][:200]}")


class App:
    """An ASGI application of ``routes``: a router, or Functions.

    ``pages``: a directory of static files, served for GET requests that no function takes; None
    where a CDN serves them.
    ``bounds``: tells the bounds of the present request, where the platform is asked for them.
    ``tasks``: what may be done in an invocation of its own, as tasks.Tasks has it.
    """

    def __init__(
        self,
        routes: ASGIApp,
        pages: Path | None = None,
        bounds: Callable[[], Invocation] | None = None,
        tasks: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._routes = routes
        self._tasks = tasks
        self._bounds = bounds
        self._directory = pages
        self._pages: ASGIApp | None = None
        self._settings: Settings | None = None
        self._starting: asyncio.Task[Service] | None = None
        self._inner: ASGIApp = self._guarded

    def configure(self, settings: Settings) -> None:
        """Take ``settings`` instead of reading them from the environment at the start."""
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            scope["lastevent"] = service = await self._service()
            if self._bounds is not None:
                scope.setdefault(SCOPE_KEY, self._bounds())
            scope["app"] = self  # has Starlette's routes raise errors instead of answering them
            invocation = invocation_of(scope)
            if invocation.may_freeze and invocation.spawn is None:
                async with holding(service, invocation) as scope[SCOPE_KEY]:
                    await self._inner(scope, receive, send)
            else:
                await self._inner(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer errors as problems. All are raised before the first byte of an answer."""
        try:
            # The routes put more into the scope than a leg should hold on to.
            routed = dict(scope)
            await self._routed(routed, receive, send)
            serve = routed.get(LEG)
            del routed
            if serve is not None:
                await serve()
        except Exception as error:
            await problem(error)(scope, receive, send)

    async def _routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if self._directory is None or path == "/api" or path.startswith("/api/"):
            await self._routes(scope, receive, send)
            return
        if self._pages is None:
            from lastevent.serve.pages import Pages

            self._pages = Pages(self._directory)
        await self._pages(scope, receive, send)

    async def begin(self) -> Service:
        """Open the store and what else the requests share; raise ConfigError.

        A store that is away is no reason not to begin: it may come back, and until then requests
        are told (RULES 18).
        """
        service = await self._service()
        try:
            await service.store.prepare()
        except Transient as error:
            log.warning("starting without the store: %s", error)
        return service

    async def perform(self, task: Task, invocation: Invocation) -> object:
        """Do a task that a platform has started an invocation for, and return its result.

        Raises NotFound for one that is not known, Transient for one that had to be cancelled
        before the invocation's deadline, and what the task raises.
        """
        return await (await self._service()).tasks.perform(task, invocation)

    async def rest(self) -> None:
        """Let go of what a process must not hold that may be frozen until its next request.

        To be called while no request is in flight (RULES 17).
        """
        if self._starting is not None and self._starting.get_loop() is asyncio.get_running_loop():
            await (await self._service()).rest()

    async def _service(self) -> Service:
        loop = asyncio.get_running_loop()
        if self._starting is None or self._starting.get_loop() is not loop:
            self._starting = loop.create_task(self._start())
        try:
            if self._starting.done():
                return self._starting.result()
            return await asyncio.shield(self._starting)
        except Exception:
            self._starting = None
            raise

    async def _start(self) -> Service:
        settings = self._settings or Settings.from_env(os.environ)
        secret = settings.auth_secret
        if settings.development:
            secret = await asyncio.to_thread(development_secret, settings.data_dir)
        store = open_store(settings.store_url, settings.retention, wakeup_url=settings.wakeup_url)
        service = Service(settings, store, Authenticator(settings, secret), self._tasks)
        if settings.metrics:
            from lastevent.serve.metrics import metrics_of

            service.part(metrics_of)
        if settings.allowed_origins:
            from starlette.middleware.cors import CORSMiddleware

            self._inner = CORSMiddleware(
                self._guarded,
                allow_origins=settings.allowed_origins,
                allow_methods=["GET", "POST", "PATCH", "DELETE"],
                allow_headers=[
                    "Authorization",
                    "Content-Type",
                    "Idempotency-Key",
                    "Last-Event-ID",
                    "X-API-Key",
                ],
                allow_credentials=True,
                expose_headers=["Retry-After"],
                max_age=86400,
            )
        redact_access_log()
        show_log()
        return service

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            service = await self.begin()
        except ConfigError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        restore = on_termination(service.begin_shutdown)
        if service.settings.sweep_seconds and SWEEP.name in service.tasks:
            service.tasks.repeat(SWEEP, service.settings.sweep_seconds)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        restore()
        await service.close()
        self._starting = None
        await send({"type": "lifespan.shutdown.complete"})
