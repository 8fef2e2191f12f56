"""The table: its definition exists once, and all who make one agree with it."""

import importlib.util
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from infra.local.dynamodb import MotoServer, RotoServer
from lastevent.core.errors import ConfigError, StoreUnavailable
from lastevent.stores.dynamodb import table as table_module
from lastevent.stores.dynamodb.client import Client
from lastevent.stores.dynamodb.table import DEFINITION, EXPIRY, RECOVERY, prepare
from lastevent.stores.url import open_store
from tests.project.tree import ROOT
from tests.stores.dynamodb.answering import Answering, answering
from tests.stores.harness import append, dynamo_server


def test_the_template_says_the_same() -> None:
    template = yaml.safe_load((ROOT / "template.yaml").read_text())
    tables = [
        resource
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::DynamoDB::Table"
    ]
    (table,) = tables
    properties = dict(table["Properties"])
    assert properties.pop("TableName") == {"Ref": "TableName"}
    assert properties.pop("TimeToLiveSpecification") == EXPIRY
    assert properties.pop("PointInTimeRecoverySpecification") == RECOVERY
    assert properties == DEFINITION
    kept = (table["DeletionPolicy"], table["UpdateReplacePolicy"])
    assert kept == ("RetainExceptOnCreate", "Retain")


@pytest.fixture(params=[RotoServer, MotoServer])
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a table that does not exist yet, in each server."""
    for name, value in dynamo_server(request.param).environment.items():
        monkeypatch.setenv(name, value)
    return f"made-{secrets.token_hex(6)}"


async def test_what_is_made_is_what_is_defined(table: str) -> None:
    client = Client(table, None)
    await prepare(client)
    found = (await client.send("DescribeTable"))["Table"]
    assert found["TableStatus"] == "ACTIVE"
    assert found["KeySchema"] == DEFINITION["KeySchema"]
    assert sorted(found["AttributeDefinitions"], key=str) == sorted(
        DEFINITION["AttributeDefinitions"], key=str
    )
    assert found["BillingModeSummary"]["BillingMode"] == DEFINITION["BillingMode"]
    expiry = (await client.send("DescribeTimeToLive"))["TimeToLiveDescription"]
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": EXPIRY["AttributeName"]}
    backups = (await client.send("DescribeContinuousBackups"))["ContinuousBackupsDescription"]
    recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    assert (recovery == "ENABLED") == RECOVERY["PointInTimeRecoveryEnabled"]
    await prepare(client)
    await client.close()


async def make(client: Client, **changes: Any) -> None:
    await client.send("CreateTable", **{**DEFINITION, **changes})


async def test_a_table_with_other_keys_is_refused(table: str) -> None:
    store = open_store(f"dynamodb://{table}")
    client = Client(table, None)
    await make(
        client,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    with pytest.raises(ConfigError, match="other keys"):
        await store.prepare()
    await client.close()
    await store.close()


async def test_a_table_that_expires_by_another_attribute_is_refused(table: str) -> None:
    client = Client(table, None)
    await make(client)
    other = {"Enabled": True, "AttributeName": "ttl"}
    await client.send("UpdateTimeToLive", TimeToLiveSpecification=other)
    with pytest.raises(ConfigError, match="another attribute"):
        await prepare(client)
    await client.close()


async def test_expiry_is_switched_on_where_it_is_not(table: str) -> None:
    client = Client(table, None)
    await make(client)
    await prepare(client)
    expiry = (await client.send("DescribeTimeToLive"))["TimeToLiveDescription"]
    assert expiry["TimeToLiveStatus"] == "ENABLED"
    await client.close()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    server = dynamo_server(RotoServer)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    with answering(server.port) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", service.url)
        yield service


async def test_another_process_makes_it_at_the_same_time(service: Answering) -> None:
    client = Client("raced", None)
    await make(client)
    service.answer("ResourceNotFoundException", operation="DescribeTable")
    await prepare(client)
    await client.close()


async def test_who_may_only_use_the_table_does(service: Answering) -> None:
    client = Client("used", None)
    await prepare(client)
    for operation in ("DescribeTable", "DescribeTimeToLive", "CreateTable"):
        service.answer("AccessDeniedException", times=100, operation=operation)
    store = open_store("dynamodb://used")
    await store.prepare()
    await append(store, "s", 1)
    await store.close()
    await client.close()


async def test_who_may_not_make_it_is_told(service: Answering) -> None:
    service.answer("AccessDeniedException", times=100, operation="CreateTable")
    store = open_store("dynamodb://forbidden")
    with pytest.raises(StoreUnavailable, match="dynamodb:CreateTable"):
        await store.prepare()
    await store.close()


async def test_a_table_that_is_being_made_for_ever(
    service: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_module, "CREATE_SECONDS", 0.1)
    service.answer("ResourceNotFoundException", times=100, operation="DescribeTable")
    client = Client("slow", None)
    with pytest.raises(StoreUnavailable, match="being made"):
        await prepare(client)
    await client.close()


@pytest.mark.parametrize(
    "url",
    [
        "dynamodb://",
        "dynamodb://ab",
        "dynamodb://ta ble",
        "dynamodb://table/path",
        "dynamodb://user@table",
        "dynamodb://table?region=",
        "dynamodb://table?region=a&region=b",
        "dynamodb://table?endpoint=http://localhost",
        "dynamodb://table?region=eu-west-1&prefix=x",
        "dynamodb://table#x",
    ],
)
def test_a_url_that_names_no_table(url: str) -> None:
    with pytest.raises(ConfigError, match="dynamodb://TABLE"):
        open_store(url)


async def test_the_sdk_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "lastevent.stores.dynamodb.find_spec",
        lambda name: None if name == "boto3" else find(name),
    )
    with pytest.raises(ConfigError, match=r"lastevent\[dynamodb\]"):
        open_store("dynamodb://table")
