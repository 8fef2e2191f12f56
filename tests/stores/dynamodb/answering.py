"""A server before the real one that answers some requests itself: with errors of the service."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from infra.local.child import HOST

SERVICE = "com.amazonaws.dynamodb.v20120810#"


@dataclass
class Fault:
    """How the next ``times`` requests of an operation (of any, if empty) are answered."""

    status: int
    body: bytes
    times: int = 1 << 30
    operation: str = ""


@dataclass
class Answering:
    """The server's ``url`` and what it has been told to do; ``seen`` are the operations asked."""

    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def answer(self, code: str, status: int = 400, *, times: int = 1, operation: str = "") -> None:
        """Answer the next requests with this error."""
        body = json.dumps({"__type": SERVICE + code, "message": "as the test wants it"}).encode()
        self.faults.append(Fault(status, body, times, operation))

    def fault(self, operation: str) -> Fault | None:
        """Return how a request is to be answered, if not by the real server."""
        self.seen.append(operation)
        for fault in self.faults:
            if fault.times > 0 and fault.operation in ("", operation):
                fault.times -= 1
                return fault
        return None


@contextmanager
def answering(port: int) -> Iterator[Answering]:
    """Run such a server before the one at ``port``."""
    told = Answering()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fault = told.fault(self.headers["X-Amz-Target"].partition(".")[2])
            if fault is not None:
                return self._reply(fault.status, fault.body)
            behind = http.client.HTTPConnection(HOST, port, timeout=10)
            behind.request("POST", self.path, body, dict(self.headers))
            answer = behind.getresponse()
            self._reply(answer.status, answer.read(), answer.headers["X-Amzn-RequestId"])
            behind.close()

        def _reply(self, status: int, body: bytes, request: str | None = None) -> None:
            self.send_response(status)
            if request is not None:
                self.send_header("X-Amzn-RequestId", request)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    told.url = f"http://{HOST}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield told
    server.shutdown()
    server.server_close()
    thread.join(5)
