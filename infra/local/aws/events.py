"""An HTTP request as the event that a function gets.

Payload 2.0, of function URLs and HTTP APIs:
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html and
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
Payload 1.0, of REST APIs:
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html

Not documented, and decided here: the path stays percent-encoded as it came. `x-forwarded-proto` is
http, which is true here and never on the platform.
"""

import base64
import json
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass
from urllib.parse import parse_qsl

from infra.local.aws.exchange import Exchange

API_ID = "local"
HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "transfer-encoding", "upgrade"})
# What is text goes as text; other bodies go in base64.
TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, whole."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    """Names in lower case; with what a gateway adds."""
    body: bytes
    source: str
    host: str

    @classmethod
    def of(cls, exchange: Exchange, body: bytes, port: int) -> "Request":
        """Make one of what came over the connection."""
        path, _, query = exchange.target.partition("?")
        headers = [
            *((name, value) for name, value in exchange.headers if name not in HOP_BY_HOP),
            ("x-forwarded-for", exchange.peer),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-port", str(port)),
        ]
        host = exchange.header("host") or ""
        return cls(exchange.method, path, query, headers, body, exchange.peer, host)

    def header(self, name: str) -> str | None:
        """Return the first header of this name."""
        return next((value for found, value in self.headers if found == name), None)


def payload_2(request: Request, *, account: str) -> bytes:
    """Return the event in format 2.0. ``account`` is `anonymous` for a function URL."""
    headers: dict[str, list[str]] = defaultdict(list)
    cookies: list[str] = []
    for name, value in request.headers:
        if name == "cookie":
            cookies += [cookie.strip() for cookie in value.split(";") if cookie.strip()]
        else:
            headers[name].append(value)
    event: dict[str, object] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": {name: ",".join(values) for name, values in headers.items()},
        "requestContext": {
            "accountId": account,
            "apiId": API_ID,
            "domainName": request.host,
            "domainPrefix": API_ID,
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source,
                "userAgent": request.header("user-agent") or "",
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            **_times(),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if query := _parameters(request.query):
        event["queryStringParameters"] = {name: ",".join(found) for name, found in query.items()}
    if request.body:
        event["body"], event["isBase64Encoded"] = _body(request)
    return json.dumps(event).encode()


def payload_1(request: Request, *, stage: str, path: str) -> bytes:
    """Return the event in format 1.0, for a proxy resource. ``path`` is without the stage."""
    headers: dict[str, list[str]] = defaultdict(list)
    for name, value in request.headers:
        headers[name].append(value)
    query = _parameters(request.query)
    body, encoded = _body(request) if request.body else (None, False)
    times = _times()
    event = {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": {"proxy": path.removeprefix("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": API_ID,
            "domainName": request.host,
            "domainPrefix": API_ID,
            "httpMethod": request.method,
            "identity": {
                "sourceIp": request.source,
                "userAgent": request.header("user-agent"),
            },
            "path": request.path,
            "protocol": "HTTP/1.1",
            "requestId": str(uuid.uuid4()),
            "requestTime": times["time"],
            "requestTimeEpoch": times["timeEpoch"],
            "resourcePath": "/{proxy+}",
            "stage": stage,
        },
        "body": body,
        "isBase64Encoded": encoded,
    }
    return json.dumps(event).encode()


def _parameters(query: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, value in parse_qsl(query, keep_blank_values=True):
        found[name].append(value)
    return found


def _body(request: Request) -> tuple[str, bool]:
    """Return the body, and whether it is in base64."""
    if (request.header("content-type") or "").lower().startswith(TEXT_TYPES):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), True


def _times() -> dict[str, object]:
    now = time.time()
    return {
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "timeEpoch": int(now * 1000),
    }
