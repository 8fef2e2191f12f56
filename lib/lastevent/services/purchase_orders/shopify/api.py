"""The shop's Admin GraphQL API: one call at a time, within limits of time, size and cost.

https://shopify.dev/docs/api/admin-graphql. Each call costs points, of which a shop has a bucket
that refills by the second; an answer says how full it is. The next call waits until it can be paid,
so that the shop need not refuse it (https://shopify.dev/docs/api/usage/limits). The token goes into
one header and nowhere else: no error, log or ``repr`` holds it.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from lastevent.core.errors import ConfigError, UpstreamLost, UpstreamRefused
from lastevent.sources.http_service import HttpService

VERSION = "2026-07"
"""Of the API: each is served for a year at least, and its inventory calls are what stock relies on
(``@idempotent`` and ``changeFromQuantity`` came with 2026-01)."""

CALL_SECONDS = 20.0
MAX_ANSWER_BYTES = 4 * 2**20
USUAL_COST = 60.0
"""Points that a call may cost before any such call was made."""

LONGEST_WAIT = 10.0
"""A call that would have to wait longer for its points is left for a later attempt."""

ATTEMPTS = 4
"""How often a call is made that the shop refuses as too dear just now."""

_TOKEN = re.compile(r"[!-~]{8,512}")
_LONGEST_MESSAGE = 300


class ShopifyRefused(UpstreamRefused):
    """The shop answered, and said no. ``codes`` are its own words for why."""

    def __init__(self, message: str, codes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.codes = frozenset(codes)


@dataclass(slots=True)
class _Bucket:
    """The points that were left when an answer last told, and how quickly they come back."""

    available: float = USUAL_COST
    rate: float = 50.0
    at: float = 0.0

    def seconds_until(self, cost: float, now: float) -> float:
        return max(0.0, (cost - self.available) / self.rate - (now - self.at))


class ShopifyApi:
    """One shop. ``shop`` is its name at myshopify.com, ``url`` the API's address if it is another.

    Belongs to one event loop.
    """

    def __init__(self, shop: str, token: str, url: str | None = None) -> None:
        if not _TOKEN.fullmatch(token):
            # An HTTP client that cannot send a header shows it in its error.
            raise ConfigError("SHOPIFY_ACCESS_TOKEN: write the token as it is, in visible ASCII")
        self.shop = shop
        self._token = token
        self._url = (url or f"https://{shop}/admin/api/{VERSION}").rstrip("/") + "/graphql.json"
        self._bucket: _Bucket | None = None
        self._costs: dict[str, float] = {}
        self._service = HttpService("Shopify", {"X-Shopify-Access-Token": token})

    def __repr__(self) -> str:
        return f"<ShopifyApi {self.shop}>"

    async def aclose(self) -> None:
        """Close the connections."""
        await self._service.aclose()

    async def call(self, document: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the ``data`` that a query or a mutation is answered with.

        A mutation whose answer is lost may have been carried out. Raises UpstreamLost for what
        passes, with the seconds that the shop wants to be left alone, ShopifyRefused, and
        AnswerTooLarge.
        """
        for attempt in range(1, ATTEMPTS + 1):
            await self._afford(document)
            body = await self._post(document, variables)
            self._learn(document, body)
            errors = body.get("errors")
            if not errors:
                data = body.get("data")
                if not isinstance(data, Mapping):
                    raise UpstreamLost("Shopify's answer holds no data")
                return data
            error = self._error(errors)
            if not isinstance(error, _Throttled) or attempt == ATTEMPTS:
                raise error
        raise AssertionError("the last attempt has returned or raised")

    async def _afford(self, document: str) -> None:
        """Wait until the bucket holds what this costs; raise UpstreamLost if that takes long."""
        if self._bucket is None:
            return
        cost = self._costs.get(document, USUAL_COST)
        seconds = self._bucket.seconds_until(cost, monotonic())
        if seconds > LONGEST_WAIT:
            raise UpstreamLost("Shopify is asked too much just now", seconds)
        await asyncio.sleep(seconds)

    def _learn(self, document: str, body: Mapping[str, Any]) -> None:
        """Remember what a call cost, and what is left."""
        try:
            cost = body["extensions"]["cost"]
            status = cost["throttleStatus"]
            self._costs[document] = float(cost["requestedQueryCost"])
            self._bucket = _Bucket(
                float(status["currentlyAvailable"]),
                max(float(status["restoreRate"]), 1.0),
                monotonic(),
            )
        except (KeyError, TypeError, ValueError):
            return

    def _error(self, errors: object) -> UpstreamLost | ShopifyRefused:
        """Return what the errors of an answer mean. They are no user errors: those are data."""
        told = [it for it in errors if isinstance(it, Mapping)] if isinstance(errors, list) else []
        codes = [
            str(extensions.get("code", ""))[:80]
            for it in told
            if isinstance(extensions := it.get("extensions"), Mapping)
        ]
        if "THROTTLED" in codes:
            return _Throttled("Shopify is asked too much just now", self._refill())
        if "INTERNAL_SERVER_ERROR" in codes or "TIMEOUT" in codes:
            return UpstreamLost("Shopify failed to answer this time")
        if "ACCESS_DENIED" in codes:
            said = "SHOPIFY_ACCESS_TOKEN lacks an access scope that this needs"
            return ShopifyRefused(f"Shopify does not allow this: {said}", codes)
        message = str(told[0].get("message", "")) if told else str(errors)
        return ShopifyRefused(f"Shopify refuses this: {self._shown(message)}", codes)

    def _refill(self) -> float | None:
        return None if self._bucket is None else self._bucket.seconds_until(USUAL_COST, monotonic())

    def _shown(self, message: str) -> str:
        """Return what the shop says, fit to be shown."""
        text = " ".join(message.replace(self._token, "…").split())[:_LONGEST_MESSAGE]
        return text.encode(errors="replace").decode()

    async def _post(self, document: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = await self._service.ask(
            "POST",
            self._url,
            json={"query": document, "variables": variables},
            seconds=CALL_SECONDS,
            most_bytes=MAX_ANSWER_BYTES,
        )
        if error := answer.trouble("this"):
            if answer.status in (401, 403):
                raise ShopifyRefused("Shopify does not accept this server's SHOPIFY_ACCESS_TOKEN")
            raise error if isinstance(error, UpstreamLost) else ShopifyRefused(str(error))
        try:
            body = json.loads(answer.body)
        except (ValueError, RecursionError):
            raise UpstreamLost("Shopify's answer is not JSON") from None
        if not isinstance(body, Mapping):
            raise UpstreamLost("Shopify's answer is no JSON object")
        return body


class _Throttled(UpstreamLost):
    """The bucket did not hold what the call costs."""
