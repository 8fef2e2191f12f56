"""What is known of one deployment, and what a site to publish is. No IO."""

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from lastevent.core.errors import InvalidRequest
from lastevent.sources.vercel.snapshot import FINAL, STATES, Snapshot, State

CLAIM_PAGE = "https://vercel.com/claim-deployment"
CODE_SECONDS = 24 * 3600
"""How long the vendor lets a transfer code be used."""

CODE_MARGIN_SECONDS = 600
"""A code that is given out is good for so long at least."""

_ID = re.compile(r"dpl_[A-Za-z0-9]{1,64}")
_HOST = re.compile(r"(?=.{4,253}\Z)[a-z0-9](?:[a-z0-9-]{0,62}\.)+[a-z]{2,63}")


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment's record. Times in Unix ms.

    ``publisher``: who published it here; None if it was only followed. ``transfer_code`` gives the
    whole project away, until ``transfer_expires``: it is for publishers.
    """

    id: str
    name: str
    ready_state: str
    project: str | None = None
    url: str | None = None
    inspector_url: str | None = None
    error: str | None = None
    created: int | None = None
    ended: int | None = None
    publisher: str | None = None
    transfer_code: str | None = field(default=None, repr=False)
    transfer_expires: int | None = None
    claim_url: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> "Deployment":
        """Read what ``text`` gave."""
        return cls(**json.loads(text))

    @classmethod
    def of(cls, now: Snapshot, publisher: str | None = None) -> "Deployment":
        """Return the record of a deployment that is seen for the first time."""
        return cls(now.id, now.name, now.ready_state, publisher=publisher).seen(now)

    @property
    def text(self) -> str:
        """The record's value."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(known, ensure_ascii=False, separators=(",", ":"))

    @property
    def state(self) -> State:
        """What a page calls its state."""
        return STATES.get(self.ready_state, "building")

    @property
    def is_final(self) -> bool:
        """Whether its state can change no more."""
        return self.ready_state in FINAL

    def seen(self, now: Snapshot) -> "Deployment":
        """Return it as it looks now; what is final stays."""
        if self.is_final and self.ready_state != now.ready_state:
            return self
        return replace(
            self,
            ready_state=now.ready_state,
            project=now.project or self.project,
            url=now.url or self.url,
            inspector_url=now.inspector_url or self.inspector_url,
            error=now.error,
            created=now.created or self.created,
            ended=now.ended or self.ended,
        )

    def has_code(self, now_ms: int) -> bool:
        """Whether its transfer code is good for some time yet."""
        if self.transfer_code is None or self.transfer_expires is None:
            return False
        return now_ms + CODE_MARGIN_SECONDS * 1000 < self.transfer_expires

    def with_code(self, code: str, expires: int) -> "Deployment":
        """Return it with a transfer code that is good until a time."""
        return replace(self, transfer_code=code, transfer_expires=expires)

    def returning(self, url: str | None) -> "Deployment":
        """Return it with the page that takes its code, and leads back to ``url`` if that fails.

        https://vercel.com/docs/deployments/claim-deployments
        """
        query = {"code": self.transfer_code} | ({} if url is None else {"returnUrl": url})
        return replace(self, claim_url=f"{CLAIM_PAGE}?{urlencode(query)}")


@dataclass(frozen=True, slots=True)
class SiteFile:
    """A file to publish, by its path within the site."""

    path: str
    content: bytes = field(repr=False)

    def __post_init__(self) -> None:
        parts = self.path.split("/")
        if not self.path.isprintable() or "\\" in self.path or {"", ".", ".."} & set(parts):
            raise InvalidRequest(
                f"{self.path[:80]!r} is no path of a file: write names joined by single slashes"
            )

    @property
    def inline(self) -> dict[str, str]:
        """The file as a part of the request that creates a deployment."""
        data = b64encode(self.content).decode()
        return {"file": self.path, "data": data, "encoding": "base64"}

    def uploaded(self, digest: str) -> dict[str, object]:
        """Return a reference to the file once it has been uploaded."""
        return {"file": self.path, "sha": digest, "size": len(self.content)}


@dataclass(frozen=True, slots=True)
class Site:
    """What is to be published: files, or a git source as the vendor describes it.

    ``target``: ``production`` or None for a preview; ``settings`` are the vendor's
    ``projectSettings``.
    """

    name: str
    files: Sequence[SiteFile] = ()
    git: Mapping[str, Any] | None = None
    project: str | None = None
    target: str | None = None
    settings: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        # https://vercel.com/docs/projects/overview#project-name
        if not re.fullmatch(r"[a-z0-9._-]{1,100}", self.name) or "---" in self.name:
            raise InvalidRequest(
                "name: write 1 to 100 of a-z 0-9 . _ - without three hyphens in a row"
            )
        if bool(self.files) == bool(self.git):
            raise InvalidRequest("send either files or a gitSource")
        if len({file.path for file in self.files}) < len(self.files):
            raise InvalidRequest("files: a path is there twice")

    def request(self, files: Sequence[Mapping[str, object]]) -> dict[str, Any]:
        """Return the body of the request that creates its deployment, of these ``files``."""
        body: dict[str, Any] = {"name": self.name}
        if files:
            body["files"] = files
        parts = {
            "gitSource": self.git,
            "project": self.project,
            "target": self.target,
            "projectSettings": self.settings,
        }
        return body | {name: part for name, part in parts.items() if part is not None}


def stream_of(id: str) -> str:
    """Return the name of the stream with the log of the deployment ``id``."""
    return f"deploy:{id}"


def deployment_id(text: str) -> str | None:
    """Return an id as it is, and None for a host name, under which a deployment is known too.

    Raises InvalidRequest for what is neither.
    """
    if _ID.fullmatch(text):
        return text
    if _HOST.fullmatch(text):
        return None
    raise InvalidRequest(
        f"{text[:80]!r} is no deployment: write its id (dpl_…) or its host name in small letters"
    )
