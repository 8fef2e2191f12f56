"""template.yaml: what is deployed, read off what AWS::Serverless translates it to."""

import ast
import importlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import functions.app
from infra.local import platforms
from lastevent.adapters.lambda_buffered import LambdaHandler
from lastevent.core.policy import POLICIES
from lastevent.serve.app import SWEEP, App
from lastevent.serve.settings import Settings
from lastevent.serve.tasks import Task
from lastevent.stores.url import open_store
from tests.infra import sam
from tests.infra.stack import Stack
from tests.project.test_docs import settings_variables
from tests.project.tree import LIBRARY, ROOT

SECRETS = {
    "LASTEVENT_AUTH_SECRET": "s" * 48,
    "LASTEVENT_API_KEYS": "builder:0123456789abcdef=build:*",
    "UPSTASH_REDIS_REST_URL": "https://example.upstash.io",
    "UPSTASH_REDIS_REST_TOKEN": "token-of-the-database",
    "VERCEL_TOKEN": "token-of-the-account",
    "JOBS_UPSTREAM_KEY": "key-of-the-service",
    "NEXTAUTH_SECRET": "n" * 44,
    "SHOPIFY_ACCESS_TOKEN": "token-of-the-app",
    "LASTEVENT_MODEL_KEY": "key-of-the-model",
    "LASTEVENT_ALERT_URL": "https://hooks.example.com/a-secret",
    "LASTEVENT_ALERT_SECRET": f"whsec_{'a' * 44}",
}
LIVE_SOURCES = {
    "Deployments": "yes",
    "VercelTeamId": "team_1a2b",
    "JobsUrl": "https://jobs.example.com/ws",
    "JobsKey": "yes",
    "PreviewCommands": "site=npm run dev; docs=mkdocs serve",
}
USES = {
    "NextAuth": "yes",
    "MessageRate": "30/60",
    "AttachmentHosts": "cdn.example.com, files.example.com",
    "ShopifyShop": "example.myshopify.com",
    "ShopifyApiUrl": "https://example.myshopify.com/admin/api/2026-10",
    "ImageHosts": "*.example.com,10.0.0.7:8080",
    "ModelUrl": "https://api.example.com/v1",
    "ModelName": "a small one",
    "ModelKey": "yes",
    "Alerts": "yes",
    "AlertReconnects": 7,
}
VARIABLE_BYTES = 4096
"""Of a function's variables together, names and values:
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

OWN_SECRET = {"SecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:own"}
EVERYTHING: dict[str, Any] = {
    **OWN_SECRET,
    **LIVE_SOURCES,
    **USES,
    "Store": "dynamodb+upstash",
    "ApiKeys": "yes",
    "RestApi": "yes",
    "StreamConcurrency": 500,
    "ApiConcurrency": 100,
    "AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms",
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The translated template."""
    return sam.translated(tmp_path_factory.getbasetemp())


@pytest.fixture(params=[{}, EVERYTHING], ids=["by default", "everything"])
def stack(request: pytest.FixtureRequest, template: dict[str, Any]) -> Stack:
    """The least and the most that is deployed."""
    return Stack(template, **request.param)


