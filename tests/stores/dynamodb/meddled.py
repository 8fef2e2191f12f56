"""A client that a test can look into and meddle with; the server behind it is real."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from lastevent.stores.dynamodb.client import Client

type Answer = dict[str, Any]


class Meddled(Client):
    """Notes what is sent, and does what it was told before or after the next of an operation."""

    def __init__(self, table: str, region: str | None) -> None:
        super().__init__(table, region)
        self.sent: list[str] = []
        self._before: dict[str, list[Callable[[], Awaitable[object]]]] = defaultdict(list)
        self._after: dict[str, list[Callable[[Answer], Awaitable[Answer]]]] = defaultdict(list)

    def before(self, operation: str, does: Callable[[], Awaitable[object]]) -> None:
        """Have ``does`` run before the next request of this kind; several take turns."""
        self._before[operation].append(does)

    def after(self, operation: str, does: Callable[[Answer], Awaitable[Answer]]) -> None:
        """Have ``does`` change the next answer of this kind; several take turns."""
        self._after[operation].append(does)

    async def send(self, operation: str, **request: Any) -> Answer:
        self.sent.append(operation)
        if self._before[operation]:
            await self._before[operation].pop(0)()
        answer = await super().send(operation, **request)
        if self._after[operation]:
            answer = await self._after[operation].pop(0)(answer)
        return answer

    async def expire(self, stream: str, *slots: int) -> None:
        """Remove chunks of a stream by their number, as DynamoDB does days after their time."""
        items = await self.chunks(stream)
        for number in slots or range(len(items)):
            key = {"pk": items[number]["pk"], "sk": items[number]["sk"]}
            await super().send("DeleteItem", Key=key)

    async def chunks(self, stream: str) -> list[Any]:
        """Return the items of a stream's chunks, in their order."""
        answer = await super().send(
            "Query",
            KeyConditionExpression="pk = :pk AND sk < :outline",
            ExpressionAttributeValues={
                ":pk": {"S": f"stream#{stream}"},
                ":outline": {"S": "outline"},
            },
            ConsistentRead=True,
        )
        items: list[Any] = answer["Items"]
        return items
