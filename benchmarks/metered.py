"""Ours, with one more path: what this server's process has asked of its store.

GET /api/usage    the store's own count (base.Store.usage), {} where nothing is billed

``app`` holds its clients as servers do, ``billed`` as where each held second is billed (Lambda).
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from functions.app import FUNCTIONS
from lastevent.serve.app import App, Functions, endpoint
from lastevent.serve.invocation import Invocation
from lastevent.serve.service import Service

PATH = "/api/usage"


async def usage(service: Service, request: Request) -> Response:
    """Answer with the count."""
    counted = service.store.usage
    return JSONResponse({} if counted is None else dict(counted()))


routes = [Route(PATH, endpoint(usage))]
functions = Functions({**FUNCTIONS, PATH: __name__})
app = App(functions)
billed = App(functions, bounds=lambda: Invocation(held_is_billed=True))
