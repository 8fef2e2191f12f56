"""Who may ask, and what there is: users, a team, projects, uploaded files, deployments."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from random import Random
from typing import Any

from infra.local.vercel_api.builds import BUILDS
from infra.local.vercel_api.chaos import ORDERLY, Chaos
from infra.local.vercel_api.deployment import Deployment, Project
from infra.local.vercel_api.entries import random_id
from infra.local.vercel_api.refusal import (
    Refused,
    bad_request,
    forbidden,
    invalid_token,
    missing_token,
    not_found,
)
from infra.local.vercel_api.script import Script

TEAM = "team_local"
TEAM_SLUG = "local"
USER = {"id": "usr_local", "username": "local", "email": "local@example.com"}
STRANGER = {"id": "usr_stranger", "username": "stranger", "email": "stranger@example.com"}

# API reference, create a project: lower case, up to 100 characters, not the sequence `---`.
_PROJECT_NAME = re.compile(r"(?!.*---)[a-z0-9._-]{1,100}")


@dataclass(frozen=True, slots=True)
class Scope:
    """On whose behalf a request is: ``owner`` is a user's or a team's id, ``slug`` its name."""

    user: Mapping[str, str]
    owner: str
    slug: str
    member: bool
    """Whether the user is in the team."""


@dataclass(frozen=True, slots=True)
class Play:
    """How a deployment goes: which build, at which speed, and what is wrong with its log."""

    build: str | Script = "next"
    speed: float = 1.0
    chaos: Chaos = ORDERLY

    def __post_init__(self) -> None:
        if isinstance(self.build, str) and self.build not in BUILDS:
            raise ValueError(f"a build is one of {', '.join(BUILDS)}, or a script")
        if self.speed <= 0:
            raise ValueError("a speed is positive")

    @property
    def script(self) -> Script:
        """What is played."""
        return BUILDS[self.build] if isinstance(self.build, str) else self.build

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> "Play":
        """Read what `dataclasses.asdict` made of one. Raises TypeError and ValueError."""
        build = members.get("build", "next")
        return cls(
            build=build if isinstance(build, str) else Script.of(build),
            speed=members.get("speed", 1.0),
            chaos=Chaos(**members.get("chaos", {})),
        )


class Account:
    """All that the API knows. ``play`` is how deployments go that are made through the API.

    ``token`` is that of a user who is in the team, ``stranger_token`` of one who is not.
    """

    def __init__(self, token: str, stranger_token: str, play: Play, seed: int = 0) -> None:
        self.play = play
        self.files: set[str] = set()
        """The digests of what was uploaded."""
        self.deployments: dict[str, Deployment] = {}
        self._tokens = ((token, USER, True), (stranger_token, STRANGER, False))
        self._chance = Random(seed)
        self._projects: dict[str, Project] = {}

    def scope(self, authorization: str | None, team: str | None, slug: str | None) -> Scope:
        """Return on whose behalf a request is. Raises Refused (403)."""
        kind, _, given = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not given:
            raise missing_token()
        user, member = self._user(given.strip())
        if team is None and slug is None:
            return Scope(user, user["id"], user["username"], member)
        if not member or team not in (None, TEAM) or slug not in (None, TEAM_SLUG):
            raise forbidden()
        return Scope(user, TEAM, TEAM_SLUG, member)

    def _user(self, given: str) -> tuple[Mapping[str, str], bool]:
        for token, user, member in self._tokens:
            if compare_digest(token.encode(), given.encode()):
                return user, member
        raise invalid_token()

    def project(self, scope: Scope, id_or_name: str) -> Project:
        """Return a project. Raises Refused (404, 403)."""
        for project in self._projects.values():
            if id_or_name == project.id or (
                id_or_name == project.name and project.owner == scope.owner
            ):
                _check(scope, project, "project", id_or_name)
                return project
        raise not_found("project", id_or_name)

    def create_project(self, scope: Scope, name: object, settings: Mapping[str, Any]) -> Project:
        """Make a project. Raises Refused (400, 409)."""
        if not isinstance(name, str) or not _PROJECT_NAME.fullmatch(name):
            raise bad_request(
                "Project names can be up to 100 characters long and must be lowercase."
            )
        if any((one.name, one.owner) == (name, scope.owner) for one in self._projects.values()):
            raise Refused(409, "conflict", "A project with this name already exists")
        id = f"prj_{random_id(self._chance, 28)}"
        project = Project(id=id, name=name, owner=scope.owner, created=_now_ms(), settings=settings)
        self._projects[id] = project
        return project

    def deploy(
        self,
        scope: Scope,
        project: Project,
        play: Play | None = None,
        *,
        age: float = 0.0,
        target: str | None = None,
        meta: Mapping[str, str] | None = None,
    ) -> Deployment:
        """Make a deployment that began ``age`` seconds ago."""
        play = play or self.play
        deployment = Deployment(
            f"dpl_{random_id(self._chance, 28)}",
            project,
            play.script,
            begun=_now_ms() - round(age * 1000),
            speed=play.speed,
            chaos=play.chaos,
            scope=scope.slug,
            target=target,
            meta=meta,
        )
        self.deployments[deployment.id] = deployment
        return deployment

    def deployment(self, scope: Scope, id_or_url: str) -> Deployment:
        """Return a deployment by its id or its host. Raises Refused (404, 403)."""
        for deployment in self.deployments.values():
            if id_or_url in (deployment.id, deployment.url, *deployment.aliases):
                _check(scope, deployment.project, "deployment", id_or_url)
                return deployment
        raise not_found("deployment", id_or_url)

    def transfer_code(self) -> str:
        """Return a new code by which a project can be claimed."""
        digits = f"{self._chance.getrandbits(128):032x}"
        return "-".join(
            digits[begin:end] for begin, end in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))
        )


def _check(scope: Scope, project: Project, what: str, id: str) -> None:
    """Refuse what another owns: a member who asked in the wrong scope does not find it."""
    if project.owner == scope.owner:
        return
    if scope.member and project.owner in (TEAM, scope.user["id"]):
        raise not_found(what, id)
    raise forbidden()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
