"""A runtime of its own that streams, on sockets. What it is to do stands in the request's path.

With AWS_LAMBDA_MAX_CONCURRENCY it serves so many events at once, each in a thread.
"""

import base64
import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

HOST, _, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].partition(":")
PREFIX = "/2018-06-01/runtime/invocation"
INTEGRATION_TYPE = "application/vnd.awslambda.http-integration-response"


class Stream:
    """One streamed answer."""

    def __init__(self, request_id: str, content_type: str) -> None:
        self.socket = socket.create_connection((HOST, int(PORT)))
        head = [
            f"POST {PREFIX}/{request_id}/response HTTP/1.1",
            "Host: runtime",
            f"Content-Type: {content_type}",
            "Lambda-Runtime-Function-Response-Mode: streaming",
            "Transfer-Encoding: chunked",
            "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
            "Connection: close",
        ]
        self.socket.sendall("\r\n".join([*head, "", ""]).encode())

    def send(self, data: bytes) -> None:
        """Send a chunk."""
        self.socket.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self, trailers: dict[str, str] | None = None) -> bytes:
        """End the answer; return what the Runtime API says to it."""
        lines = [f"{name}: {value}" for name, value in (trailers or {}).items()]
        self.socket.sendall("\r\n".join(["0", *lines, "", ""]).encode())
        said = b""
        while part := self.socket.recv(65536):
            said += part
        self.socket.close()
        return said


def serve(request_id: str, event: dict[str, Any]) -> None:
    """Answer one event."""
    path = event.get("rawPath") or event["path"]
    query: dict[str, str] = event.get("queryStringParameters") or {}
    if path == "/plain":
        stream = Stream(request_id, "text/plain")
        stream.send(b"no prelude")
        stream.end()
        return
    stream = Stream(request_id, INTEGRATION_TYPE)
    if path == "/no-delimiter":
        stream.send(b"{}")
        stream.end()
        return
    prelude = {
        "statusCode": int(query.get("status", 200)),
        "headers": {"Content-Type": "text/event-stream", "X-Method": _method(event)},
        "cookies": ["a=1", "b=2"],
    }
    stream.send(json.dumps(prelude).encode() + b"\0" * 8)
    if path == "/ticks":
        for number in range(int(query["n"])):
            stream.send(f"data: {number}\n\n".encode())
            with Path("sent").open("a") as sent:
                sent.write(f"{number}\n")
            time.sleep(float(query["gap"]))
        stream.end()
    elif path == "/trailer":
        stream.send(b"data: 0\n\n")
        body = json.dumps({"errorMessage": "late", "errorType": "Late"}).encode()
        stream.end(
            {
                "Lambda-Runtime-Function-Error-Type": "Late",
                "Lambda-Runtime-Function-Error-Body": base64.b64encode(body).decode(),
            }
        )
    elif path == "/exit":
        for _part in range(int(query["n"])):
            stream.send(b"x" * 65536)
        os._exit(1)
    elif path == "/bytes":
        for _part in range(int(query["n"])):
            stream.send(b"x" * 65536)
        stream.end()
    else:
        stream.end()


def work() -> None:
    """Ask for events and answer them, for ever."""
    connection = http.client.HTTPConnection(HOST, int(PORT))
    while True:
        connection.request("GET", f"{PREFIX}/next")
        answer = connection.getresponse()
        event = json.loads(answer.read())
        serve(str(answer.headers["Lambda-Runtime-Aws-Request-Id"]), event)


def _end(_: int, __: FrameType | None) -> None:
    """Write down that it was asked to end."""
    Path("terminated").write_text("yes")
    sys.exit(0)


def _method(event: dict[str, Any]) -> str:
    return str(event.get("httpMethod") or event["requestContext"]["http"]["method"])


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    for _thread in range(int(os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY", "1")) - 1):
        threading.Thread(target=work).start()
    work()
