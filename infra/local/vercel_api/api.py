"""The API: requests in, answers out. Each operation has a name, for the faults and the counts."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from infra.local.connection import disconnected
from infra.local.vercel_api import account, refusal
from infra.local.vercel_api.account import TEAM, TEAM_SLUG, Account
from infra.local.vercel_api.calls import Calls
from infra.local.vercel_api.deployment import DEFAULT_LIMIT, Deployment, Project, Selection
from infra.local.vercel_api.faults import Faults
from infra.local.vercel_api.operation import Handler, Operation
from infra.local.vercel_api.refusal import Refused

MAX_BODY_BYTES = 64 * 1024 * 1024
LINES = "application/stream+json"
TICK_SECONDS = 0.02


class Api:
    """The operations on an account."""

    def __init__(self, owned: Account, calls: Calls, faults: Faults) -> None:
        self.account = owned
        self.calls = calls
        self.faults = faults

    def routes(self) -> list[Route]:
        """Return the endpoints, in the versions that are documented or that the CLI asks for."""
        deployment = "/deployments/{id_or_url}"
        table: list[tuple[str, str, Handler, tuple[str, ...]]] = [
            ("create", "POST", self._create, ("/v13/deployments",)),
            ("deployment", "GET", self._deployment, (f"/v13{deployment}",)),
            ("list", "GET", self._list, ("/v6/deployments", "/v7/deployments")),
            (
                "events",
                "GET",
                self._events,
                (
                    f"/v3{deployment}/events",
                    f"/v2{deployment}/events",
                    f"/v3/now{deployment}/events",
                ),
            ),
            ("upload", "POST", self._upload, ("/v2/files",)),
            ("create-project", "POST", self._create_project, ("/v10/projects", "/v11/projects")),
            ("project", "GET", self._project, ("/v9/projects/{id_or_name}",)),
            ("transfer", "POST", self._transfer, ("/projects/{id_or_name}/transfer-request",)),
            ("user", "GET", self._user, ("/v2/user",)),
            ("team", "GET", self._team, ("/v2/teams/{team}", "/teams/{team}")),
        ]
        return [
            Route(
                path,
                Operation(name, handler, self.account, self.calls, self.faults),
                methods=[method],
            )
            for name, method, handler, paths in table
            for path in paths
        ]

    async def _create(self, asked: Request, scope: account.Scope) -> Response:
        body = await _json(asked)
        name = body.get("name")
        if not isinstance(name, str):
            raise refusal.bad_request("Invalid request: missing required property `name`.")
        files: list[dict[str, Any]] = body.get("files") or []
        if not files and not body.get("gitSource") and not body.get("deploymentId"):
            raise refusal.bad_request("Invalid request: no `files`, `gitSource` or `deploymentId`.")
        digests = {file["sha"] for file in files if "data" not in file and "sha" in file}
        if missing := sorted(digests - self.account.files):
            raise refusal.missing_files(missing)
        project = self._project_of(asked, scope, body, name)
        deployment = self.account.deploy(
            scope, project, target=body.get("target"), meta=body.get("meta")
        )
        return JSONResponse(deployment.document(scope.user, _now()))

    def _project_of(
        self, asked: Request, scope: account.Scope, body: Mapping[str, Any], name: str
    ) -> Project:
        """Return the project that a deployment is for; a name that is new makes one."""
        if "project" in body:
            return self.account.project(scope, body["project"])
        try:
            return self.account.project(scope, name)
        except Refused:
            settings = body.get("projectSettings")
            if settings is None and asked.query_params.get("skipAutoDetectionConfirmation") != "1":
                raise refusal.missing_project_settings() from None
            return self.account.create_project(scope, name, settings or {})

    async def _deployment(self, asked: Request, scope: account.Scope) -> Response:
        found = self.account.deployment(scope, asked.path_params["id_or_url"])
        return JSONResponse(found.document(scope.user, _now()))

    async def _list(self, asked: Request, scope: account.Scope) -> Response:
        project = asked.query_params.get("projectId")
        now, found = _now(), []
        for one in reversed(self.account.deployments.values()):
            if one.project.owner == scope.owner and project in (None, one.project.id):
                found.append(_listed(one, scope, now))
        limit = int(_number(asked, "limit") or 20)
        page = found[:limit]
        return JSONResponse({"deployments": page, "pagination": {"count": len(page)}})

    async def _events(self, asked: Request, scope: account.Scope) -> Response:
        deployment = self.account.deployment(scope, asked.path_params["id_or_url"])
        query = asked.query_params
        as_lines = query.get("follow") == "1" or query.get("format") == "lines"
        limit = _number(asked, "limit")
        selection = Selection(
            since=_number(asked, "since"),
            until=_number(asked, "until"),
            # Not documented for an answer of lines; the vendor's CLI gives none and wants all.
            limit=int(limit) if limit is not None else (-1 if as_lines else DEFAULT_LIMIT),
            backward=query.get("direction") == "backward",
            delimiters=query.get("delimiter") == "1",
        )
        if deployment.gone(_now()):
            match deployment.chaos.gone_as:
                case "404":
                    raise refusal.not_found("deployment", deployment.id)
                case "410":
                    raise refusal.gone(deployment.id)
            return JSONResponse([])
        if query.get("follow") == "1":
            return StreamingResponse(_followed(deployment, selection, asked), media_type=LINES)
        events = deployment.events(selection, _now())
        if as_lines:
            return Response(b"".join(map(_as_line, events)), media_type=LINES)
        return JSONResponse(events)

    async def _upload(self, asked: Request, _: account.Scope) -> Response:
        digest = asked.headers.get("x-vercel-digest") or asked.headers.get("x-now-digest")
        content = await _body(asked)
        if digest != hashlib.sha1(content, usedforsecurity=False).hexdigest():
            raise refusal.bad_request("The digest is not the SHA1 of the file")
        self.account.files.add(digest)
        return JSONResponse({"urls": []})

    async def _create_project(self, asked: Request, scope: account.Scope) -> Response:
        body = await _json(asked)
        settings = {name: body[name] for name in body if name != "name"}
        return JSONResponse(
            _described(self.account.create_project(scope, body.get("name"), settings))
        )

    async def _project(self, asked: Request, scope: account.Scope) -> Response:
        return JSONResponse(
            _described(self.account.project(scope, asked.path_params["id_or_name"]))
        )

    async def _transfer(self, asked: Request, scope: account.Scope) -> Response:
        self.account.project(scope, asked.path_params["id_or_name"])
        return JSONResponse({"code": self.account.transfer_code()})

    async def _user(self, _: Request, scope: account.Scope) -> Response:
        return JSONResponse({"user": dict(scope.user)})

    async def _team(self, asked: Request, scope: account.Scope) -> Response:
        if asked.path_params["team"] not in (TEAM, TEAM_SLUG) or not scope.member:
            raise refusal.forbidden()
        return JSONResponse({"id": TEAM, "slug": TEAM_SLUG, "name": TEAM_SLUG})


async def _followed(
    deployment: Deployment, selection: Selection, asked: Request
) -> AsyncIterator[bytes]:
    """Yield lines as they become visible, until the deployment's last one or the client goes."""
    known: set[str] = set()
    gone = asyncio.create_task(disconnected(asked.receive))
    try:
        while not gone.done():
            now = _now()
            if new := deployment.fresh(known, selection, now):
                yield b"".join(map(_as_line, new))
            if deployment.drained is not None and now > deployment.drained:
                return
            await asyncio.wait([gone], timeout=TICK_SECONDS)
    finally:
        gone.cancel()


