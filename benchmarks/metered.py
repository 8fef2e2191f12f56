"""Ours, with one more path: what this server's process has asked of its store.

GET /api/usage    the store's own count (base.Store.usage), {} where nothing is billed
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from functions.app import FUNCTIONS
from lastevent.serve.app import App, Functions, endpoint
from lastevent.serve.service import Service

PATH = "/api/usage"


async def usage(service: Service, request: Request) -> Response:
    """Answer with the count."""
    counted = service.store.usage
    return JSONResponse({} if counted is None else dict(counted()))


routes = [Route(PATH, endpoint(usage))]
app = App(Functions({**FUNCTIONS, PATH: __name__}))
