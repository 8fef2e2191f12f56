"""What requests cost in DynamoDB's capacity units, counted by the documented rules.

The service says what a request consumed (``ReturnConsumedCapacity``), but local servers answer 1
for everything or nothing at all. So each request is also counted here from the sizes of its items:

- a write: 1 unit a KB of the item, whole ones; 2 in a transaction; a refused one costs the same
  (that the item which is replaced counts, if it is larger, is left out here)
- a read: 1 unit for 4 KB, whole ones, half of that where old data may come; of a query's items
  together, of a batch's each; at least one for an item that is not there

Sources: docs.aws.amazon.com, "DynamoDB read and write operations", "DynamoDB item sizes and
formats", and "Amazon DynamoDB Transactions: How it works" (capacity management).
"""

import math
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

type Item = Mapping[str, Mapping[str, Any]]
"""An item as the service's own API has it: name to type and value."""

_WRITE_BYTES = 1024
_READ_BYTES = 4096


@dataclass(slots=True)
class Usage:
    """What a client has asked for since it was made.

    ``requests`` by operation, those that were tried again counted again. ``read`` and ``write``
    units by the rules above; ``reported``: units that the service itself said, of both kinds.
    """

    requests: Counter[str] = field(default_factory=Counter)
    read: float = 0.0
    write: float = 0.0
    reported: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, operation: str, request: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Count a request; the ``answer`` is empty for one that was refused or brought none."""
        consumed = answer.get("ConsumedCapacity", ())
        parts = [consumed] if isinstance(consumed, Mapping) else consumed
        with self._lock:
            self.requests[operation] += 1
            self.read += read_units(operation, request, answer)
            self.write += write_units(operation, request, answer)
            self.reported += sum(part.get("CapacityUnits", 0.0) for part in parts)

    def summary(self) -> dict[str, float]:
        """Return requests by their operation, and ``read_units`` and ``write_units`` by the rules.

        As base.Store.usage has it.
        """
        with self._lock:
            return {**self.requests, "read_units": self.read, "write_units": self.write}


def item_bytes(item: Item) -> int:
    """Return an item's size as the service counts it: UTF-8 bytes of its names and values."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def write_units(operation: str, request: Mapping[str, Any], answer: Mapping[str, Any]) -> float:
    """Return the write units of a request."""
    match operation:
        case "PutItem":
            return _units(item_bytes(request["Item"]), _WRITE_BYTES)
        case "DeleteItem":
            return _units(item_bytes(answer.get("Attributes", {})), _WRITE_BYTES)
        case "TransactWriteItems":
            puts = (part["Put"]["Item"] for part in request["TransactItems"])
            return 2 * sum(_units(item_bytes(item), _WRITE_BYTES) for item in puts)
    return 0.0


def read_units(operation: str, request: Mapping[str, Any], answer: Mapping[str, Any]) -> float:
    """Return the read units of a request."""
    match operation:
        case "GetItem":
            units = _units(item_bytes(answer.get("Item", {})), _READ_BYTES)
            return units if request.get("ConsistentRead") else units / 2
        case "Query":
            units = _units(_together(answer.get("Items", ())), _READ_BYTES)
            return units if request.get("ConsistentRead") else units / 2
        case "BatchGetItem":
            return sum(
                _batch_units(part, answer.get("Responses", {}).get(table, ()))
                for table, part in request["RequestItems"].items()
            )
    return 0.0


def _batch_units(asked: Mapping[str, Any], found: Iterable[Item]) -> float:
    sizes = [item_bytes(item) for item in found]
    sizes += [0] * (len(asked["Keys"]) - len(sizes))
    units = sum(_units(size, _READ_BYTES) for size in sizes)
    return units if asked.get("ConsistentRead") else units / 2


def _together(items: Iterable[Item]) -> int:
    return sum(item_bytes(item) for item in items)


def _units(size: int, unit: int) -> int:
    return max(1, math.ceil(size / unit))


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "B":
            return len(content)
        case "N":  # about a byte for two significant digits, and one more
            return len(content.strip("-0.")) // 2 + 2
    return 1
