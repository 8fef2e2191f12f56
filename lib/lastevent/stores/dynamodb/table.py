"""The table: what it is, once, and how it is made and checked.

All items have the key (``pk``, ``sk``), both text, and the time after which DynamoDB removes them
(``expires``, Unix seconds), which it does days late and in any order: it is the broom only.

    pk              sk
    stream#NAME     a slot (see chunk)              a piece of the log
                    outline                         a copy of the stream's state
    key#NAME        generation, hash of the key     what an idempotency key was answered
    lease#NAME      lease                           a lease
    record#KIND     /ID                             a document
"""

import asyncio
import re
from contextlib import suppress
from typing import Any, Final

from lastevent.core.errors import ConfigError, LastEventError, StoreUnavailable
from lastevent.stores.dynamodb.client import Client
from lastevent.stores.dynamodb.failure import Denied, Exists, Missing

TABLE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")

DEFINITION: Final[dict[str, Any]] = {
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
    ],
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
"""As CreateTable and AWS::DynamoDB::Table have it; ``template.yaml`` says the same, by a test."""

EXPIRY: Final[dict[str, Any]] = {"AttributeName": "expires", "Enabled": True}
RECOVERY: Final[dict[str, Any]] = {"PointInTimeRecoveryEnabled": True}

MARGIN_SECONDS = 3600
"""Items stay this long beyond their time, so that no slot of a chain is free while a writer or a
reader may still take it for the next. Clocks differ by less: AWS refuses requests that are off by
more than some minutes.
"""

CREATE_SECONDS = 60.0
_LOOK_SECONDS = 0.5


def key(pk: str, sk: str) -> dict[str, dict[str, str]]:
    """Return the key of an item."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def expiry(now: float, seconds: float) -> dict[str, str]:
    """Return the value of ``expires`` for an item that is of no use ``seconds`` from ``now``."""
    return {"N": str(int(now + seconds) + MARGIN_SECONDS)}


async def prepare(client: Client) -> None:
    """Make the table if it is not there, and see that it is the right one.

    Who may not describe tables has it made by others: the first use will tell. Raises ConfigError
    for another table of this name, StoreUnavailable if it cannot be made.
    """
    try:
        found = (await client.send("DescribeTable"))["Table"]
    except Denied:
        return
    except Missing:
        await _create(client)
        return
    _check(client.table, found)
    await _expire(client)


async def _create(client: Client) -> None:
    with suppress(Exists):  # another process was faster
        await client.send("CreateTable", **DEFINITION)
    await _wait(client)
    await _expire(client)
    with suppress(Denied):
        await client.send("UpdateContinuousBackups", PointInTimeRecoverySpecification=RECOVERY)


async def _wait(client: Client) -> None:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + CREATE_SECONDS
    while True:
        with suppress(Missing):  # descriptions are eventually consistent
            found = (await client.send("DescribeTable"))["Table"]
            if found["TableStatus"] == "ACTIVE":
                return _check(client.table, found)
        if loop.time() > give_up:
            raise StoreUnavailable(f"the table {client.table!r} is being made for very long")
        await asyncio.sleep(_LOOK_SECONDS)


def _check(table: str, found: dict[str, Any]) -> None:
    keys = {part["AttributeName"] for part in DEFINITION["KeySchema"]}
    types = [part for part in found["AttributeDefinitions"] if part["AttributeName"] in keys]
    if found["KeySchema"] != DEFINITION["KeySchema"] or (
        sorted(types, key=str) != sorted(DEFINITION["AttributeDefinitions"], key=str)
    ):
        raise ConfigError(
            f"the table {table!r} has other keys than Lastevent's: name another in the store's URL"
        )


async def _expire(client: Client) -> None:
    """Have expired items removed, where that is not so already."""
    try:
        found = (await client.send("DescribeTimeToLive"))["TimeToLiveDescription"]
    except Denied:
        return
    if found["TimeToLiveStatus"] in ("ENABLED", "ENABLING"):
        if found.get("AttributeName") != EXPIRY["AttributeName"]:
            raise ConfigError(
                f"the table {client.table!r} removes items by another attribute than "
                f"{EXPIRY['AttributeName']!r}: name another in the store's URL"
            )
        return
    # Another process may have done it meanwhile, and DynamoDB refuses a second change for an hour.
    with suppress(LastEventError):
        await client.send("UpdateTimeToLive", TimeToLiveSpecification=EXPIRY)
