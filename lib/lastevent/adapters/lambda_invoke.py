"""A task in an invocation of its own on AWS Lambda: the function invokes itself.

Asynchronously, so that Lambda's queue has taken it when the call returns (Lambda Developer Guide,
"Invoking a function asynchronously"), which on occasion hands an event out twice. The function's
role has to allow it, and its event invoke configuration to forbid that Lambda tries a failed one
again (template.yaml has both).
"""

import asyncio
import json
import random
import threading
from collections.abc import Mapping
from typing import Any

from lastevent.core.errors import UpstreamLost, UpstreamRefused
from lastevent.serve.tasks import Task

CONNECT_SECONDS = 1.0
READ_SECONDS = 3.0
ATTEMPTS = 3
PAUSE_SECONDS = 0.2
"""Before the second attempt, by chance down to the half; doubled before the third."""

UNVERSIONED = "$LATEST"
ACCEPTED = 202


def own_function(environ: Mapping[str, str]) -> "AsynchronousInvoke | None":
    """Return what invokes the function that this process belongs to, as ``environ`` names it; None
    where it does not."""
    name = environ.get("AWS_LAMBDA_FUNCTION_NAME")
    if not name:
        return None
    version = environ.get("AWS_LAMBDA_FUNCTION_VERSION") or UNVERSIONED
    # The version is named only where there is one: a permission on the function alone does not
    # cover a call that names its $LATEST.
    return AsynchronousInvoke(name if version == UNVERSIONED else f"{name}:{version}")


class AsynchronousInvoke:
    """Hands tasks to ``function``, NAME or NAME:VERSION, through the SDK, in a thread.

    A call that may have been taken is not repeated: there would be two. The SDK would.
    """

    def __init__(self, function: str) -> None:
        self._function = function
        self._making = threading.Lock()
        self._sdk: Any = None

    async def __call__(self, task: Task) -> None:
        """Return once Lambda has taken the task. Raises UpstreamLost, UpstreamRefused."""
        payload = json.dumps(task.event).encode()
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(random.uniform(0.5, 1.0) * PAUSE_SECONDS * 2 ** (attempt - 1))
            if await asyncio.to_thread(self._attempt, payload):
                return
        raise UpstreamLost("Lambda takes no task now: ask again later")

    def close(self) -> None:
        """End the connections; a later call opens others."""
        with self._making:
            sdk, self._sdk = self._sdk, None
        if sdk is not None:
            sdk.close()

    # In the threads.

    def _attempt(self, payload: bytes) -> bool:
        """Return whether Lambda has taken it; False where it surely has not, and may yet."""
        from botocore import exceptions as sdk  # type: ignore[import-untyped]

        try:
            answer = self._made().invoke(
                FunctionName=self._function, InvocationType="Event", Payload=payload
            )
        except (sdk.ConnectTimeoutError, sdk.EndpointConnectionError):
            return False
        except (sdk.ConnectionError, sdk.HTTPClientError) as error:
            raise UpstreamLost("Lambda does not say whether it took the task") from error
        except sdk.ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = error.response.get("Error", {}).get("Code", "no reason")
            if status == 429:
                return False
            if status >= 500:
                raise UpstreamLost(f"Lambda fails to take the task: {code}") from error
            raise UpstreamRefused(
                f"Lambda refuses the task with {code}: the function's role has to allow "
                "lambda:InvokeFunction on the function itself"
            ) from error
        except sdk.BotoCoreError as error:
            raise UpstreamRefused("the AWS SDK cannot send a task: see its settings") from error
        answer["Payload"].close()  # a stream that nobody else ends
        if answer["StatusCode"] != ACCEPTED:
            raise UpstreamLost("something answers in the place of Lambda")
        return True

    def _made(self) -> Any:
        with self._making:
            if self._sdk is None:
                import boto3  # type: ignore[import-untyped]
                from botocore.config import Config  # type: ignore[import-untyped]

                config = Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    retries={"total_max_attempts": 1},
                )
                self._sdk = boto3.session.Session().client("lambda", config=config)
            return self._sdk
