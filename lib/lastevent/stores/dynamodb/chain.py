"""The requests on streams' chains. See chunk for what they are made of.

All reads are strongly consistent. A query is not a snapshot, though: of two chunks that come one
after the other, it may have missed the first, and the outline that it ends with may be newer than
the chunks before it.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import batched
from typing import Any

from lastevent.core.errors import LastEventError, Transient
from lastevent.stores.base import EXTENT_SECONDS, Clock, RetentionRules
from lastevent.stores.dynamodb.capacity import Item
from lastevent.stores.dynamodb.chunk import (
    OUTLINE,
    Chunk,
    Tip,
    chunk_attributes,
    chunk_of,
    slot,
    tip_attributes,
    tip_of,
)
from lastevent.stores.dynamodb.client import Client
from lastevent.stores.dynamodb.failure import Cancelled, Refused
from lastevent.stores.dynamodb.keys import KeyItem, is_living, key_of
from lastevent.stores.dynamodb.table import expiry, key

FIRST_ITEMS = 64
"""Items in the first request of a run. A stream has one event in each, or many: more are asked for
as they turn out to be needed, so that neither costs much more than what is read."""

_GROWTH = 4
_MAX_RUN_BYTES = 1 << 20
_BATCH = 100
"""Items in one BatchGetItem at most, by the service's rule."""

_TURNS = 10
_TURN_SECONDS = 0.05
"""When it is throttled, it leaves some for another request, after a pause."""


class Taken(Exception):
    """The slot is taken. ``chunk`` is what is there, as far as it is known."""

    def __init__(self, chunk: Chunk | None) -> None:
        super().__init__("the slot of a chunk is taken")
        self.chunk = chunk


