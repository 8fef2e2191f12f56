"""A real server in the test's own process."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.routing import BaseRoute

from functions.streams import routes
from lastevent.serve.app import App, router
from lastevent.serve.invocation import Invocation
from lastevent.serve.settings import Settings
from lastevent.stores.base import Store
from tests.serve.running import WAIT_SECONDS, InProcess, Running, Serve


@pytest.fixture(params=["memory://", "sqlite:///{}/test.db"], ids=["memory", "sqlite"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Development settings on a store of the test's own, of each kind."""
    environ = {
        "LASTEVENT_STORE_URL": request.param.format(tmp_path),
        "LASTEVENT_DATA_DIR": str(tmp_path),
        # What tests count of a store's requests would depend on when a minute ends.
        "LASTEVENT_METRICS": "off",
    }
    return Settings.from_env(environ, bind_host="127.0.0.1")


@pytest.fixture
async def serve(settings: Settings) -> AsyncIterator[Serve]:
    """Return a function that starts a server with changed settings, perhaps a changed store."""
    stack = contextlib.AsyncExitStack()

    async def start(
        change_store: Callable[[Store], Store] | None = None,
        routes: Sequence[BaseRoute] = routes,
        bounds: Callable[[], Invocation] | None = None,
        **changes: Any,
    ) -> Running:
        app = App(router(routes), bounds=bounds)
        app.configure(replace(settings, **changes))
        service = await app._service()
        if change_store is not None:
            service.store = change_store(service.store)
            service.tails._store = service.store
        # With its protocol named, asyncio switches off Nagle's algorithm for what it accepts.
        listener = socket.socket(proto=socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = InProcess(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
        task = asyncio.create_task(server.serve([listener]))
        limits = httpx.Limits(max_connections=None)
        client = httpx.AsyncClient(base_url=url, timeout=WAIT_SECONDS, limits=limits)

        async def stop() -> None:
            service.begin_shutdown()
            server.should_exit = True
            async with asyncio.timeout(WAIT_SECONDS):
                await task
            await client.aclose()

        stack.push_async_callback(stop)
        async with asyncio.timeout(WAIT_SECONDS):
            while not server.started:
                await asyncio.sleep(0.01)
        return Running(url, app, service, client, server)

    yield start
    await stack.aclose()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("LASTEVENT_"):
            monkeypatch.delenv(name)
