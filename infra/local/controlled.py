"""Servers of ours in a process of their own, which are told what to do over HTTP."""

from collections.abc import Callable, Coroutine
from inspect import signature
from typing import Any, Concatenate

import httpx

from infra.local.child import HOST, Child, Startable, free_port
from infra.local.faults import Rule

CONTROL_SECONDS = 40.0


class Controlled(Startable):
    """A server at ``url``, whose own endpoints stand below the path ``prefix``.

    A context manager, of both kinds.
    """

    prefix: str

    def __init__(self, port: int = 0) -> None:
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._child: Child | None = None

    def stop(self) -> None:
        """End it."""
        if self._child:
            self._child.stop()

    def _serves(self) -> bool:
        try:
            answer = httpx.get(f"{self.url}{self.prefix}/health", trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == 204

    async def _request(
        self, method: str, path: str, body: object = None, seconds: float = CONTROL_SECONDS
    ) -> Any:
        """Ask one of its own endpoints; return what it answers. Raises ValueError if it refuses."""
        # A client of its own each time: it belongs to one event loop, the server to no one.
        async with httpx.AsyncClient(verify=False, trust_env=False, timeout=seconds) as client:
            answer = await client.request(method, f"{self.url}{self.prefix}{path}", json=body)
        if answer.is_error:
            raise ValueError(f"the server refused {method} {path}: {answer.text}")
        return answer.json() if answer.content else None


class Faulty(Controlled):
    """One with faults on demand: its ``fault`` is made by ``faulting``."""

    async def clear_faults(self) -> None:
        """Lift all faults."""
        await self._request("DELETE", "/faults")


def faulting[**P](
    rule: Callable[P, Rule],
) -> Callable[Concatenate[Faulty, P], Coroutine[Any, Any, None]]:
    """Return the method that puts a fault in force, with the arguments of a server's own rules."""

    async def fault(self: Faulty, /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Put a fault in force; faults.py says what the arguments mean."""
        wanted = signature(rule).bind(*args, **kwargs).arguments
        await self._request("POST", "/faults", wanted)

    return fault
