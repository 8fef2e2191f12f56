"""The body that publishes a site, in the vendor's own words where it has them.

https://vercel.com/docs/rest-api/deployments/create-a-new-deployment
"""

import binascii
from base64 import b64decode
from typing import Annotated, Any, Literal

from pydantic import Field

from lastevent.core.errors import InvalidRequest
from lastevent.serve.bodies import Body, validate
from lastevent.services.deployment import Site, SiteFile

MAX_FILES = 2000

_Text = Annotated[str, Field(min_length=1, max_length=400)]
_Command = Annotated[str | None, Field(max_length=256)]


class FileBody(Body):
    """One file: its text, or its bytes in base64."""

    file: _Text
    data: str
    encoding: Literal["utf-8", "base64"] = "utf-8"


class GitBody(Body):
    """A commit or a branch of a repository that the account may read."""

    type: Literal["github", "gitlab", "bitbucket"]
    ref: _Text | None = None
    sha: _Text | None = None
    org: _Text | None = None
    repo: _Text | None = None
    repoId: str | int | None = None
    projectId: str | int | None = None
    owner: _Text | None = None
    slug: _Text | None = None
    repoUuid: _Text | None = None
    workspaceUuid: _Text | None = None


class SettingsBody(Body):
    """How a project is built, where that is not found out."""

    framework: str | None = None
    buildCommand: _Command = None
    installCommand: _Command = None
    devCommand: _Command = None
    outputDirectory: _Command = None
    rootDirectory: _Command = None
    nodeVersion: str | None = None


class SiteBody(Body):
    """A site: files, or a git source."""

    name: _Text
    files: Annotated[list[FileBody], Field(max_length=MAX_FILES)] = Field(default_factory=list)
    gitSource: GitBody | None = None
    project: _Text | None = None
    target: Literal["production", "preview"] | None = None
    projectSettings: SettingsBody | None = None


def parse_site(value: Any) -> Site:
    """Return the site that a body describes; raise InvalidRequest that names the first fault."""
    body = validate(SiteBody, value)
    return Site(
        name=body.name,
        files=tuple(SiteFile(file.file, _content(file)) for file in body.files),
        git=None if body.gitSource is None else body.gitSource.model_dump(exclude_unset=True),
        project=body.project,
        # The vendor knows no such target: without one it is a preview.
        target=None if body.target == "preview" else body.target,
        settings=None
        if body.projectSettings is None
        else body.projectSettings.model_dump(exclude_unset=True),
    )


def _content(file: FileBody) -> bytes:
    try:
        if file.encoding == "base64":
            return b64decode(file.data, validate=True)
        return file.data.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InvalidRequest(
            f"files: the data of {file.file[:80]!r} is not what it says"
        ) from error
