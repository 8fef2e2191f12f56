"""The local DynamoDB servers: what infra/local/dynamodb.py says of them holds."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from infra.local.child import ServerFailed
from infra.local.dynamodb import REGION, DynamoServer, MotoServer, RotoServer

type Client = Any

TABLE = "table"
ABSENT = {"ConditionExpression": "attribute_not_exists(pk)"}
ALL_OLD = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
SERVERS = {"roto": RotoServer, "moto": MotoServer}


def connect(server: DynamoServer) -> Client:
    """Return a client with a table of a string key and a string sort key."""
    client = boto3.client(
        "dynamodb",
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5),
    )
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    )
    return client


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DynamoServer]:
    """Each server in turn."""
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: DynamoServer) -> Iterator[Client]:
    """A client of it."""
    made = connect(server)
    yield made
    made.close()


def item(pk: str, sk: str, **texts: str) -> dict[str, dict[str, str]]:
    """Return an item as it is sent."""
    return {name: {"S": text} for name, text in {"pk": pk, "sk": sk, **texts}.items()}


def put(client: Client, pk: str, sk: str, text: str = "x", **options: Any) -> Any:
    """Put an item."""
    return client.put_item(TableName=TABLE, Item=item(pk, sk, v=text), **options)


def failed(call: Callable[[], object]) -> dict[str, Any]:
    """Return the answer that a failed call got."""
    with pytest.raises(ClientError) as caught:
        call()
    return dict(caught.value.response)


def stored(client: Client, pk: str, **options: Any) -> list[str]:
    """Return the sort keys of a query's page."""
    page = client.query(
        TableName=TABLE,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": pk}},
        **{"ConsistentRead": True, **options},
    )
    return [found["sk"]["S"] for found in page["Items"]]


def test_a_table_can_have_all_that_ours_has(client: Client) -> None:
    described = client.describe_table(TableName=TABLE)["Table"]
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    client.update_time_to_live(
        TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    live = client.describe_time_to_live(TableName=TABLE)["TimeToLiveDescription"]
    assert live == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    client.update_continuous_backups(
        TableName=TABLE, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    backups = client.describe_continuous_backups(TableName=TABLE)["ContinuousBackupsDescription"]
    recovery = backups["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"


def test_a_second_conditional_put_fails(client: Client, server: DynamoServer) -> None:
    put(client, "one", "a", "first", **ABSENT)
    answer = failed(lambda: put(client, "one", "a", "second", **ABSENT, **ALL_OLD))
    assert answer["Error"]["Code"] == "ConditionalCheckFailedException"
    # roto does not return the item: who needs it must be able to read it.
    expected = item("one", "a", v="first") if isinstance(server, MotoServer) else None
    assert answer.get("Item") == expected


def test_a_transaction_is_whole_and_says_what_failed(client: Client) -> None:
    def write(sk: str) -> dict[str, Any]:
        return {"Put": {"TableName": TABLE, "Item": item("tx", sk), **ABSENT, **ALL_OLD}}

    client.transact_write_items(TransactItems=[write("a"), write("b")])
    answer = failed(
        lambda: client.transact_write_items(TransactItems=[write("c"), write("b"), write("d")])
    )
    assert answer["Error"]["Code"] == "TransactionCanceledException"
    reasons = answer["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed", "None"]
    assert reasons[1]["Item"] == item("tx", "b")
    assert stored(client, "tx") == ["a", "b"]


def test_a_query_is_in_order_and_in_pages(client: Client) -> None:
    for sk in "cab":
        put(client, "query", sk)
    assert stored(client, "query") == ["a", "b", "c"]
    assert stored(client, "query", ScanIndexForward=False, Limit=2) == ["c", "b"]
    assert stored(client, "query", ExclusiveStartKey=item("query", "a")) == ["b", "c"]


def test_a_batch_has_at_most_100_keys(client: Client) -> None:
    put(client, "batch", "a")

    def get(count: int) -> Any:
        keys = [item("batch", sk) for sk in ["a", *map(str, range(count - 1))]]
        return client.batch_get_item(RequestItems={TABLE: {"Keys": keys}})

    assert get(100)["Responses"][TABLE] == [item("batch", "a", v="x")]
    assert failed(lambda: get(101))["Error"]["Code"] == "ValidationException"


def test_an_item_is_at_most_400_kb(client: Client) -> None:
    put(client, "big", "a", "x" * 390 * 1024)
    answer = failed(lambda: put(client, "big", "b", "x" * 400 * 1024))
    assert answer["Error"]["Code"] == "ValidationException"


def test_the_units_are_told_but_not_by_size(client: Client) -> None:
    """If this fails, capacity may be read off the answers: see the table in dynamodb.py."""
    large = put(client, "units", "a", "x" * 100_000, ReturnConsumedCapacity="TOTAL")
    assert large["ConsumedCapacity"]["CapacityUnits"] == 1.0


def test_many_writers_have_one_winner(client: Client) -> None:
    def win(writer: int) -> list[int]:
        won = []
        for slot in range(20):
            try:
                put(client, "race", f"{slot:02}", str(writer), **ABSENT)
            except ClientError as error:
                assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"
            else:
                won.append(slot)
        return won

    with ThreadPoolExecutor(4) as pool:
        won = sorted(slot for slots in pool.map(win, range(4)) for slot in slots)
    assert won == list(range(20))


async def test_roto_can_be_away_and_come_back(tmp_path: Path) -> None:
    async with RotoServer(tmp_path) as server:

        def check() -> None:
            client = connect(server)
            put(client, "p", "a")
            server.proxy.cut()
            with pytest.raises(Exception, match=r"Could not connect|Connection was closed"):
                put(client, "p", "lost")
            server.proxy.restore()
            put(client, "p", "b")
            server.proxy.lose_answers(to=b"PutItem")
            assert stored(client, "p") == ["a", "b"]
            with pytest.raises(Exception, match="Connection was closed"):
                put(client, "p", "c")
            assert stored(client, "p") == ["a", "b", "c"]
            client.close()

        await asyncio.to_thread(check)


def test_the_environment_is_all_that_boto3_needs(server: DynamoServer) -> None:
    environment = server.environment
    assert environment["AWS_ENDPOINT_URL_DYNAMODB"] == server.url
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == REGION


def test_a_missing_server_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(ServerFailed, match=r"roto-server, .* roto-aws, is missing: make setup"):
        RotoServer(tmp_path).start()