@pytest.mark.parametrize(
    ("command", "arguments"), [("cfn-lint", ("template.yaml",)), ("sam", ("validate", "--lint"))]
)
def test_the_linters_have_no_word(command: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    linted = sam.run(command, *arguments, home=tmp_path)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_the_functions_url_streams(stack: Stack) -> None:
    assert stack.of_type("AWS::Lambda::Url") == {
        "StreamFunctionUrl": {
            "TargetFunctionArn": "StreamFunction",
            "AuthType": "NONE",
            "InvokeMode": "RESPONSE_STREAM",
        }
    }


def test_everybody_may_call_the_url_and_nothing_else(stack: Stack) -> None:
    """A new URL needs both: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"""
    permissions = stack.of_type("AWS::Lambda::Permission").values()
    services = ("apigateway.amazonaws.com", "events.amazonaws.com")
    of_all = [it for it in permissions if it["Principal"] not in services]
    to_all = {"FunctionName": "StreamFunction", "Principal": "*"}
    url = {**to_all, "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"}
    function = {**to_all, "Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True}
    assert sorted(of_all, key=str) == sorted([url, function], key=str)


def test_gateways_may_call_their_own_function_only(stack: Stack) -> None:
    for permission in stack.of_type("AWS::Lambda::Permission").values():
        if permission["Principal"] == "apigateway.amazonaws.com":
            api = permission["SourceArn"].split(":")[5].partition("/")[0]
            function = {"HttpApi": "ApiFunction", "RestApiStreams": "StreamFunction"}[api]
            assert permission["FunctionName"] == function
            assert permission["Action"] == "lambda:InvokeFunction"


def test_the_http_api_takes_the_generic_service(stack: Stack) -> None:
    (api,) = stack.of_type("AWS::ApiGatewayV2::Api").values()
    paths = api["Body"]["paths"]
    assert set(paths) == {"/api/streams", "/api/streams/{proxy+}", "/api/session", "/api/health"}
    for operations in paths.values():
        ((method, operation),) = operations.items()
        assert method == "x-amazon-apigateway-any-method"  # OPTIONS too: CORS is ours
        integration = operation["x-amazon-apigateway-integration"]
        assert integration["payloadFormatVersion"] == "2.0"
        assert "ApiFunction.Arn/invocations" in integration["uri"]
    assert "x-amazon-apigateway-cors" not in api["Body"]


def test_the_rest_api_streams_where_it_is_wanted(template: dict[str, Any]) -> None:
    assert Stack(template).of_type("AWS::ApiGateway::RestApi") == {}
    wanted = Stack(template, RestApi="yes")
    (api,) = wanted.of_type("AWS::ApiGateway::RestApi").values()
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    assert set(api["Body"]["paths"]) == {"/", "/{proxy+}"}
    for operations in api["Body"]["paths"].values():
        (operation,) = operations.values()
        integration = operation["x-amazon-apigateway-integration"]
        assert integration["type"] == "aws_proxy"
        assert integration["responseTransferMode"] == "STREAM"
        assert integration["timeoutInMillis"] == 900_000
        uri = integration["uri"]
        assert uri.endswith(
            "2021-11-15/functions/StreamFunction.Arn/response-streaming-invocations"
        )
    assert wanted.outputs["RestApiUrl"]["Value"].endswith("/live")


def test_the_wrapper_starts_the_streaming_runtime(stack: Stack) -> None:
    wrapper = stack.environment("StreamFunction")["AWS_LAMBDA_EXEC_WRAPPER"]
    file = ROOT / "infra" / "lambda" / Path(wrapper).relative_to("/var/task")
    assert os.access(file, os.X_OK)
    assert "AWS_LAMBDA_EXEC_WRAPPER" not in stack.environment("ApiFunction")


def test_the_handlers_exist(stack: Stack) -> None:
    found = {}
    for name, function in stack.of_type("AWS::Lambda::Function").items():
        module, _, attribute = function["Handler"].rpartition(".")
        found[name] = type(getattr(importlib.import_module(module), attribute))
    assert found == {"StreamFunction": App, "ApiFunction": LambdaHandler}


def test_the_python_is_the_same_everywhere(stack: Stack) -> None:
    version = ".".join((ROOT / ".python-version").read_text().strip().split(".")[:2])
    for function in stack.of_type("AWS::Lambda::Function").values():
        assert function["Runtime"] == f"python{version}"
    assert f"version={version} " in (ROOT / "infra" / "lambda" / "bundle").read_text()


def test_time_limits_are_the_gateways() -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html: 30 s."""
    parameters = sam.source()["Parameters"]
    assert parameters["ApiTimeout"]["Default"] == parameters["ApiTimeout"]["MaxValue"] == 29
    assert parameters["StreamTimeout"]["MaxValue"] == 900


def test_sizes_are_the_parameters(template: dict[str, Any]) -> None:
    plain = Stack(template, StreamMemory=512, StreamTimeout=900, ApiMemory=128, ApiTimeout=10)
    functions = plain.of_type("AWS::Lambda::Function")
    sizes = {name: (it["MemorySize"], it["Timeout"]) for name, it in functions.items()}
    assert sizes == {"StreamFunction": (512, 900), "ApiFunction": (128, 10)}
    assert plain.environment("StreamFunction")["LASTEVENT_MAX_LEG_SECONDS"] == "900"
    assert all("ReservedConcurrentExecutions" not in it for it in functions.values())
    limited = Stack(template, StreamConcurrency=500, ApiConcurrency=0)
    reserved = {
        name: it["ReservedConcurrentExecutions"]
        for name, it in limited.of_type("AWS::Lambda::Function").items()
    }
    assert reserved == {"StreamFunction": 500, "ApiFunction": 0}


def test_logs_end_and_traces_are_made(stack: Stack) -> None:
    groups = stack.of_type("AWS::Logs::LogGroup")
    functions = stack.of_type("AWS::Lambda::Function").values()
    assert {it["LoggingConfig"]["LogGroup"] for it in functions} == groups.keys()
    assert len(groups) == len(functions)
    assert all(it["RetentionInDays"] == 14 for it in groups.values())
    assert all(it["TracingConfig"] == {"Mode": "Active"} for it in functions)


def statements(role: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the one statement of each policy of a role, by the policy's name."""
    found = {}
    for policy in role["Policies"]:
        (found[policy["PolicyName"]],) = policy["PolicyDocument"]["Statement"]
    return found


def test_the_functions_may_do_no_more_than_they_must(stack: Stack) -> None:
    ((name, role),) = stack.of_type("AWS::IAM::Role").items()
    assert "ManagedPolicyArns" not in role
    functions = stack.of_type("AWS::Lambda::Function").values()
    assert {it["Role"] for it in functions} == {f"{name}.Arn"}
    allowed = statements(role)
    assert set(allowed) == {"table", "logs", "traces"}
    table = "arn:aws:dynamodb:eu-west-1:123456789012:table/lastevent"
    assert allowed["table"]["Resource"] == table
    assert allowed["logs"]["Resource"] == ["StreamLog.Arn", "ApiLog.Arn"]
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
    assert allowed["traces"]["Resource"] == "*"
    assert allowed["traces"]["Action"] == ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    assert not any("*" in action for it in allowed.values() for action in it["Action"])


def test_the_streaming_function_may_invoke_itself(stack: Stack) -> None:
    """Unqualified, as AsynchronousInvoke calls it: a permission on that covers no version."""
    (policy,) = stack.of_type("AWS::IAM::Policy").values()
    assert policy["Roles"] == ["Role"]
    assert policy["PolicyDocument"]["Statement"] == [
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "StreamFunction.Arn"}
    ]


def test_a_task_is_tried_once_and_soon(stack: Stack) -> None:
    (config,) = stack.of_type("AWS::Lambda::EventInvokeConfig").values()
    assert config == {
        "FunctionName": "StreamFunction",
        "Qualifier": "$LATEST",
        "MaximumRetryAttempts": 0,
        "MaximumEventAgeInSeconds": 60,
        "DestinationConfig": {},
    }
    assert config["MaximumEventAgeInSeconds"] == platforms.EVENT_AGE_SECONDS


def test_a_run_may_have_one_invocation_after_the_other(stack: Stack) -> None:
    """By default Lambda ends a chain of a function that invokes itself after some 16."""
    functions = stack.of_type("AWS::Lambda::Function")
    allowed = {name: it.get("RecursiveLoop") for name, it in functions.items()}
    assert allowed == {"StreamFunction": "Allow", "ApiFunction": None}


@pytest.mark.parametrize(
    ("parameters", "state", "rate"),
    [
        ({}, "ENABLED", "rate(1 minute)"),
        ({"Sweep": "no"}, "DISABLED", "rate(1 minute)"),
        ({"SweepRate": "cron(0 * * * ? *)"}, "ENABLED", "cron(0 * * * ? *)"),
    ],
    ids=str,
)
def test_a_schedule_sweeps(
    template: dict[str, Any], parameters: dict[str, str], state: str, rate: str
) -> None:
    stack = Stack(template, **parameters)
    ((name, rule),) = stack.of_type("AWS::Events::Rule").items()
    assert (rule["State"], rule["ScheduleExpression"]) == (state, rate)
    pattern = sam.source()["Parameters"]["SweepRate"]["AllowedPattern"]
    assert re.fullmatch(pattern, rate)
    (target,) = rule["Targets"]
    assert target["Arn"] == "StreamFunction.Arn"
    assert target["RetryPolicy"]["MaximumRetryAttempts"] == 0
    task = Task.of_event(json.loads(target["Input"]))
    assert task == SWEEP
    assert task.name in functions.app.TASKS
    permissions = stack.of_type("AWS::Lambda::Permission").values()
    (allowed,) = [it for it in permissions if it["Principal"] == "events.amazonaws.com"]
    assert allowed["FunctionName"] == "StreamFunction"
    assert allowed["SourceArn"] == f"{name}.Arn"


def test_upstash_alone_needs_no_table(template: dict[str, Any]) -> None:
    plain = Stack(template, Store="upstash", **OWN_SECRET)
    assert plain.of_type("AWS::DynamoDB::Table") == {}
    assert "StoreUrl" not in plain.outputs
    (role,) = plain.of_type("AWS::IAM::Role").values()
    assert set(statements(role)) == {"logs", "traces"}


def operations() -> Iterator[str]:
    """The operations that the store sends in service; those of table.py make the table."""
    for path in sorted((LIBRARY / "stores" / "dynamodb").glob("*.py")):
        if path.name == "table.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                named = node.args and isinstance(node.args[0], ast.Constant)
                if node.func.attr == "send" and named:
                    yield str(node.args[0].value)  # type: ignore[attr-defined]
            # What a transaction does is allowed by the name of each of its parts.
            if isinstance(node, ast.Dict):
                for key in node.keys:
                    if isinstance(key, ast.Constant) and key.value in ("Put", "Update", "Delete"):
                        yield f"{key.value}Item"


def test_the_table_may_be_used_as_the_store_does(template: dict[str, Any]) -> None:
    (role,) = Stack(template).of_type("AWS::IAM::Role").values()
    used = {f"dynamodb:{operation}" for operation in operations()}
    assert "dynamodb:TransactWriteItems" in used
    used.discard("dynamodb:TransactWriteItems")
    assert set(statements(role)["table"]["Action"]) == used


def test_a_table_that_exists_is_left_alone(template: dict[str, Any]) -> None:
    kept = Stack(template, CreateTable="no")
    assert kept.of_type("AWS::DynamoDB::Table") == {}
    assert set(statements(kept.of_type("AWS::IAM::Role")["Role"])) == {"table", "logs", "traces"}
    assert kept.environment("ApiFunction") == Stack(template).environment("ApiFunction")


def test_a_secret_is_made_where_none_is_named(template: dict[str, Any]) -> None:
    (made,) = Stack(template).of_type("AWS::SecretsManager::Secret").values()
    generated = made["GenerateSecretString"]
    assert generated["GenerateStringKey"] == "LASTEVENT_AUTH_SECRET"
    assert generated["PasswordLength"] == 48
    assert json.loads(generated["SecretStringTemplate"]) == {}
    own = Stack(template, **OWN_SECRET)
    assert own.of_type("AWS::SecretsManager::Secret") == {}
    assert own.outputs["SecretArn"]["Value"] == OWN_SECRET["SecretArn"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"Store": "upstash"},
        {"ApiKeys": "yes"},
        {"Deployments": "yes"},
        {"JobsUrl": "https://jobs.example.com/ws", "JobsKey": "yes"},
        {"NextAuth": "yes"},
        {"ShopifyShop": "example.myshopify.com"},
        {"ModelUrl": "https://api.example.com/v1", "ModelName": "small", "ModelKey": "yes"},
        {"Alerts": "yes"},
    ],
    ids=str,
)
def test_what_a_made_secret_lacks_is_said_before_anything_is_deployed(
    template: dict[str, Any], parameters: dict[str, str]
) -> None:
    (said,) = Stack(template, **parameters).broken_rules
    assert "SecretArn" in said
    assert Stack(template, **parameters, **OWN_SECRET).broken_rules == []


