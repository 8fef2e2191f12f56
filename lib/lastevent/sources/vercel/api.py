"""The vendor's REST API: the calls that we need, each within limits of time and size.

https://vercel.com/docs/rest-api. The token goes into one header and nowhere else: no error, log or
``repr`` holds it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from time import time
from typing import Any
from urllib.parse import quote

from lastevent.core.errors import ConfigError, UpstreamLost, UpstreamRefused
from lastevent.sources.http_service import Answer, HttpService
from lastevent.sources.http_status import retry_after_seconds
from lastevent.sources.vercel.snapshot import Snapshot

VENDOR = "https://api.vercel.com"

CALL_SECONDS = 10.0
EVENTS_SECONDS = 20.0
UPLOAD_SECONDS = 60.0
MAX_ANSWER_BYTES = 4 * 2**20
MAX_EVENTS_BYTES = 64 * 2**20
"""A whole build log as JSON: the vendor keeps 4 MB of text of a build."""

_LONGEST_MESSAGE = 300
_SPACE = re.compile(r"[ \t\r\n]*")
_TOKEN = re.compile(r"[!-~]{8,512}")


class ApiRefused(UpstreamRefused):
    """The API answered, and said no. ``answered`` is the HTTP status, ``code`` its own word."""

    def __init__(self, message: str, answered: int, code: str = "") -> None:
        super().__init__(message)
        self.answered = answered
        self.code = code


class VercelApi:
    """One account's or team's deployments. Belongs to one event loop.

    Each call raises UpstreamLost for what passes (no answer, half of one, 429, 5xx), with the
    seconds that the API wants to be left alone, ApiRefused for what does not, and AnswerTooLarge.
    """

    def __init__(self, token: str, *, team: str | None = None, url: str = VENDOR) -> None:
        if not _TOKEN.fullmatch(token):
            # An HTTP client that cannot send a header shows it in its error.
            raise ConfigError("VERCEL_TOKEN: write the token as it is, in visible ASCII characters")
        self._token = token
        self._team = {} if team is None else {"teamId": team}
        self._url = url.rstrip("/")
        self._service = HttpService("Vercel", {"Authorization": f"Bearer {token}"})

    def __repr__(self) -> str:
        return f"<VercelApi {self._url}>"

    async def aclose(self) -> None:
        """Close the connections."""
        await self._service.aclose()

    async def deployment(self, id: str) -> Snapshot:
        """Return the deployment of this id or host name as it is now."""
        return Snapshot.parse(await self._json("GET", f"/v13/deployments/{quote(id, safe='')}"))

    async def events(self, id: str, since: int = 0) -> list[Any]:
        """Return the events of a deployment's log since a time (Unix ms, included), in any order.

        A log that does not exist, or not any more, has none.
        """
        query = {"direction": "forward", "limit": "-1", "builds": "1"}
        if since:
            query["since"] = str(since)
        path = f"/v3/deployments/{quote(id, safe='')}/events"
        try:
            body = await self._call(
                "GET", path, query, seconds=EVENTS_SECONDS, most=MAX_EVENTS_BYTES
            )
        except ApiRefused as error:
            if error.answered in (404, 410):
                return []
            raise
        return _values(body)

    async def upload(self, content: bytes) -> str:
        """Upload a file; return the digest by which a deployment refers to it."""
        digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        headers = {"x-vercel-digest": digest, "Content-Type": "application/octet-stream"}
        await self._call("POST", "/v2/files", {}, content, headers, seconds=UPLOAD_SECONDS)
        return digest

    async def create(self, deployment: Mapping[str, Any]) -> Snapshot:
        """Create a deployment; return it. One whose answer is lost may have been created.

        https://vercel.com/docs/rest-api/deployments/create-a-new-deployment
        """
        return Snapshot.parse(
            await self._json(
                "POST",
                "/v13/deployments",
                {"skipAutoDetectionConfirmation": "1"},
                deployment,
                seconds=UPLOAD_SECONDS,
            )
        )

    async def transfer_code(self, project: str) -> str:
        """Return a code with which another account can take the project over, for 24 hours.

        https://vercel.com/docs/rest-api/projects/create-project-transfer-request
        """
        path = f"/projects/{quote(project, safe='')}/transfer-request"
        answer = await self._json("POST", path, {}, {})
        code = answer.get("code") if isinstance(answer, dict) else None
        if not isinstance(code, str) or not re.fullmatch(r"[\w.~-]{1,200}", code):
            raise UpstreamLost("Vercel's answer holds no transfer code")
        return code

    async def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] = {},
        body: Mapping[str, Any] | None = None,
        *,
        seconds: float = CALL_SECONDS,
    ) -> Any:
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        answer = await self._call(method, path, query, content, headers, seconds=seconds)
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            raise UpstreamLost("Vercel's answer is not JSON") from None

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        content: bytes | None = None,
        headers: Mapping[str, str] = {},
        *,
        seconds: float = CALL_SECONDS,
        most: int = MAX_ANSWER_BYTES,
    ) -> bytes:
        answer = await self._service.ask(
            method,
            self._url + path,
            params={**query, **self._team},
            content=content,
            headers=headers,
            seconds=seconds,
            most_bytes=most,
            repeat=method == "GET",
        )
        if error := answer.trouble("this"):
            raise self._meant(error, answer)
        return answer.body

    def _meant(self, error: UpstreamLost | UpstreamRefused, answer: Answer) -> Exception:
        """Return an error with what the vendor says of it besides its status."""
        status = answer.status
        if isinstance(error, UpstreamLost):
            if error.retry_after is None and status == 429:
                error.retry_after = retry_after_seconds(_reset(answer.headers))
            return error
        said = _said(answer.body)
        code = str(said.get("code", ""))[:80]
        if status == 401 or said.get("invalidToken") or said.get("missingToken"):
            return ApiRefused("Vercel does not accept this server's VERCEL_TOKEN", 401, code)
        message = str(said.get("message", "")).strip().rstrip(".").replace(self._token, "…")
        message = message[:_LONGEST_MESSAGE].encode(errors="replace").decode()
        detail = f"{error}: {message}" if message else str(error)
        return ApiRefused(detail, status, code)


def _values(body: bytes) -> list[Any]:
    """Return what an array holds, or what a stream of JSON values does, one after the other.

    Half of either is no answer: what it holds comes again with the next one.
    """
    decoder = json.JSONDecoder()
    found: list[Any] = []
    try:
        text = body.decode().strip()
        at = 0
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            found.extend(value if isinstance(value, list) else [value])
            at = _after_space(text, at)
    except (ValueError, RecursionError):
        raise UpstreamLost("Vercel's answer was cut, or is not JSON") from None
    return found


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _said(body: bytes) -> Mapping[str, Any]:
    """Return the vendor's error object: ``{"error": {"code", "message", …}}``."""
    try:
        said = json.loads(body)["error"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return {}
    return said if isinstance(said, dict) else {}


def _reset(headers: Mapping[str, str]) -> str | None:
    """Return the seconds until the limit is lifted, of a header that gives it as a Unix time."""
    reset = headers.get("x-ratelimit-reset", "")
    return str(max(0.0, int(reset) - time())) if re.fullmatch(r"[0-9]{9,11}", reset) else None
