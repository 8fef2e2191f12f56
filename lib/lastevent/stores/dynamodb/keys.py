"""What idempotency keys were answered (RULES 9): an item each, bound to the stream's generation."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from lastevent.core.cursor import Cursor
from lastevent.core.errors import KeyReused
from lastevent.stores.base import KEY_SECONDS, Appended
from lastevent.stores.dynamodb.capacity import Item
from lastevent.stores.dynamodb.table import expiry, key


@dataclass(frozen=True, slots=True)
class KeyItem:
    """A key of a stream in one generation, and what is to be remembered of its append.

    ``said`` is the digest of what the publisher said.
    """

    stream: str
    generation: int
    key: str
    said: bytes
    given: Appended

    def item(self, now: float) -> dict[str, dict[str, Any]]:
        """Return the item."""
        given = self.given
        state = [str(given.cursor), len(given.ids), given.closed]
        return {
            **key_of(self.stream, self.generation, self.key),
            "said": {"B": self.said},
            "given": {"S": json.dumps(state, separators=(",", ":"))},
            "at": {"N": str(int(now * 1000))},
            "expires": expiry(now, KEY_SECONDS),
        }

    def put(self, now: float) -> dict[str, Any]:
        """Return the put of a transaction; it meets what was remembered within a day."""
        return {
            "Item": self.item(now),
            "ConditionExpression": "attribute_not_exists(pk) OR #at <= :old",
            "ExpressionAttributeNames": {"#at": "at"},
            "ExpressionAttributeValues": {":old": {"N": str(_old(now))}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }


def repeated(item: Item, said: bytes) -> Appended:
    """Return what is remembered; raise KeyReused if something else was said then."""
    if item["said"]["B"] != said:
        raise KeyReused("this idempotency key came before, with other events")
    cursor, count, closed = json.loads(item["given"]["S"])
    return Appended.up_to(Cursor.parse(cursor), count, closed, repeated=True)


def is_living(item: Item, now: float) -> bool:
    """Return whether a key's item is of the last day."""
    return int(item["at"]["N"]) > _old(now)


def key_of(stream: str, generation: int, name: str) -> dict[str, dict[str, str]]:
    """Return the key of the item of an idempotency key."""
    digest = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
    return key(f"key#{stream}", f"{generation:012x}{digest}")


def _old(now: float) -> int:
    return int((now - KEY_SECONDS) * 1000)
