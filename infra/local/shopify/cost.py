"""What a call costs, and the bucket that it is paid from.

https://shopify.dev/docs/apps/build/apis/graphql-admin/rate-limits: scalars are free, an object
costs a point, a connection as many times its contents as it may hold, a mutation ten. The real
costs of some fields differ. Nothing is given back of what a call might have cost and did not.
"""

import time
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
)

MUTATION = 10


class Bucket:
    """Points: ``maximum`` at most, and ``rate`` more each second."""

    def __init__(self, maximum: float, rate: float) -> None:
        self.maximum = maximum
        self.rate = rate
        self._available = maximum
        self._at = time.monotonic()

    @property
    def available(self) -> float:
        """How many there are now."""
        now = time.monotonic()
        self._available = min(self.maximum, self._available + (now - self._at) * self.rate)
        self._at = now
        return self._available

    def pay(self, cost: float) -> bool:
        """Take so many, if there are so many; return whether there were."""
        if self.available < cost:
            return False
        self._available -= cost
        return True

    def told(self, cost: float, paid: bool) -> dict[str, Any]:
        """What an answer says of it."""
        return {
            "requestedQueryCost": cost,
            "actualQueryCost": cost if paid else None,
            "throttleStatus": {
                "maximumAvailable": self.maximum,
                "currentlyAvailable": int(self.available),
                "restoreRate": self.rate,
            },
        }


def fields(document: DocumentNode) -> list[str]:
    """Return the names of what a document asks for."""
    return [
        node.name.value
        for operation in _operations(document)
        for node in operation.selection_set.selections
        if isinstance(node, FieldNode)
    ]


def cost(document: DocumentNode, variables: dict[str, Any]) -> int:
    """Return what a document costs at most."""
    total = 0
    for operation in _operations(document):
        if operation.operation is OperationType.MUTATION:
            total += MUTATION * len(operation.selection_set.selections)
        else:
            total += _selected(operation.selection_set, variables)
    return max(total, 1)


def _operations(document: DocumentNode) -> list[OperationDefinitionNode]:
    return [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]


def _selected(selection: SelectionSetNode | None, variables: dict[str, Any]) -> int:
    total = 0
    for node in selection.selections if selection is not None else ():
        if isinstance(node, InlineFragmentNode):
            total += _selected(node.selection_set, variables)
        elif isinstance(node, FieldNode) and node.selection_set is not None:
            total += _times(node, variables) * (1 + _selected(node.selection_set, variables))
    return total


def _times(node: FieldNode, variables: dict[str, Any]) -> int:
    for argument in node.arguments or ():
        value = argument.value
        if isinstance(value, VariableNode):
            given = variables.get(value.name.value)
        else:
            given = int(value.value) if isinstance(value, IntValueNode) else None
        if argument.name.value == "first" and isinstance(given, int):
            return given
        if argument.name.value == "ids" and isinstance(given, list):
            return len(given)
    return 1
