"""The local server that speaks Vercel's REST API: its documents, its events, its faults."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.vercel_api import WILD, Chaos, Line, Made, Phase, Script, VercelApi

WAIT_SECONDS = 20.0
"""A safety limit: what takes longer than this has hung."""

LONG_AGO = 3600.0
SHORT_SECONDS = 0.3


@pytest.fixture(scope="module")
def module_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VercelApi]:
    with VercelApi(tmp_path_factory.mktemp("vercel-api")) as server:
        yield server


@pytest.fixture
async def api(module_api: VercelApi) -> AsyncIterator[VercelApi]:
    yield module_api
    await module_api.clear_faults()
    await module_api.forget_calls()
    await module_api.play_next()


@pytest.fixture
async def http(api: VercelApi) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(api, api.token) as client:
        yield client


def _client(api: VercelApi, token: str | None) -> httpx.AsyncClient:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(
        base_url=api.url, headers=headers, trust_env=False, timeout=WAIT_SECONDS
    )


async def _events(http: httpx.AsyncClient, made: Made, **query: Any) -> list[dict[str, Any]]:
    answer = await http.get(f"/v3/deployments/{made.id}/events", params={"limit": -1, **query})
    assert answer.status_code == 200, answer.text
    events: list[dict[str, Any]] = answer.json()
    return events


def _core(event: dict[str, Any]) -> dict[str, Any]:
    """Return what the two shapes have in common."""
    core: dict[str, Any] = event.get("payload", event)
    return core


def _line_ids(events: Sequence[dict[str, Any]]) -> list[str]:
    return [_core(event)["id"] for event in events if "text" in _core(event)]


def _error(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    return error


# Who may ask


@pytest.mark.parametrize(("token", "mark"), [(None, "missingToken"), ("wrong", "invalidToken")])
async def test_without_a_token_nothing_is_answered(
    api: VercelApi, token: str | None, mark: str
) -> None:
    async with _client(api, token) as anybody:
        answer = await anybody.get("/v13/deployments/dpl_x")
    assert answer.status_code == 403
    assert _error(answer)["code"] == "forbidden"
    assert _error(answer)[mark] is True


async def test_what_does_not_exist_is_not_found(http: httpx.AsyncClient) -> None:
    for path in ("/v13/deployments/dpl_x", "/v3/deployments/dpl_x/events", "/v9/projects/prj_x"):
        answer = await http.get(path)
        assert (answer.status_code, _error(answer)["code"]) == (404, "not_found")


async def test_what_belongs_to_others_is_forbidden(api: VercelApi) -> None:
    made = await api.deploy()
    async with _client(api, api.stranger_token) as stranger:
        for path in (f"/v13/deployments/{made.id}", f"/v3/deployments/{made.id}/events"):
            answer = await stranger.get(path)
            assert (answer.status_code, _error(answer)["code"]) == (403, "forbidden")
        team = await api.deploy(name="team-shop", team=True)
        answer = await stranger.get(f"/v13/deployments/{team.id}", params={"teamId": api.team})
        assert answer.status_code == 403


async def test_a_teams_deployment_is_found_on_behalf_of_the_team(
    api: VercelApi, http: httpx.AsyncClient
) -> None:
    made = await api.deploy(name="team-shop", team=True)
    assert (await http.get(f"/v13/deployments/{made.id}")).status_code == 404
    for scope in ({"teamId": api.team}, {"slug": "local"}):
        answer = await http.get(f"/v13/deployments/{made.id}", params=scope)
        assert answer.json()["ownerId"] == api.team


# Deployments and projects


async def test_a_deployment_is_made_of_inline_files(
    api: VercelApi, http: httpx.AsyncClient
) -> None:
    await api.play_next("failing", speed=20)
    body = {
        "name": "site",
        "files": [{"file": "index.html", "data": "PGgxPg==", "encoding": "base64"}],
        "target": "production",
        "meta": {"by": "test"},
    }
    refused = await http.post("/v13/deployments", json=body)
    assert (refused.status_code, _error(refused)["code"]) == (400, "missing_project_settings")
    query = {"skipAutoDetectionConfirmation": "1"}
    made = (await http.post("/v13/deployments", json=body, params=query)).json()
    assert made["readyState"] == "QUEUED"
    assert made["alias"] == ["site.vercel.app"]
    assert made["meta"] == {"by": "test"}
    again = (await http.post("/v13/deployments", json=body)).json()
    assert again["projectId"] == made["projectId"]
    assert again["id"] != made["id"]
    for name in (made["id"], made["url"]):
        found = (await _until_state(http, name, "ERROR"))["errorMessage"]
        assert found == 'Command "npm run build" exited with 1'
    listed = await http.get("/v6/deployments", params={"projectId": made["projectId"]})
    assert [one["uid"] for one in listed.json()["deployments"]] == [again["id"], made["id"]]


async def _until_state(http: httpx.AsyncClient, name: str, state: str) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            document: dict[str, Any] = (await http.get(f"/v13/deployments/{name}")).json()
            if document["readyState"] == state:
                return document
            await asyncio.sleep(0.01)


async def test_files_by_digest_are_uploaded_first(http: httpx.AsyncClient) -> None:
    content = b"<h1>"
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    body = {
        "name": "digests",
        "files": [{"file": "index.html", "sha": digest, "size": len(content)}],
        "projectSettings": {"framework": None},
    }
    refused = await http.post("/v13/deployments", json=body)
    assert refused.status_code == 400
    assert (_error(refused)["code"], _error(refused)["missing"]) == ("missing_files", [digest])
    headers = {"x-vercel-digest": digest}
    wrong = await http.post("/v2/files", content=b"other", headers=headers)
    assert wrong.status_code == 400
    assert (await http.post("/v2/files", content=content, headers=headers)).status_code == 200
    assert (await http.post("/v13/deployments", json=body)).status_code == 200


@pytest.mark.parametrize("body", [{"files": [{"file": "a", "data": "b"}]}, {"name": "x"}, []])
async def test_a_deployment_has_a_name_and_something_in_it(
    http: httpx.AsyncClient, body: Any
) -> None:
    answer = await http.post("/v13/deployments", json=body)
    assert (answer.status_code, _error(answer)["code"]) == (400, "bad_request")


async def test_a_project_can_be_claimed_by_a_code(http: httpx.AsyncClient) -> None:
    created = (await http.post("/v11/projects", json={"name": "claimed"})).json()
    assert (await http.post("/v11/projects", json={"name": "claimed"})).status_code == 409
    for name in (created["id"], "claimed"):
        assert (await http.get(f"/v9/projects/{name}")).json()["id"] == created["id"]
    codes = {
        (await http.post("/projects/claimed/transfer-request")).json()["code"] for _ in range(2)
    }
    assert len(codes) == 2
    git = {"type": "github", "org": "example", "repo": "shop", "ref": "main"}
    body = {"name": "claimed", "project": created["id"], "gitSource": git}
    made = (await http.post("/v13/deployments", json=body)).json()
    assert made["projectId"] == created["id"]


@pytest.mark.parametrize(
    ("build", "state", "member"),
    [
        ("next", "READY", "ready"),
        ("failing", "ERROR", "errorCode"),
        ("canceled", "CANCELED", "canceledAt"),
        ("blocked", "BLOCKED", "readyStateReason"),
    ],
)
async def test_a_build_ends_in_its_state(
    api: VercelApi, http: httpx.AsyncClient, build: str, state: str, member: str
) -> None:
    made = await api.deploy(build, age=LONG_AGO)
    document = (await http.get(f"/v13/deployments/{made.url}")).json()
    assert (document["id"], document["readyState"]) == (made.id, state)
    assert document[member]
    assert (await api.truth(made.id)).state == state


# Events


@pytest.mark.parametrize("build", ["next", "failing", "long", "canceled", "blocked"])
async def test_the_whole_log_is_the_truth(
    api: VercelApi, http: httpx.AsyncClient, build: str
) -> None:
    made = await api.deploy(build, age=LONG_AGO)
    truth = await api.truth(made.id)
    assert _line_ids(await _events(http, made)) == truth.ids
    assert len(truth.ids) == len(set(truth.ids))
    assert truth.ids or build == "blocked"


async def test_a_successful_build_says_about_120_lines(api: VercelApi) -> None:
    truth = await api.truth((await api.deploy("next")).id)
    assert 110 <= len(truth.lines) <= 130
    assert {line.step for line in truth.lines} == {None, "install", "build"}
    assert {line.type for line in truth.lines} == {"command", "stdout", "stderr"}
    assert truth.over is not None and truth.lines[-1].date > truth.over, "it ends before the log"


async def test_the_three_shapes(api: VercelApi, http: httpx.AsyncClient) -> None:
    wrapped = await _events(http, await api.deploy(age=LONG_AGO))
    assert {"type", "created", "payload"} == wrapped[3].keys()
    payload = {"deploymentId", "info", "id", "date", "serial", "text"}
    assert payload == wrapped[3]["payload"].keys()
    flat = await _events(http, await api.deploy(age=LONG_AGO, chaos=Chaos(shape="flat")))
    assert payload | {"type", "created"} == flat[3].keys()
    assert {event.get("level") for event in flat} == {None, "warning"}
    for events in (wrapped, flat):
        assert events[-1]["type"] == "alias-assigned"
        assert "id" not in events[-1]
    mixed = await _events(http, await api.deploy(age=LONG_AGO, chaos=Chaos(shape="mixed")))
    assert {"payload" in event for event in mixed} == {True, False}


async def test_delimiters_only_when_asked(api: VercelApi, http: httpx.AsyncClient) -> None:
    made = await api.deploy(age=LONG_AGO)
    types = {event["type"] for event in await _events(http, made)}
    assert {"deployment-state", "exit", "metric"} < types
    assert "delimiter" not in types
    assert "delimiter" in {event["type"] for event in await _events(http, made, delimiter=1)}


async def test_since_and_until_are_included(api: VercelApi, http: httpx.AsyncClient) -> None:
    made = await api.deploy(age=LONG_AGO, chaos=Chaos(same_ms=3))
    lines = (await api.truth(made.id)).lines
    date = lines[50].date
    same = [line.id for line in lines if line.date == date]
    assert len(same) == 3
    assert _line_ids(await _events(http, made, since=date, until=date)) == same
    after = _line_ids(await _events(http, made, since=date + 1))
    assert after == [line.id for line in lines if line.date > date]


async def test_limit_and_direction(api: VercelApi, http: httpx.AsyncClient) -> None:
    made = await api.deploy("long", age=LONG_AGO)
    whole = await _events(http, made)
    assert (await _events(http, made, limit=7))[:7] == whole[:7]
    default = (await http.get(f"/v3/deployments/{made.id}/events")).json()
    assert default[:-1] == whole[:100]
    backward = await _events(http, made, direction="backward")
    assert _line_ids(backward) == _line_ids(whole)[::-1]


async def test_a_log_can_be_followed(api: VercelApi, http: httpx.AsyncClient) -> None:
    made = await api.deploy(speed=50)
    ids: list[str] = []
    url = f"/v3/now/deployments/{made.id}/events?direction=forward&follow=1&format=lines"
    async with asyncio.timeout(WAIT_SECONDS), http.stream("GET", url) as answer:
        assert answer.headers["content-type"] == "application/stream+json"
        async for line in answer.aiter_lines():
            ids += _line_ids([json.loads(line)])
    truth = await api.truth(made.id)
    assert ids == truth.ids
    assert truth.drained is not None and time.time() * 1000 > truth.drained


async def test_a_build_is_played_in_its_time(api: VercelApi, http: httpx.AsyncClient) -> None:
    script = Script(
        phases=(Phase(0, "QUEUED"), Phase(10, "BUILDING"), Phase(3000, "READY")),
        lines=(Line(20, "first"), Line(2000, "second")),
    )
    made = await api.deploy(script, age=100, speed=10)
    document = (await http.get(f"/v13/deployments/{made.id}")).json()
    assert document["readyState"] == "BUILDING"
    first, second = (await api.truth(made.id)).lines
    assert (first.date - document["createdAt"], second.date - first.date) == (2_000, 198_000)
    assert _line_ids(await _events(http, made)) == [first.id]


# What goes wrong with a log


async def test_what_is_wild_loses_nothing(api: VercelApi, http: httpx.AsyncClient) -> None:
    made = await api.deploy(age=LONG_AGO, chaos=WILD)
    truth = await api.truth(made.id)
    whole = await _events(http, made)
    ids = _line_ids(whole)
    assert sorted(set(ids)) == sorted(truth.ids)
    assert len(ids) > len(set(ids)), "no line came twice"
    since = truth.lines[60].date
    echoed = {
        _core(event)["date"] < since
        for _ in range(60)
        for event in await _events(http, made, since=since)
        if "text" in _core(event)
    }
    assert echoed == {True, False}


async def test_an_answer_may_be_in_no_order(api: VercelApi, http: httpx.AsyncClient) -> None:
    made = await api.deploy(age=LONG_AGO, chaos=Chaos(shuffled=True))
    ids, truth = _line_ids(await _events(http, made)), (await api.truth(made.id)).ids
    assert ids != truth
    assert sorted(ids) == sorted(truth)


async def test_late_lines_and_the_tail(api: VercelApi) -> None:
    orderly = await api.truth((await api.deploy(speed=100)).id)
    assert all(line.visible == line.date for line in orderly.lines)
    wild = await api.truth((await api.deploy(speed=100, chaos=WILD)).id)
    overtaken = [
        line
        for line, later in pairwise(wild.lines)
        if line.date < later.date and line.visible > later.visible
    ]
    assert overtaken
    assert wild.over is not None and wild.drained == wild.over + 3000
    assert sum(line.visible > wild.over for line in wild.lines) >= 6


async def test_the_same_seed_is_the_same_again(tmp_path: Path) -> None:
    truths = []
    for run in ("one", "two"):
        async with VercelApi(tmp_path / run, seed=7) as server:
            made = await server.deploy(chaos=WILD)
            truth = await server.truth(made.id)
        began = truth.lines[0].date
        truths.append((made, truth.ids, [line.visible - began for line in truth.lines]))
    assert truths[0] == truths[1]


@pytest.mark.parametrize("gone_as", ["404", "410", "empty"])
async def test_logs_are_gone_some_time_after(
    api: VercelApi, http: httpx.AsyncClient, gone_as: Any
) -> None:
    made = await api.deploy(age=LONG_AGO, chaos=Chaos(gone=60, gone_as=gone_as))
    answer = await http.get(f"/v3/deployments/{made.id}/events")
    if gone_as == "empty":
        assert answer.json() == []
    else:
        assert answer.status_code == int(gone_as)
    assert (await http.get(f"/v13/deployments/{made.id}")).json()["readyState"] == "READY"
    assert len((await api.truth(made.id)).ids) > 100
    recent = await api.deploy(age=LONG_AGO, chaos=Chaos(gone=2 * LONG_AGO))
    assert await _events(http, recent)


# Faults


async def test_a_rate_limit_says_when_to_come_back(api: VercelApi, http: httpx.AsyncClient) -> None:
    made = await api.deploy(age=LONG_AGO)
    await api.fault("status", operations=["events"], status=429, retry_after=2, times=1)
    answer = await http.get(f"/v3/deployments/{made.id}/events")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert _error(answer)["code"] == "rate_limited"
    assert _error(answer)["limit"]["remaining"] == 0
    assert await _events(http, made)


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_what_fails_may_not_be_json(
    api: VercelApi, http: httpx.AsyncClient, status: int
) -> None:
    made = await api.deploy()
    await api.fault("status", operations=["deployment"], status=status, times=1)
    assert await _events(http, made) is not None
    answer = await http.get(f"/v13/deployments/{made.id}")
    assert answer.status_code == status
    kind = "application/json" if status == 500 else "text/html; charset=utf-8"
    assert answer.headers["content-type"] == kind
    assert (await http.get(f"/v13/deployments/{made.id}")).status_code == 200


async def test_an_answer_can_be_cut_in_the_middle(api: VercelApi, http: httpx.AsyncClient) -> None:
    made = await api.deploy(age=LONG_AGO)
    await api.fault("cut", times=2)
    for query in ("", "?follow=1"):
        got = b""
        url = f"/v3/deployments/{made.id}/events{query}"
        with pytest.raises(httpx.RemoteProtocolError):
            async with http.stream("GET", url) as answer:
                async for part in answer.aiter_raw():
                    got += part
        assert len(got) > 1000
        with pytest.raises(ValueError):
            json.loads(got.splitlines()[-1])
    assert len(_line_ids(await _events(http, made))) > 100


async def test_an_answer_can_be_late_or_never_come(api: VercelApi, http: httpx.AsyncClient) -> None:
    made = await api.deploy()
    await api.fault("delay", seconds=SHORT_SECONDS, times=1)
    began = time.monotonic()
    await _events(http, made)
    assert time.monotonic() - began >= SHORT_SECONDS
    await api.fault("hang", times=1)
    with pytest.raises(httpx.ReadTimeout):
        await http.get(f"/v13/deployments/{made.id}", timeout=SHORT_SECONDS)
    await api.fault("drop", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get(f"/v13/deployments/{made.id}")
    assert (await http.get(f"/v13/deployments/{made.id}")).status_code == 200


async def test_a_fault_may_be_drawn(api: VercelApi, http: httpx.AsyncClient) -> None:
    made = await api.deploy()
    await api.fault("status", probability=0.5, seed=3)
    statuses = [(await http.get(f"/v13/deployments/{made.id}")).status_code for _ in range(20)]
    assert set(statuses) == {200, 500}
    with pytest.raises(ValueError, match="no fault is"):
        await api.fault("explode")  # type: ignore[arg-type]


async def test_calls_are_counted(api: VercelApi, http: httpx.AsyncClient) -> None:
    made, other = await api.deploy(), await api.deploy()
    await api.fault("delay", seconds=SHORT_SECONDS, operations=["events"])
    await asyncio.gather(*(_events(http, made) for _ in range(3)), _events(http, other))
    await http.get(f"/v13/deployments/{made.id}")
    report = await api.calls()
    assert report.counts == {"events": 4, "deployment": 1}
    assert report.most_at_once == {"events": 4, "deployment": 1}
    assert (await api.calls(made.id)).most_at_once == {"events": 3, "deployment": 1}
    assert (await api.calls(other.id)).counts == {"events": 1}
    await api.forget_calls()
    assert (await api.calls()).counts == {}


@pytest.mark.parametrize(
    "members",
    [
        {"phases": (Phase(1, "QUEUED"),)},
        {"phases": (Phase(0, "QUEUED"),), "lines": (Line(2, "b"), Line(1, "a"))},
    ],
)
def test_a_script_is_in_order(members: Any) -> None:
    with pytest.raises(ValueError, match=r"begins|order"):
        Script(**members)
