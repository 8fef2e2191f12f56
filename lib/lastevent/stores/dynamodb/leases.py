"""Leases in DynamoDB, which has no clock that a condition could ask (RULES 17).

Each taking and each renewal gives the lease a new version. Who has seen one version unchanged for
the lease's length, by its own clock, may take it over: a holder that still lived would have renewed
it. So nobody's clock is compared with another's. A process that meets a held lease for the first
time therefore waits for its whole length, counted from then, even if the holder died long ago.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lastevent.stores.base import EXTENT_SECONDS, Clock, Lease
from lastevent.stores.dynamodb.chunk import new_nonce
from lastevent.stores.dynamodb.client import Client
from lastevent.stores.dynamodb.failure import Refused
from lastevent.stores.dynamodb.table import expiry, key

MAX_REMEMBERED = 10_000
_ATTEMPTS = 3


class DynamoLeases:
    """base.Leases. A token is the time of its taking in ms, or one more than the last."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._steady = time.monotonic if clock is time.time else clock
        self._seen: dict[str, _Seen] = {}

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        async with self._client.limited():
            for _ in range(_ATTEMPTS):
                item = await self._get(name)
                held = item.get("holder", {}).get("S")
                token = int(item["last"]["N"]) if item else 0
                if held is not None and not self._has_run_out(name, item):
                    if held != holder:
                        return None
                else:
                    token = max(token + 1, int(self._clock() * 1000))
                if await self._put(Lease(name, holder, token), seconds, _unchanged(item)):
                    return Lease(name, holder, token)
        return None  # somebody else was faster

    async def renew(self, lease: Lease, seconds: float) -> bool:
        async with self._client.limited():
            seen = self._seen.get(lease.name)
            if seen is not None and seen.has_run_out(self._steady()):
                # Unless another process has renewed this very lease, it was lost.
                item = await self._get(lease.name)
                if not item or self._has_run_out(lease.name, item):
                    return False
            return await self._put(lease, seconds, _held_by(lease))

    async def release(self, lease: Lease) -> None:
        async with self._client.limited():
            await self._put(lease, None, _held_by(lease))

    async def _get(self, name: str) -> Mapping[str, Any]:
        answer = await self._client.send("GetItem", Key=_key(name), ConsistentRead=True)
        item: Mapping[str, Any] = answer.get("Item", {})
        return item

    def _has_run_out(self, name: str, item: Mapping[str, Any]) -> bool:
        """Return whether this version has been there for the lease's length; remember it if new."""
        version, now = item["version"]["S"], self._steady()
        seen = self._seen.get(name)
        if seen is None or seen.version != version:
            seen = _Seen(version, now, float(item["seconds"]["N"]))
            self._remember(name, seen)
        return seen.has_run_out(now)

    def _remember(self, name: str, seen: "_Seen") -> None:
        if len(self._seen) >= MAX_REMEMBERED:
            self._seen.pop(next(iter(self._seen)))
        self._seen[name] = seen

    async def _put(self, lease: Lease, seconds: float | None, condition: dict[str, Any]) -> bool:
        """Write the lease: held for ``seconds``, or released if None.

        Return False if the condition does not hold.
        """
        version, now, kept = new_nonce(), self._steady(), seconds or 0.0
        item = {
            **_key(lease.name),
            "last": {"N": str(lease.token)},
            "version": {"S": version},
            "seconds": {"N": str(kept)},
            "expires": expiry(self._clock(), EXTENT_SECONDS + kept),
        }
        if seconds is not None:
            item["holder"] = {"S": lease.holder}
        try:
            await self._client.send("PutItem", Item=item, **condition)
        except Refused as refused:
            # After a lost answer, what is there may be what was just written.
            there = await self._get(lease.name) if refused.repeated else {}
            if there.get("version", {}).get("S") != version:
                return False
        # For the holder, its time began before the request; others begin to count after theirs.
        self._remember(lease.name, _Seen(version, now, kept))
        return True


@dataclass(frozen=True, slots=True)
class _Seen:
    """A version of a lease, since when it is known here, and how long it is good. In seconds."""

    version: str
    since: float
    seconds: float

    def has_run_out(self, now: float) -> bool:
        return now - self.since >= self.seconds


def _unchanged(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the condition that the item is still as it was read."""
    if not item:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "ConditionExpression": "version = :version",
        "ExpressionAttributeValues": {":version": item["version"]},
    }


def _held_by(lease: Lease) -> dict[str, Any]:
    return {
        "ConditionExpression": "holder = :holder AND #last = :token",
        "ExpressionAttributeNames": {"#last": "last"},
        "ExpressionAttributeValues": {
            ":holder": {"S": lease.holder},
            ":token": {"N": str(lease.token)},
        },
    }


def _key(name: str) -> dict[str, dict[str, str]]:
    return key(f"lease#{name}", "lease")
