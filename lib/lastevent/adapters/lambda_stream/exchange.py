"""Receive and send of one invocation: an ASGI response as a streamed answer to Lambda.

The body of the answer is a JSON prelude with status, headers and cookies, eight NUL bytes, and then
the payload as it is sent (Lambda Developer Guide, "Response streaming for Lambda functions"; API
Gateway Developer Guide, "Lambda proxy integration format for response streaming").
"""

import asyncio
import json
from collections.abc import Iterable

from starlette.types import Message

from lastevent.adapters.lambda_stream.connection import Upload
from lastevent.adapters.lambda_stream.failure import Failure, IncompleteResponse
from lastevent.adapters.lambda_stream.runtime_api import Call, RuntimeApi, note

DELIMITER = bytes(8)
EVENT_STREAM = "text/event-stream"
COMMENT = b":\n\n"
"""An event stream's empty comment, which says nothing to anybody (WHATWG HTML §9.2.6)."""


def prelude(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return what goes before the payload. Repeated headers are joined (RFC 9110 §5.3), but for
    Set-Cookie, which cannot be and has a field of its own."""
    joined: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "set-cookie":
            cookies.append(value)
        else:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
    fields = {"statusCode": status, "headers": joined, "cookies": cookies}
    return json.dumps(fields).encode() + DELIMITER


class Exchange:
    """One request of ``call`` with ``body``, and its response through ``api``.

    ``trailing_comment``: Lambda has been seen to hold a small chunk back until there is another, so
    each chunk of an event stream is followed by one with an empty comment.
    """

    def __init__(
        self, api: RuntimeApi, call: Call, body: bytes, *, trailing_comment: bool = False
    ) -> None:
        self._api = api
        self._call = call
        self._body: bytes | None = body
        self._trailing_comment = trailing_comment
        self._comment = b""
        self._upload: Upload | None = None
        self._over = asyncio.Event()

    @property
    def has_broken(self) -> bool:
        """Whether Lambda has ended the response before the application did."""
        return self._upload is not None and self._upload.broken

    async def receive(self) -> Message:
        """Return the whole body once, and ``http.disconnect`` when the response is over."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Pass a message on at once; raise OSError when Lambda takes no more (ASGI 2.4)."""
        kind, upload = message["type"], self._upload
        if kind == "http.response.start" and upload is None:
            await self._start(message["status"], message.get("headers", ()))
        elif kind == "http.response.body" and upload is not None and not upload.ended:
            more = message.get("more_body", False)
            body = message.get("body", b"")
            await upload.send(body)
            if not more:
                self._over.set()
                await upload.end()
            elif self._comment and body.endswith(b"\n\n"):  # not within an event
                await upload.send(self._comment)
        else:
            raise RuntimeError(f"{kind} is out of place here")

    async def finish(self, error: Exception | None = None) -> None:
        """See the invocation to its end, once the application has returned or raised ``error``.

        Raises OSError if the Runtime API has not taken the end.
        """
        self._over.set()
        upload = self._upload
        if upload is None:
            missing = IncompleteResponse("the application returned without a response")
            await self._api.report(self._call, Failure.of(error or missing))
            return
        if not upload.ended and not upload.broken:
            missing = IncompleteResponse("the application returned within its response")
            await upload.end(Failure.of(error or missing).trailers(self._call.request_id))
        note(self._call, await upload.answered())

    async def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        headers = list(headers)
        self._upload = upload = await self._api.respond(self._call)
        upload.answer.add_done_callback(lambda _: self._over.set())
        if self._trailing_comment and _is_event_stream(headers):
            self._comment = COMMENT
        # At once, without the first of the payload: what takes long is often what comes next.
        await upload.send(prelude(status, headers))


def _is_event_stream(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    kinds = [value.decode("latin-1") for name, value in headers if name.lower() == b"content-type"]
    return any(kind.partition(";")[0].strip().lower() == EVENT_STREAM for kind in kinds)