class Given(Exception):
    """The slot is free, but some keys were given an answer before: ``items`` in the keys' order."""

    def __init__(self, items: list[Any]) -> None:
        super().__init__("idempotency keys were answered before")
        self.items = items


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive items of a chain. ``copy``: of the outline, if the run goes to the end."""

    chunks: list[Chunk]
    copy: Tip | None
    at_end: bool

    @property
    def tip(self) -> Tip:
        """The newest state that the run tells of."""
        return newest(self.chunks[-1].tip if self.chunks else Tip(), self.copy or Tip())


def newest(*tips: Tip) -> Tip:
    """Return the one that is furthest along the chain."""
    return max(tips, key=lambda tip: tip.next)


class Chain:
    """Reads and writes the items of streams."""

    def __init__(self, client: Client, retention: RetentionRules, clock: Clock) -> None:
        self._client = client
        self._retention = retention
        self._clock = clock

    async def tip(self, stream: str, *, mend: bool = False) -> Tip:
        """Return the end of the chain; authoritative.

        A copy is written after its chunk, and a writer may have died between the two: ``mend``
        makes up for it. A chunk expires and its copy does not, so what the stream remembers would
        be lost with it (RULES 6).
        """
        answer = await self._query(stream, "pk = :pk", {}, ScanIndexForward=False, Limit=2)
        run = _run(reversed(answer["Items"]), at_end=True)
        tip = run.tip
        if mend and run.copy != tip and run.chunks:
            with suppress(LastEventError):  # who may only read leaves it to others
                await self.copy(stream, tip)
        return tip

    async def run(self, stream: str, start: str, events: int) -> Run:
        """Return the chunks from slot ``start`` on, until they have so many events, or the end."""
        items: list[Any] = []
        found = size = 0
        limit = min(events, FIRST_ITEMS) + 1
        more: dict[str, Any] = {}
        while True:
            answer = await self._query(
                stream, "pk = :pk AND sk >= :slot", {":slot": start}, Limit=limit, **more
            )
            items += answer["Items"]
            for item in answer["Items"]:
                found += int(item["size"]["N"]) if "size" in item else 0
                size += len(item["events"]["B"]) if "events" in item else 0
                size += len(item["bookmark"]["S"]) if "bookmark" in item else 0
            last = answer.get("LastEvaluatedKey")
            at_end = last is None or last["sk"]["S"] == OUTLINE
            if at_end or found >= events or size >= _MAX_RUN_BYTES:
                return _run(items, at_end)
            more = {"ExclusiveStartKey": last}
            limit *= _GROWTH

    async def chunk_with(self, stream: str, generation: int, sequence: int) -> Chunk | None:
        """Return the chunk that holds an event, if it is there."""
        answer = await self._query(
            stream,
            "pk = :pk AND sk < :slot",
            {":slot": slot(generation, sequence + 1)},
            ScanIndexForward=False,
            Limit=1,
        )
        found = [chunk_of(item) for item in answer["Items"]]
        return found[0] if found and found[0].holds(generation, sequence) else None

    async def put(self, stream: str, chunk: Chunk, keys: Sequence[KeyItem] = ()) -> None:
        """Write a chunk to its slot, with keys' answers, all or nothing.

        Raises Taken when the slot is taken by another chunk; with its own, it has been written by
        an attempt whose answer was lost. Raises Given when keys were answered before.
        """
        own = self._put(stream, chunk)
        try:
            if not keys:
                await self._client.send("PutItem", **own)
                return
            parts = [own, *(it.put(self._clock()) for it in keys)]
            for part in parts:
                part["TableName"] = self._client.table
            await self._client.send(
                "TransactWriteItems",
                TransactItems=[{"Put": part} for part in parts],
                ClientRequestToken=chunk.tip.nonce,
            )
        except Refused as refused:
            await self._taken(stream, chunk, refused.item)
        except Cancelled as cancelled:
            if cancelled.items[0] is None:
                raise Given(cancelled.items[1:]) from None
            await self._taken(stream, chunk, cancelled.items[0])

    async def copy(self, stream: str, tip: Tip) -> None:
        """Write the outline's copy, unless a newer one is there."""
        kept = self._retention.of(stream).max_seconds + EXTENT_SECONDS
        item = {
            **key(_pk(stream), OUTLINE),
            **tip_attributes(tip),
            "expires": expiry(self._clock(), kept),
        }
        with suppress(Refused):
            await self._client.send(
                "PutItem",
                Item=item,
                ConditionExpression="attribute_not_exists(pk) OR #next < :next",
                ExpressionAttributeNames={"#next": "next"},
                ExpressionAttributeValues={":next": item["next"]},
            )

    async def copies(self, streams: Collection[str]) -> dict[str, Tip]:
        """Return the copies of outlines, a request for each hundred; of those that have one."""
        parts = [self._copies(some) for some in batched(streams, _BATCH)]
        return {name: tip for part in await asyncio.gather(*parts) for name, tip in part.items()}

    async def joins(self, stream: str, chunk: Chunk) -> bool:
        """Return whether a chunk in its slot is part of the chain, or was forgotten by it.

        It is, when it is the last one, or the next goes on from it.
        """
        answer = await self._query(
            stream, "pk = :pk AND sk > :slot", {":slot": chunk.slot}, Limit=1
        )
        run = _run(answer["Items"], at_end=True)
        if run.chunks:
            return run.chunks[0].link == chunk.tip.nonce
        return run.copy is None or run.copy.next < chunk.tip.next or run.copy == chunk.tip

    async def remove(self, stream: str, chunk: Chunk, keys: Sequence[KeyItem]) -> None:
        """Take back a chunk that is no part of the chain, and the answers given with it."""
        state = chunk_attributes(chunk)["state"]  # its nonce is in there
        await self._delete(key(_pk(stream), chunk.slot), "state", state)
        for it in keys:
            item = it.item(self._clock())
            await self._delete(key(item["pk"]["S"], item["sk"]["S"]), "given", item["given"])

    async def answered(self, stream: str, generation: int, name: str) -> Item | None:
        """Return what a key was answered within a day, or None."""
        answer = await self._client.send(
            "GetItem", Key=key_of(stream, generation, name), ConsistentRead=True
        )
        item: Item | None = answer.get("Item")
        return item if item and is_living(item, self._clock()) else None

    async def _delete(self, place: Item, name: str, value: Mapping[str, Any]) -> None:
        with suppress(Refused):
            await self._client.send(
                "DeleteItem",
                Key=place,
                ReturnValues="ALL_OLD",
                ConditionExpression="#name = :value",
                ExpressionAttributeNames={"#name": name},
                ExpressionAttributeValues={":value": value},
            )

    async def _copies(self, streams: Sequence[str]) -> dict[str, Tip]:
        keys = [key(_pk(stream), OUTLINE) for stream in streams]
        found: list[Any] = []
        for _ in range(_TURNS):
            asked = {self._client.table: {"Keys": keys, "ConsistentRead": True}}
            answer = await self._client.send("BatchGetItem", RequestItems=asked)
            found += answer["Responses"].get(self._client.table, [])
            rest = answer.get("UnprocessedKeys", {}).get(self._client.table)
            if not rest:
                return {item["pk"]["S"].removeprefix(_pk("")): tip_of(item) for item in found}
            keys = rest["Keys"]
            await asyncio.sleep(_TURN_SECONDS)
        raise Transient("DynamoDB is busy")

    def _put(self, stream: str, chunk: Chunk) -> dict[str, Any]:
        kept = self._retention.of(stream).max_seconds
        return {
            "Item": {
                **key(_pk(stream), chunk.slot),
                **chunk_attributes(chunk),
                "expires": expiry(self._clock(), kept),
            },
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    async def _taken(self, stream: str, chunk: Chunk, item: Any) -> None:
        """Raise Taken, unless it is by the chunk itself."""
        if not item:  # some servers do not say what is there
            answer = await self._client.send(
                "GetItem", Key=key(_pk(stream), chunk.slot), ConsistentRead=True
            )
            item = answer.get("Item")
        other = chunk_of(item) if item else None
        if other is None or other.tip.nonce != chunk.tip.nonce:
            raise Taken(other)

    async def _query(
        self, stream: str, condition: str, values: dict[str, str], **options: Any
    ) -> dict[str, Any]:
        return await self._client.send(
            "Query",
            KeyConditionExpression=condition,
            ExpressionAttributeValues={
                ":pk": {"S": _pk(stream)},
                **{name: {"S": value} for name, value in values.items()},
            },
            ConsistentRead=True,
            **options,
        )


def _pk(stream: str) -> str:
    return f"stream#{stream}"


def _run(items: Any, at_end: bool) -> Run:
    chunks, copy = [], None
    for item in items:
        if item["sk"]["S"] == OUTLINE:
            copy = tip_of(item)
        else:
            chunks.append(chunk_of(item))
    return Run(chunks, copy, at_end or copy is not None)
