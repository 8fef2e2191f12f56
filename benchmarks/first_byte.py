"""One cold start, in a process of its own: from nothing to the first byte, and no further.

    python -S first_byte.py asgi functions.app:app TOKEN
    python -S first_byte.py handler functions.streams:handler TOKEN
    python -S first_byte.py import benchmarks.everything ''

Calls the application as a server would, with a subscriber's request. Prints the instant of the
first byte on the machine's monotonic clock in ns, the processor time until then in ns, and the most
memory that the process took, in KiB.
What it imports itself is little, since that counts as well.
"""

import os
import sys
import time
from collections.abc import MutableMapping
from importlib import import_module
from typing import Any, NoReturn

PATH = "/api/streams/bench"
LEFT_MS = 30_000

Message = MutableMapping[str, Any]


def main() -> None:
    kind, target, token = sys.argv[1:]
    module, _, name = target.partition(":")
    if kind == "import":
        import_module(module)
    elif kind == "handler":
        _handled(getattr(import_module(module), name), token)
    else:
        _served(getattr(import_module(module), name), token)
    _tell()


def _tell() -> NoReturn:
    """Say when this was, and go at once: what an end costs is not asked."""
    now, used = time.monotonic_ns(), time.process_time_ns()
    # Not from getrusage: its maximum begins with what the parent had when it forked.
    with open("/proc/self/status") as status:  # noqa: PTH123  # pathlib is not loaded here
        (most,) = (line.split()[1] for line in status if line.startswith("VmHWM:"))
    os.write(1, f"{now} {used} {most}\n".encode())
    os._exit(0)


def _served(app: Any, token: str) -> None:
    import asyncio

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            (b"accept", b"text/event-stream"),
            (b"authorization", b"Bearer " + token.encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            sys.exit(f"the answer is {message['status']}")
        if message.get("body"):
            _tell()

    asyncio.run(app(scope, receive, send))
    sys.exit("the answer has no body")


class _Context:
    """What Lambda tells of an invocation, as far as it is asked."""

    def get_remaining_time_in_millis(self) -> int:
        return LEFT_MS


def _handled(handler: Any, token: str) -> None:
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": PATH,
        "rawQueryString": "",
        "headers": {
            "host": "localhost",
            "accept": "text/event-stream",
            "authorization": f"Bearer {token}",
        },
        "requestContext": {
            "http": {
                "method": "GET",
                "path": PATH,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "bench",
            },
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }
    answer = handler(event, _Context())
    if answer["statusCode"] != 200 or not answer["body"]:
        sys.exit(f"the answer is {answer['statusCode']}")


if __name__ == "__main__":
    main()
