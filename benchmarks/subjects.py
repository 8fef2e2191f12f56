"""What is measured: the control, and ours on each store."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from secrets import token_hex

from benchmarks import grounds
from benchmarks.grounds import Ground, Opener
from benchmarks.peers import servers
from benchmarks.processes import Server
from lastevent.serve.auth import mint

TOKEN_SECONDS = 3600.0
_SECRET = token_hex(32)
_KEY = token_hex(16)


@dataclass(frozen=True, slots=True)
class Wire:
    """How a server is spoken to. A stream's name stands at {} in ``publish`` and ``follow``.

    ``plain``: a publish's body is the event's data, and its answer tells no ids. ``live``: what
    comes to a subscriber when it has what was published before. ``created``: a stream must be made
    by a PUT first.
    """

    publish: str = "/api/streams/{}"
    follow: str = "/api/streams/{}"
    plain: bool = False
    live: str = '"state":"live"'
    created: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """A server to measure. ``ground`` starts what its store needs; without, it has no store.

    ``peer`` starts somebody else's server instead.
    """

    name: str
    app: str
    modules: tuple[str, ...]
    """What a cold start imports."""
    ground: Opener | None = None
    read_headers: Mapping[str, str] = field(default_factory=dict)
    publish_headers: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    """What it is told besides."""
    wire: Wire = Wire()
    peer: Callable[[], AbstractAsyncContextManager[Server]] | None = None

    def environ(self, ground: Ground | None) -> dict[str, str]:
        """Return its settings: legs that outlive the run, everything else as it comes."""
        if ground is None:
            return {}
        environ = {
            **ground.environ,
            "LASTEVENT_STORE_URL": ground.url,
            "LASTEVENT_WAKEUP_URL": ground.wakeup_url,
            "LASTEVENT_AUTH_SECRET": _SECRET,
            "LASTEVENT_API_KEYS": f"bench:{_KEY}=*",
            "LASTEVENT_MAX_LEG_SECONDS": "3600",
            "LASTEVENT_MAX_LEG_BYTES": "1000000000",
            # A write a minute and process, whenever a minute ends, would be counted here and there.
            "LASTEVENT_METRICS": "off",
            **self.settings,
        }
        return {name: value for name, value in environ.items() if value}


def token(**claims: object) -> str:
    """Return a token for ours, of an identity with these claims."""
    return mint(_SECRET, {"sub": "bench", **claims}, TOKEN_SECONDS)


def _ours(name: str, ground: Opener, app: str = "functions.app:app") -> Subject:
    """Readers come with a token and publishers with a key, as outside of development."""
    return Subject(
        name,
        app,
        ("functions.app", "functions.streams"),
        ground,
        {"Authorization": f"Bearer {token(read=['*'])}"},
        {"X-API-Key": _KEY},
    )


CONTROL = Subject("control", "benchmarks.control:app", ("benchmarks.control",))
MEMORY = _ours("memory", grounds.memory)
SQLITE = _ours("sqlite", grounds.sqlite)
SUBJECTS = (CONTROL, MEMORY, SQLITE)


def _peer(
    name: str, opener: Callable[[], AbstractAsyncContextManager[Server]], wire: Wire
) -> Subject:
    return Subject(name, "", (), wire=wire, peer=opener)


NCHAN = _peer(
    "nchan",
    servers.nchan,
    # Its answers tell an id only to those who accept JSON, and that of a second.
    Wire("/publish/{}", "/follow/{}", plain=True, live=": hi"),
)
SSE_STARLETTE = _peer("sse-starlette", servers.sse_starlette, Wire(live=": live"))
FASTAPI = _peer("FastAPI", servers.fastapi, Wire(live=": live"))
DURABLE_STREAMS = _peer(
    "Durable Streams",
    servers.durable_streams,
    Wire("/{}", "/{}?offset=-1&live=sse", plain=True, live="upToDate", created=True),
)
PEERS = (NCHAN, SSE_STARLETTE, FASTAPI, DURABLE_STREAMS)
RANKED = (*SUBJECTS, *PEERS)


def _metered(name: str, ground: Opener) -> Subject:
    return _ours(name, ground, "benchmarks.metered:app")


STORES = (
    _metered("sqlite", grounds.sqlite),
    _metered("upstash", grounds.upstash),
    _metered("upstash, polled", grounds.upstash_polled),
    _metered("redis", grounds.redis),
    _metered("dynamodb", grounds.dynamodb),
    _metered("dynamodb + upstash", grounds.dynamodb_pushed),
)
"""Ours on each store that processes share; SQLite is the control of these."""