def test_a_key_for_no_service_is_said_before_anything_is_deployed(template: dict[str, Any]) -> None:
    """The function would not start with it."""
    (said,) = Stack(template, JobsKey="yes", **OWN_SECRET).broken_rules
    assert "JobsUrl" in said


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"ModelUrl": "https://api.example.com/v1"}, "ModelName"),
        ({"ModelName": "small"}, "ModelUrl"),
    ],
    ids=str,
)
def test_half_a_model_is_said_before_anything_is_deployed(
    template: dict[str, Any], given: dict[str, str], missing: str
) -> None:
    """The function would not start with it."""
    (said,) = Stack(template, **given).broken_rules
    assert missing in said


def test_no_secret_stands_in_the_template(stack: Stack) -> None:
    """Each is a reference to its own key, and names the version, so that a new one is deployed."""
    reference = r"\{\{resolve:secretsmanager:.+:SecretString:(\w+)::\}\}"
    for function in sam.FUNCTIONS:
        for name, value in stack.environment(function).items():
            found = re.fullmatch(reference, value)
            assert (found[1] if found else None) == (name if name in SECRETS else None)


def test_a_rotated_secret_is_another_reference(template: dict[str, Any]) -> None:
    rotated = Stack(template, **(EVERYTHING | {"SecretVersion": "1b2c"}))
    for name, value in rotated.environment("StreamFunction").items():
        assert value.endswith("::1b2c}}") == (name in SECRETS)


