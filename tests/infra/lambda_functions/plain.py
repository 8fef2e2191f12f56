"""Handlers for the managed runtime. What one is to do stands in the request's query."""

import json
import os
import sys
import threading
import time
from typing import Any

ticks = 0
served = 0


def echo(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Answer with what the function was given."""
    found = {"event": event, "environment": dict(os.environ), "path": sys.path}
    return {"statusCode": 200, "body": json.dumps(found)}


def answer(event: dict[str, Any], _: Any) -> Any:
    """Answer with the JSON in the request's body, whatever it is."""
    return json.loads(event["body"])


def act(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Sleep, raise, exit or answer at length."""
    global served
    served += 1
    query = event.get("queryStringParameters", {})
    time.sleep(float(query.get("sleep", 0)))
    if "fail" in query:
        raise RuntimeError("on purpose")
    if "exit" in query:
        os._exit(int(query["exit"]))
    found = {
        "pid": os.getpid(),
        "served": served,
        "left_ms": context.get_remaining_time_in_millis(),
        "filling": "x" * int(query.get("bytes", 0)),
    }
    return {"statusCode": 200, "body": json.dumps(found)}


def count(_: dict[str, Any], __: Any) -> dict[str, Any]:
    """Answer with how often a thread that never rests has ticked, from the first request on."""
    if ticks == 0:
        threading.Thread(target=_tick, daemon=True).start()
        while ticks == 0:
            time.sleep(0.001)
    return {"statusCode": 200, "body": str(ticks)}


def dependencies(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Answer with which of the modules in the body can be found."""
    from importlib.util import find_spec

    found = {name: find_spec(name) is not None for name in json.loads(event["body"])}
    return {"statusCode": 200, "body": json.dumps(found)}


def _tick() -> None:
    global ticks
    while True:
        ticks += 1
        time.sleep(0.005)
