"""A built function on a loopback port.

    python -m infra.local.aws --directory .aws-sam/build/Stream --handler functions.app.app \\
        --mode stream --variable LASTEVENT_AUTH_SECRET [--port 8000]

``stream`` serves it behind a function URL that streams, ``buffered`` behind an HTTP API. It can
invoke itself, and with ``--sweep`` a schedule does too, with what template.yaml's sends. Prints the
URL. SIGTERM and SIGINT end it and its execution environments.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path

from infra.local.aws.asynchronous import EventQueue, Schedule
from infra.local.aws.fronts import Front, FunctionUrl, HttpApi
from infra.local.aws.function import LambdaFunction
from infra.local.aws.invoke_api import InvokeApi
from infra.local.child import HOST, ServerFailed, free_port

WRAPPER = "/var/task/lambda-stream"
SWEEP = {"lastevent": {"task": "sweep"}}
"""The input of template.yaml's schedule."""


def main() -> int:
    """Serve until a signal comes; return the exit code."""
    arguments = _arguments()
    if missing := [name for name in arguments.variable if name not in os.environ]:
        print(f"not set: {', '.join(missing)}", file=sys.stderr)
        return 2
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    invoke_port = free_port()
    function = LambdaFunction(
        arguments.directory,
        arguments.handler,
        {name: os.environ[name] for name in arguments.variable}
        | {"AWS_ENDPOINT_URL_LAMBDA": f"http://{HOST}:{invoke_port}"},
        data=arguments.data,
        timeout=arguments.timeout,
        memory=arguments.memory,
        wrapper=WRAPPER if arguments.mode == "stream" else None,
        max_environments=arguments.max_environments,
    )
    front: Front = (
        FunctionUrl(function, arguments.port)
        if arguments.mode == "stream"
        else HttpApi(function, arguments.port)
    )
    queue = EventQueue(function, retry_seconds=())
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(function)
            stack.enter_context(InvokeApi(function, queue, invoke_port))
            stack.enter_context(front)
            if arguments.sweep:
                stack.enter_context(Schedule(function, queue, SWEEP, arguments.sweep))
            print(front.url, flush=True)
            ended.wait()
    except (ServerFailed, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="AWS Lambda on loopback, for a built function.")
    parser.add_argument("--directory", type=Path, required=True, help="what would be deployed")
    parser.add_argument("--handler", required=True)
    parser.add_argument("--mode", choices=("stream", "buffered"), required=True)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--data", type=Path, default=Path(".lastevent/lambda"))
    parser.add_argument("--timeout", type=float, default=60.0, help="of the function, in seconds")
    parser.add_argument("--memory", type=int, default=256, help="MB, told to the function")
    parser.add_argument("--sweep", type=float, help="sweep every so many seconds; never, without")
    parser.add_argument("--max-environments", type=int, default=10)
    parser.add_argument(
        "--variable",
        action="append",
        default=[],
        metavar="NAME",
        help="a variable of this process that the function gets; may be repeated",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
