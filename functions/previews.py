"""Previews: start and stop the commands that the settings name, and follow their logs."""

from functools import partial

from lastevent.core.errors import Forbidden, Transient
from lastevent.core.topic import stream_name
from lastevent.serve.app import App, endpoint, leg_endpoint, router
from lastevent.serve.auth import Identity
from lastevent.serve.service import Service
from lastevent.serve.subscribe import Subscription
from lastevent.services.preview import Preview, stream_of
from lastevent.services.previews import Previews
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ALL = stream_of("*")
"""Who may append to this may start and stop previews."""

BODY_BYTES = 4096


def _previews(service: Service) -> Previews:
    settings = service.settings
    return Previews(
        service.store,
        settings.preview_commands or {},
        lease_seconds=settings.lease_seconds,
        max_running=settings.max_previews,
    )