def deployed(stack: Stack, function: str) -> dict[str, str]:
    """Return a function's variables as it gets them."""
    given = stack.environment(function)
    return {name: SECRETS.get(name, value) for name, value in given.items()}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("store", ["dynamodb", "dynamodb+upstash", "upstash"])
@pytest.mark.parametrize("function", sam.FUNCTIONS)
def test_the_settings_are_accepted_on_lambda(
    template: dict[str, Any],
    function: str,
    store: str,
    policy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parameters = EVERYTHING | {
        "Store": store,
        "Policy": policy,
        "AllowedOrigins": "https://app.example.com",
        "Retention": "build:*=24h,50000",
    }
    given = deployed(Stack(template, **parameters), function)
    settings = Settings.from_env({**given, "AWS_LAMBDA_FUNCTION_NAME": function})
    assert settings.policy == policy
    assert settings.allowed_origins == ("https://app.example.com",)
    assert [key.name for key in settings.api_keys] == ["builder"]
    assert (settings.wakeup_url == "upstash://") == (store == "dynamodb+upstash")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    opened = open_store(settings.store_url, settings.retention, wakeup_url=settings.wakeup_url)
    assert opened.name == store


def test_live_sources_are_the_streaming_functions(template: dict[str, Any]) -> None:
    plain, wanted = (
        {
            function: Settings.from_env(
                {**deployed(it, function), "AWS_LAMBDA_FUNCTION_NAME": function}
            )
            for function in sam.FUNCTIONS
        }
        for it in (Stack(template), Stack(template, **EVERYTHING))
    )
    for none in (*plain.values(), wanted["ApiFunction"]):
        assert none.vercel_token is None
        assert none.vercel_team_id is None
        assert none.jobs is None
        assert none.preview_commands is None
    settings = wanted["StreamFunction"]
    assert settings.vercel_token == SECRETS["VERCEL_TOKEN"]
    assert settings.vercel_team_id == LIVE_SOURCES["VercelTeamId"]
    assert settings.jobs is not None
    assert settings.jobs.key == SECRETS["JOBS_UPSTREAM_KEY"]
    assert settings.jobs.address("7") == "wss://jobs.example.com/ws"
    assert settings.preview_commands is not None
    assert settings.preview_commands.keys() == {"site", "docs"}


def test_what_the_uses_need_comes_to_the_functions(template: dict[str, Any]) -> None:
    """Sessions and alerts to both, since both have clients; the rest where the uses are served."""
    streams, api = (
        Settings.from_env(
            {
                **deployed(Stack(template, **EVERYTHING), function),
                "AWS_LAMBDA_FUNCTION_NAME": function,
            }
        )
        for function in sam.FUNCTIONS
    )
    for both in (streams, api):
        assert both.nextauth_secrets == (SECRETS["NEXTAUTH_SECRET"],)
        assert both.alert_url == SECRETS["LASTEVENT_ALERT_URL"]
        assert both.alert_secret is not None
        assert both.alert_reconnects == USES["AlertReconnects"]
    assert (api.shopify_token, api.model_key, api.image_hosts) == (None, None, ())
    assert (streams.message_rate.count, streams.message_rate.seconds) == (30, 60)
    assert streams.message_attachment_hosts == ("cdn.example.com", "files.example.com")
    assert streams.shopify_shop == USES["ShopifyShop"]
    assert streams.shopify_token == SECRETS["SHOPIFY_ACCESS_TOKEN"]
    assert streams.shopify_api_url == USES["ShopifyApiUrl"]
    assert streams.image_hosts == ("*.example.com", "10.0.0.7:8080")
    assert (streams.model_url, streams.model_name) == (USES["ModelUrl"], USES["ModelName"])
    assert streams.model_key == SECRETS["LASTEVENT_MODEL_KEY"]


def test_by_default_no_use_is_set_up(template: dict[str, Any]) -> None:
    for function in sam.FUNCTIONS:
        given = deployed(Stack(template), function)
        settings = Settings.from_env({**given, "AWS_LAMBDA_FUNCTION_NAME": function})
        plain = Settings.from_env({"LASTEVENT_AUTH_SECRET": "s" * 48}, "127.0.0.1")
        for name in ("message_rate", "message_attachment_hosts", "image_hosts", "alert_reconnects"):
            assert getattr(settings, name) == getattr(plain, name)
        for name in ("shopify_shop", "shopify_token", "model_url", "model_key", "alert_url"):
            assert getattr(settings, name) is None
        assert settings.nextauth_secrets == ()


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        ("MessageRate", ["", USES["MessageRate"]], ["60", "60 a minute", "0/60"]),
        ("AttachmentHosts", ["", USES["AttachmentHosts"]], ["https://cdn.example.com"]),
        ("ShopifyShop", ["", USES["ShopifyShop"]], ["example", "https://example.myshopify.com"]),
        ("ShopifyApiUrl", ["", USES["ShopifyApiUrl"]], ["http://127.0.0.1", "2026-10"]),
        ("ImageHosts", ["", USES["ImageHosts"]], ["https://cdn.example.com/"]),
        ("ModelUrl", ["", USES["ModelUrl"]], ["http://api.example.com/v1"]),
        ("VercelTeamId", ["", "team_1a2B-c"], ["team 1"]),
        ("JobsUrl", ["", "jobs.example.com", "wss://jobs.example.com/{job}?v=1"], ["https://a b"]),
    ],
)
def test_what_cannot_be_right_is_refused(parameter: str, good: list[str], bad: list[str]) -> None:
    pattern = sam.source()["Parameters"][parameter]["AllowedPattern"]
    assert all(re.fullmatch(pattern, value) for value in good)
    assert not any(re.fullmatch(pattern, value) for value in bad)


