"""What the own endpoints of several servers have in common: their health, and faults on demand."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.faults import Faults, Rule


def done() -> Response:
    """Return the answer to what was done."""
    return Response(status_code=204)


def refused(error: Exception) -> Response:
    """Return the answer to what cannot be done."""
    return JSONResponse({"error": str(error)}, 400)


def health() -> Route:
    """Return ``GET /health``: 204 when the server serves."""

    async def answer(_: Request) -> Response:
        return done()

    return Route("/health", answer, methods=["GET"])


def fault_routes[R: Rule](faults: Faults[R], rule: Callable[..., R]) -> list[Route]:
    """Return ``POST /faults``, which puts the ``rule`` that it describes in force, and ``DELETE
    /faults``, which lifts all of them."""

    async def add(asked: Request) -> Response:
        try:
            faults.add(rule(**await asked.json()))
        except (TypeError, ValueError) as error:
            return refused(error)
        return done()

    async def clear(_: Request) -> Response:
        faults.clear()
        return done()

    return [Route("/faults", add, methods=["POST"]), Route("/faults", clear, methods=["DELETE"])]