async def _body(asked: Request) -> bytes:
    """Return the body; one that is too large is read to its end, so that the answer is seen."""
    size, parts = 0, []
    async for part in asked.stream():
        size += len(part)
        if size <= MAX_BODY_BYTES:
            parts.append(part)
    if size > MAX_BODY_BYTES:
        raise refusal.too_large(MAX_BODY_BYTES)
    return b"".join(parts)


async def _json(asked: Request) -> dict[str, Any]:
    try:
        body = json.loads(await _body(asked))
    except ValueError:
        raise refusal.bad_request("Invalid JSON") from None
    if not isinstance(body, dict):
        raise refusal.bad_request("Invalid request: should be object")
    return body


def _number(asked: Request, name: str) -> float | None:
    """Return a number of the query; an empty one, which the vendor's CLI sends, is none."""
    given = asked.query_params.get(name)
    try:
        return float(given) if given else None
    except ValueError:
        raise refusal.bad_request(f"Invalid request: `{name}` should be number.") from None


def _as_line(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode() + b"\n"


def _described(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "accountId": project.owner,
        "createdAt": project.created,
        "updatedAt": project.created,
        "framework": project.settings.get("framework"),
        "live": False,
    }


def _listed(deployment: Deployment, scope: account.Scope, now: float) -> dict[str, Any]:
    """Return a deployment as a list has it: less of it, and two members by other names."""
    whole = deployment.document(scope.user, now)
    state = whole["readyState"]
    kept = ("name", "url", "projectId", "inspectorUrl", "creator", "target", "meta", "buildingAt")
    return {
        "uid": deployment.id,
        "created": whole["createdAt"],
        "createdAt": whole["createdAt"],
        "state": state,
        "readyState": state,
        **{name: whole[name] for name in (*kept, "ready") if name in whole},
    }


def _now() -> float:
    """Return the time in Unix ms."""
    return time.time() * 1000
