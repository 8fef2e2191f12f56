"""From replies to an answer's body (REST API, "Response")."""

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from starlette.datastructures import Headers

from infra.local.upstash.refusal import Refused
from infra.local.upstash.resp import Failure, Reply, Status, encode_reply

type Shape = Callable[[Reply], object]


@dataclass(frozen=True, slots=True)
class Form:
    """How a request wants to be answered: JSON values of a shape, or without one as resp2."""

    shape: Shape | None

    @classmethod
    def of(cls, headers: Headers, *, json_only: bool) -> Self:
        """Read the headers `Upstash-Encoding` and `Upstash-Response-Format`. Raises Refused."""
        encoding = headers.get("upstash-encoding")
        wanted = headers.get("upstash-response-format", "json")
        if encoding not in (None, "base64"):
            raise Refused("ERR unsupported encoding: it can be base64")
        if wanted not in ("json", "resp2"):
            raise Refused("ERR unsupported response format: it can be json or resp2")
        if wanted == "resp2" and not json_only:
            if encoding:
                raise Refused("ERR base64 encoding is not permitted with the format resp2")
            return cls(None)
        return cls(base64 if encoding else plain)

    @property
    def media_type(self) -> str:
        """The answer's content type."""
        return "application/json" if self.shape else "application/octet-stream"

    def encode(self, reply: Reply) -> bytes:
        """Return the body for one command."""
        return _dump(_member(reply, self.shape)) if self.shape else encode_reply(reply)

    def encode_all(self, replies: Sequence[Reply]) -> bytes:
        """Return the body for several commands. In resp2 (not documented), reply after reply."""
        if self.shape is None:
            return b"".join(map(encode_reply, replies))
        return _dump([_member(reply, self.shape) for reply in replies])


def error(text: str) -> bytes:
    """Return the body for a request that failed as a whole."""
    return _dump({"error": text})


def plain(reply: Reply) -> object:
    """Return a reply as a JSON value; what is not valid UTF-8 becomes U+FFFD."""
    match reply:
        case bytes():
            return reply.decode(errors="replace")
        case Failure(text):
            return text
        case list():
            return [plain(part) for part in reply]
    return reply


def base64(reply: Reply) -> object:
    """Return a reply as a JSON value with every string but the answer OK in base64."""
    match reply:
        case Status() if reply == b"OK":
            return "OK"
        case bytes():
            return b64encode(reply).decode()
        case list():
            return [base64(part) for part in reply]
    return plain(reply)


def _member(reply: Reply, shape: Shape) -> object:
    if isinstance(reply, Failure):
        return {"error": reply.text}
    return {"result": shape(reply)}


def _dump(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
