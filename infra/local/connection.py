"""Connections that an application can close: the faults need it, ASGI has no word for it."""

from asyncio import Transport
from typing import NoReturn

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_CLOSE = "lastevent.close"


class ClosableProtocol(HttpToolsProtocol):
    """uvicorn's own, with the transport's `abort` in each request's extensions."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(transport)
        self.app = _offering(self.app, transport)


def close_connection(scope: Scope) -> None:
    """Close the connection of a request at once, without an answer or the rest of one."""
    scope["extensions"][_CLOSE]()


async def disconnected(receive: Receive) -> None:
    """Wait until the client has gone, or the connection was closed here."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Dropped(Exception):
    """The connection has ended in place of an answer."""


async def drop(asked: Request) -> NoReturn:
    """Close the connection of a request without an answer; raise Dropped."""
    close_connection(asked.scope)
    await hang(asked)


async def hang(asked: Request) -> NoReturn:
    """Let a request wait for an answer until its client has gone; raise Dropped then."""
    await disconnected(asked.receive)
    raise Dropped


def _offering(app: ASGIApp, transport: Transport) -> ASGIApp:
    async def offering(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[_CLOSE] = transport.abort
        await app(scope, receive, send)

    return offering
