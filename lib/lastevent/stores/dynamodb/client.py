"""Requests to one table, from event loops: threads, time limits, and retries of our own.

boto3 blocks, so each request runs in a thread of a pool; its defaults (time limits of a minute, ten
connections, retries that nobody sees) are replaced. A request may be sent again after any trouble,
since every write recognises itself: a conditional write that met its own item has succeeded.

Nothing belongs to an event loop but the calls that wait on it.
"""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from lastevent.core.errors import LastEventError, StoreUnavailable
from lastevent.stores.base import Clock
from lastevent.stores.dynamodb.capacity import Usage
from lastevent.stores.dynamodb.failure import Passing, Refused, translated

THREADS = 16
CONNECT_SECONDS = 1.0
READ_SECONDS = 3.0
REQUEST_SECONDS = 5.0
"""What one request takes at most, all its attempts and its turn in the pool together."""

CALL_SECONDS = 8.0
"""What one call of the store takes at most, however many requests it needs."""

_COUNTED = frozenset(
    {"BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query", "TransactWriteItems"}
)
_NAMES_ITS_TABLES = frozenset({"BatchGetItem", "TransactWriteItems"})
_FIRST_PAUSE = 0.025
_LONGEST_PAUSE = 1.0


class Client:
    """Sends requests for ``table``. ``usage`` counts them."""

    def __init__(self, table: str, region: str | None) -> None:
        self.table = table
        self.usage = Usage()
        self._region = region
        self._pool = ThreadPoolExecutor(THREADS, "lastevent-dynamodb")
        self._making = threading.Lock()
        self._sdk: Any = None
        self._closed = False

    async def send(self, operation: str, **request: Any) -> dict[str, Any]:
        """Return the answer to an operation on the table, by its name in the service's own API.

        Raises Refused and Cancelled (see failure), StoreUnavailable or Transient when it stays
        without an answer or the service refuses it, and TooLarge.
        """
        if operation not in _NAMES_ITS_TABLES:
            request["TableName"] = self.table
        if operation in _COUNTED:
            request["ReturnConsumedCapacity"] = "TOTAL"
        loop = asyncio.get_running_loop()
        give_up = loop.time() + REQUEST_SECONDS
        pause = _FIRST_PAUSE
        repeated = False
        failure: LastEventError = StoreUnavailable("DynamoDB does not answer in time")
        while True:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            try:
                async with asyncio.timeout_at(give_up):
                    return await loop.run_in_executor(self._pool, self._attempt, operation, request)
            except TimeoutError:
                raise failure from None
            except Refused as refused:
                refused.repeated = repeated
                raise
            except Passing as trouble:
                wait = random.uniform(0.5, 1.0) * pause
                failure = trouble.error
                if loop.time() + wait > give_up:
                    raise failure from trouble
            repeated = True
            await asyncio.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    @asynccontextmanager
    async def limited(self) -> AsyncIterator[None]:
        """Raise StoreUnavailable if the block takes longer than CALL_SECONDS."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                yield
        except TimeoutError:
            raise StoreUnavailable("DynamoDB takes too long to answer") from None

    async def close(self) -> None:
        """End the threads; requests under way end within their time limits."""
        self._closed = True
        await asyncio.to_thread(self._end)

    # In the threads.

    def _attempt(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        try:
            sdk = self._made()
            answer = getattr(sdk, _method(operation))(**request)
        except Exception as error:
            raise translated(error, operation, self.table) from error
        finally:
            self.usage.count(operation, request, answer)
        if "RequestId" not in answer.get("ResponseMetadata", {}):
            # To the SDK, a page of HTML with status 200 is a success that says nothing.
            raise Passing(StoreUnavailable("something answers in the place of DynamoDB"))
        return answer

    def _made(self) -> Any:
        """Return the SDK's client, made with the first request, since that reads many files."""
        with self._making:
            if self._sdk is None:
                self._sdk = _make(self._region)
            return self._sdk

    def _end(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._sdk is not None:
            self._sdk.close()


class Watch:
    """How long something is ago, in seconds: by a process's clocks, or by a test's.

    A frozen function's monotonic clock may have stood still, and a wall clock may be set: whichever
    says longer counts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clocks = (time.monotonic, time.time) if clock is time.time else (clock,)

    def now(self) -> tuple[float, ...]:
        """Return this moment."""
        return tuple(clock() for clock in self._clocks)

    def since(self, then: tuple[float, ...]) -> float:
        """Return the seconds since ``then``."""
        return max(now - before for now, before in zip(self.now(), then, strict=True))


def _make(region: str | None) -> Any:
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]
    from botocore.session import get_session  # type: ignore[import-untyped]

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=THREADS,
        retries={"total_max_attempts": 1},
    )
    session = get_session()
    session.register_component("data_loader", _models())
    return boto3.session.Session(botocore_session=session, region_name=region).client(
        "dynamodb", config=config
    )


@cache
def _models() -> Any:
    """Return what knows the services' descriptions. A second store need not read them again."""
    from botocore.session import get_session

    return get_session().get_component("data_loader")


def _method(operation: str) -> str:
    """Return the SDK's name of an operation: ``put_item`` for ``PutItem``."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in operation).removeprefix("_")
