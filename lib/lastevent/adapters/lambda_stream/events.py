"""Which events are HTTP requests, and what ASGI scopes they make; and which are tasks.

Payload 2.0: function URLs and HTTP APIs. Payload 1.0: REST APIs, and HTTP APIs that ask for it. The
scopes are those that Mangum makes, so that an application sees the same, streamed or buffered.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mangum.handlers import APIGateway, HTTPGateway
from mangum.types import (
    LambdaCognitoIdentity,
    LambdaConfig,
    LambdaMobileClientContext,
    Scope,
)

from lastevent.adapters.lambda_stream.failure import UnsupportedEvent
from lastevent.adapters.lambda_stream.runtime_api import Call
from lastevent.core.errors import InvalidRequest
from lastevent.serve.tasks import Task

CONFIG = LambdaConfig(api_gateway_base_path="/", text_mime_types=[], exclude_headers=[])
MAX_NAMES = 10
_HTTP = (HTTPGateway, APIGateway)


class Context:
    """What Lambda's own runtimes hand to a function beside the event, in the same names."""

    identity: LambdaCognitoIdentity | None = None
    client_context: LambdaMobileClientContext | None = None

    def __init__(self, call: Call, environ: Mapping[str, str]) -> None:
        self.aws_request_id = call.request_id
        self.invoked_function_arn = call.function_arn
        self.tenant_id = call.tenant_id
        self.function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
        self.function_version = environ.get("AWS_LAMBDA_FUNCTION_VERSION", "")
        self.memory_limit_in_mb = int(environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") or 0)
        self.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME", "")
        self.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")
        self._deadline_ms = call.deadline_ms or 0

    def get_remaining_time_in_millis(self) -> int:
        """Return how long Lambda lets the invocation go on, in milliseconds."""
        return max(self._deadline_ms - int(time.time() * 1000), 0)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request: its ASGI scope, with the event and its context in it, and its body."""

    scope: Scope
    body: bytes


def read_event(call: Call, context: Context) -> HttpRequest | Task:
    """Return what the invocation asks for; raise UnsupportedEvent for what nobody here serves, and
    InvalidRequest for a task that cannot be read.

    The one place where kinds of events part.
    """
    try:
        event = json.loads(call.body)
        task = Task.of_event(event)
        if task is not None:
            return task
        for kind in _HTTP:
            if kind.infer(event, context, CONFIG):
                request = kind(event, context, CONFIG)
                return HttpRequest(request.scope, request.body)
    except InvalidRequest:
        raise
    except Exception as error:  # an event can be wrong in every way
        what = type(error).__name__
        raise UnsupportedEvent(
            f"the event is not one that a function URL or an API Gateway sends ({what})"
        ) from error
    raise UnsupportedEvent(
        "only tasks, and HTTP requests from a function URL or an API Gateway, are served here, and "
        f"this event is something else: {_described(event)}"
    )


def _described(event: Any) -> str:
    """Return the names of an event's fields; its values are nobody's business."""
    if not isinstance(event, dict):
        return type(event).__name__
    names = [str(name)[:40] for name in list(event)[:MAX_NAMES]]
    return ", ".join(names) or "it is empty"
