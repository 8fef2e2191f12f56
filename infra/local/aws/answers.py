"""What a function answered, as an HTTP response.

Whole answers in payload format 2.0, where what has no `statusCode` is the body of a 200:
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html, response payload format.
Streamed ones begin with a prelude of JSON and eight NUL bytes:
https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html,
which also says that the delimiter is within the first 16 KB.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

DELIMITER = b"\0" * 8
MAX_PRELUDE_BYTES = 16 * 1024
INTEGRATION_TYPE = "application/vnd.awslambda.http-integration-response"

# A gateway speaks for itself in these; what a function says in them arrives under another name
# (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html).
REMAPPED = frozenset({"connection", "content-length", "date", "server", "www-authenticate"})
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
DROPPED = frozenset({"keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})


class Malformed(Exception):
    """The function's answer is not in the form that its gateway asks for."""


@dataclass(frozen=True, slots=True)
class HttpHead:
    """Status and headers of a response."""

    status: int
    headers: list[tuple[str, str]]

    @property
    def for_client(self) -> list[tuple[str, str]]:
        """The headers as the client gets them."""
        kept = [(name, value) for name, value in self.headers if name not in DROPPED]
        return [
            (f"x-amzn-remapped-{name}" if name in REMAPPED else name, value) for name, value in kept
        ]


def parse_whole(payload: bytes) -> tuple[HttpHead, bytes]:
    """Return the response that a whole answer in format 2.0 means. Raises Malformed."""
    try:
        answer = json.loads(payload)
    except ValueError as error:
        raise Malformed("the answer is not JSON") from error
    if not isinstance(answer, dict) or "statusCode" not in answer:
        text = answer if isinstance(answer, str) else payload.decode()
        return HttpHead(200, [("content-type", "application/json")]), text.encode()
    body = answer.get("body")
    if body is None:
        body = ""
    if not isinstance(body, str):
        raise Malformed("the body is no text")
    if not answer.get("isBase64Encoded"):
        return _head(answer), body.encode()
    try:
        return _head(answer), base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise Malformed("the body is not base64") from error


class Prelude:
    """Collects the beginning of a streamed answer until it can be told."""

    def __init__(self) -> None:
        self._collected = b""

    def feed(self, part: bytes) -> tuple[HttpHead, bytes] | None:
        """Return the head and what follows it, None while it is not complete. Raises Malformed."""
        self._collected += part
        if DELIMITER not in self._collected:
            if len(self._collected) > MAX_PRELUDE_BYTES:
                raise Malformed(f"no delimiter within {MAX_PRELUDE_BYTES} bytes")
            return None
        prelude, _, rest = self._collected.partition(DELIMITER)
        if len(prelude) > MAX_PRELUDE_BYTES:
            raise Malformed(f"no delimiter within {MAX_PRELUDE_BYTES} bytes")
        try:
            answer = json.loads(prelude)
        except ValueError as error:
            raise Malformed("the prelude is not JSON") from error
        if not isinstance(answer, dict):
            raise Malformed("the prelude is no JSON object")
        return _head({"statusCode": 200} | answer), rest


def _head(answer: Mapping[str, object]) -> HttpHead:
    try:
        status = int(str(answer["statusCode"]))
    except ValueError as error:
        raise Malformed("the statusCode is no number") from error
    if not 200 <= status <= 599:
        raise Malformed("the statusCode is none of a response")
    single, many, cookies = (
        answer.get("headers") or {},
        answer.get("multiValueHeaders") or {},
        answer.get("cookies") or [],
    )
    if not (isinstance(single, dict) and isinstance(many, dict) and isinstance(cookies, list)):
        raise Malformed("headers are JSON objects, cookies a list")
    several = {_name(name): values for name, values in many.items()}
    headers = [
        (_name(name), _text(value)) for name, value in single.items() if _name(name) not in several
    ]
    for name, values in several.items():
        if not isinstance(values, list):
            raise Malformed("a value of multiValueHeaders is a list")
        headers += [(name, _text(value)) for value in values]
    headers += [("set-cookie", _text(cookie)) for cookie in cookies]
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "application/json"))
    return HttpHead(status, headers)


def _name(name: str) -> str:
    if not TOKEN.fullmatch(name):
        raise Malformed("a header's name is none")
    return name.lower()


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    if any(character in text for character in "\r\n\0"):
        raise Malformed("a header's value has a line break")
    return text
