"""Records in DynamoDB: an item each, written under the condition of what was read before.

Each write draws a nonce and adds it to the document's ``trail``, by which the next write knows what
it replaces. A write that was sent twice finds itself there, also when others have written since.
What has expired by its own time (``until``, Unix ms) is not there.

A document that this process has just read or written is written without another look: its condition
finds out whether it is still the same, and only then is it looked at.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from lastevent.core.errors import Conflict, InvalidRequest, TooLarge, Transient
from lastevent.stores.base import Clock, Record
from lastevent.stores.dynamodb.chunk import new_nonce
from lastevent.stores.dynamodb.client import Client
from lastevent.stores.dynamodb.failure import Refused
from lastevent.stores.dynamodb.table import expiry, key

MAX_VALUE_BYTES = 380 * 1024
MAX_ID_BYTES = 1000
"""DynamoDB's sort keys have at most 1024."""

_ATTEMPTS = 20
_TRAIL = 12
"""Writes that others may have made before one knows that its own was the first."""

_PAGE = 100
_MAX_SEEN = 2000
"""Documents of which a process remembers what it saw last."""


class DynamoRecords:
    """base.Records."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._seen: dict[tuple[str, str], Mapping[str, Any]] = {}

    async def get(self, kind: str, id: str) -> Record | None:
        async with self._client.limited():
            item = await self._living(kind, id)
            return _record(kind, item) if item else None

    async def put(
        self,
        kind: str,
        id: str,
        value: str,
        *,
        expect: int | None = None,
        seconds: float | None = None,
    ) -> Record:
        if len(value.encode()) > MAX_VALUE_BYTES:
            raise TooLarge(f"a document has at most {MAX_VALUE_BYTES // 1024} KB")
        async with self._client.limited():
            for attempt in range(_ATTEMPTS):
                there = self._expected(kind, id, expect) if not attempt else None
                if there is None:
                    there = await self._get(kind, id)
                record = Record(kind, id, self._version(there, expect) + 1, value, self._now_ms())
                if await self._put(record, seconds, there):
                    return record
                await _pause(attempt)
        raise Transient("the document is written by too many at once")

    async def query(
        self, kind: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> list[Record]:
        # Ids with a common beginning lie side by side. A query has one condition on its key.
        condition, value = ("begins_with(sk, :sk)", prefix)
        if after >= prefix:
            condition, value = ("sk > :sk", after)
        found: list[Record] = []
        more: dict[str, Any] = {}
        async with self._client.limited():
            while len(found) < limit:
                answer = await self._client.send(
                    "Query",
                    KeyConditionExpression=f"pk = :pk AND {condition}",
                    ExpressionAttributeValues={
                        ":pk": {"S": _pk(kind)},
                        ":sk": {"S": _sk(value)},
                    },
                    ConsistentRead=True,
                    Limit=min(limit - len(found), _PAGE),
                    **more,
                )
                for item in answer["Items"]:
                    record = _record(kind, item)
                    if not record.id.startswith(prefix):
                        return found
                    if record.id > after or not after:
                        found += [record] if self._lives(item) else []
                if "LastEvaluatedKey" not in answer:
                    break
                more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        return found

    async def delete(self, kind: str, id: str, *, expect: int | None = None) -> bool:
        async with self._client.limited():
            for attempt in range(_ATTEMPTS):
                there = self._expected(kind, id, expect) if not attempt else None
                if not there or not self._lives(there):
                    there = await self._get(kind, id)
                if self._version(there, expect) == 0:
                    return False
                try:
                    await self._client.send(
                        "DeleteItem",
                        Key=_key(kind, id),
                        ReturnValues="ALL_OLD",
                        **_condition(there),
                    )
                    self._seen.pop((kind, id), None)
                    return True
                except Refused as refused:
                    if refused.repeated and not await self._get(kind, id):
                        return True  # the attempt whose answer was lost has removed it
                await _pause(attempt)
        raise Transient("the document is written by too many at once")

    async def _put(self, record: Record, seconds: float | None, there: Mapping[str, Any]) -> bool:
        """Write ``record`` over what was read; return False if something else is there by now."""
        nonce = new_nonce()
        trail = [*_trail(there), nonce][-_TRAIL:]
        item = {
            **_key(record.kind, record.id),
            "version": {"N": str(record.version)},
            "json": {"S": record.value},
            "updated": {"N": str(record.updated)},
            "trail": {"S": " ".join(trail)},
        }
        if seconds is not None:
            item["until"] = {"N": str(self._now_ms(seconds))}
            item["expires"] = expiry(self._clock(), seconds)
        try:
            await self._client.send("PutItem", Item=item, **_condition(there))
        except Refused as refused:
            if not refused.repeated:
                return False
            return nonce in _trail(await self._get(record.kind, record.id))
        self._see(record.kind, record.id, item)
        return True

    async def _get(self, kind: str, id: str) -> Mapping[str, Any]:
        answer = await self._client.send("GetItem", Key=_key(kind, id), ConsistentRead=True)
        item: Mapping[str, Any] = answer.get("Item", {})
        self._see(kind, id, item)
        return item

    def _see(self, kind: str, id: str, item: Mapping[str, Any]) -> None:
        """Remember of an item what the next write goes by; of one that is not there, nothing."""
        self._seen.pop((kind, id), None)
        if item:
            if len(self._seen) >= _MAX_SEEN:
                del self._seen[next(iter(self._seen))]
            kept = ("version", "trail", "until")
            self._seen[kind, id] = {name: item[name] for name in kept if name in item}

    def _expected(self, kind: str, id: str, expect: int | None) -> Mapping[str, Any] | None:
        """Return what this process saw there last, if ``expect`` agrees with it; else None.

        What it never saw is not there, to whoever expects that.
        """
        seen = self._seen.get((kind, id), {})
        if expect is None:
            return seen or None
        return seen if self._number(seen) == expect else None

    async def _living(self, kind: str, id: str) -> Mapping[str, Any]:
        item = await self._get(kind, id)
        return item if item and self._lives(item) else {}

    def _lives(self, item: Mapping[str, Any]) -> bool:
        return "until" not in item or int(item["until"]["N"]) > self._now_ms()

    def _version(self, item: Mapping[str, Any], expect: int | None) -> int:
        """Return the version that is there, 0 for none; raise Conflict for another expectation."""
        version = self._number(item)
        if expect is not None and expect != version:
            raise Conflict(f"the document has version {version}, not {expect}")
        return version

    def _number(self, item: Mapping[str, Any]) -> int:
        """Return the version of an item that was read, 0 where nothing is there any more."""
        return int(item["version"]["N"]) if item and self._lives(item) else 0

    def _now_ms(self, later: float = 0.0) -> int:
        return int((self._clock() + later) * 1000)


def _condition(there: Mapping[str, Any]) -> dict[str, Any]:
    """Return the condition that nothing has changed since it was read."""
    if not there:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "ConditionExpression": "trail = :trail",
        "ExpressionAttributeValues": {":trail": there["trail"]},
    }


def _trail(item: Mapping[str, Any]) -> list[str]:
    return str(item["trail"]["S"]).split() if item else []


async def _pause(attempt: int) -> None:
    await asyncio.sleep(random.uniform(0, 0.002 * (attempt + 1)))


def _record(kind: str, item: Mapping[str, Any]) -> Record:
    return Record(
        kind,
        item["sk"]["S"].removeprefix("/"),
        int(item["version"]["N"]),
        item["json"]["S"],
        int(item["updated"]["N"]),
    )


def _pk(kind: str) -> str:
    return f"record#{kind}"


def _sk(id: str) -> str:
    return f"/{id}"  # a sort key may not be empty, and an id may


def _key(kind: str, id: str) -> dict[str, dict[str, str]]:
    if len(id.encode()) > MAX_ID_BYTES:
        raise InvalidRequest(f"a document's id has at most {MAX_ID_BYTES} bytes")
    return key(_pk(kind), _sk(id))
