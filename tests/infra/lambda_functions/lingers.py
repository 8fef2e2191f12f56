"""Answers, and takes its time before it asks for the next event."""

import importlib
import os
import time
from typing import Any

client: Any = importlib.import_module("awslambdaric.lambda_runtime_client").runtime_client
post = client.post_invocation_result


def _post(*arguments: Any) -> None:
    post(*arguments)
    time.sleep(float(os.environ["LINGERS"]))


client.post_invocation_result = _post


def handler(_: dict[str, Any], __: Any) -> str:
    """Answer."""
    return "answered"