def test_the_variables_leave_room_for_others(template: dict[str, Any]) -> None:
    stack = Stack(template, **EVERYTHING)
    for function in sam.FUNCTIONS:
        given = deployed(stack, function)
        assert sum(len(name) + len(value) for name, value in given.items()) < VARIABLE_BYTES / 3


def test_every_variable_is_known(template: dict[str, Any]) -> None:
    stores = {"UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"}
    known = settings_variables() | stores | {"AWS_LAMBDA_EXEC_WRAPPER"}
    for function in sam.FUNCTIONS:
        assert Stack(template, **EVERYTHING).environment(function).keys() <= known


def test_the_policies_are_the_librarys() -> None:
    assert sam.source()["Parameters"]["Policy"]["AllowedValues"] == list(POLICIES)


def test_trouble_raises_an_alarm(stack: Stack) -> None:
    alarms = stack.of_type("AWS::CloudWatch::Alarm").values()
    watched = set()
    for alarm in alarms:
        (dimension,) = alarm["Dimensions"]
        assert (alarm["Namespace"], dimension["Name"]) == ("AWS/Lambda", "FunctionName")
        assert (alarm["Statistic"], alarm["TreatMissingData"]) == ("Sum", "notBreaching")
        watched.add((dimension["Value"], alarm["MetricName"]))
    metrics = ("Errors", "Throttles", "Invocations")
    assert watched == {(function, metric) for function in sam.FUNCTIONS for metric in metrics}


def test_alarms_tell_whom_the_parameter_names(template: dict[str, Any]) -> None:
    topic = EVERYTHING["AlarmTopicArn"]
    for alarm in Stack(template).of_type("AWS::CloudWatch::Alarm").values():
        assert "AlarmActions" not in alarm
    for alarm in Stack(template, AlarmTopicArn=topic).of_type("AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmActions"] == [topic]


def test_reconnections_are_counted_by_the_minute(template: dict[str, Any]) -> None:
    alarms = Stack(template, ReconnectsAlarm=77).of_type("AWS::CloudWatch::Alarm").values()
    counted = [it for it in alarms if it["MetricName"] == "Invocations"]
    assert len(counted) == 2
    for alarm in counted:
        assert (alarm["Period"], alarm["Threshold"]) == (60, 77)
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"


def test_the_documents_list_every_parameter() -> None:
    document = (ROOT / "docs" / "deploy-aws.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.+?)` )?\|", document, re.M)
    parameters = sam.source()["Parameters"]
    assert rows == [(name, str(it["Default"])) for name, it in parameters.items()]
