"""What is measured: the control, and ours on each embedded store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from lastevent.serve.auth import mint

TOKEN_SECONDS = 3600.0
_SECRET = token_hex(32)
_KEY = token_hex(16)


@dataclass(frozen=True, slots=True)
class Subject:
    """A server to measure. ``store_url`` makes the URL of its store below a fresh directory."""

    name: str
    app: str
    modules: tuple[str, ...]
    """What a cold start imports."""
    store_url: Callable[[Path], str] | None = None
    read_headers: Mapping[str, str] = field(default_factory=dict)
    publish_headers: Mapping[str, str] = field(default_factory=dict)

    def environ(self, directory: Path) -> dict[str, str]:
        """Return its settings: legs that outlive the run, everything else as it comes."""
        if self.store_url is None:
            return {}
        return {
            "LASTEVENT_STORE_URL": self.store_url(directory),
            "LASTEVENT_AUTH_SECRET": _SECRET,
            "LASTEVENT_API_KEYS": f"bench:{_KEY}=*",
            "LASTEVENT_MAX_LEG_SECONDS": "3600",
            "LASTEVENT_MAX_LEG_BYTES": "1000000000",
        }


def _ours(name: str, store_url: Callable[[Path], str]) -> Subject:
    """Readers come with a token and publishers with a key, as outside of development."""
    token = mint(_SECRET, {"sub": "bench", "read": ["*"]}, TOKEN_SECONDS)
    return Subject(
        name,
        "functions.app:app",
        ("functions.app", "functions.streams"),
        store_url,
        {"Authorization": f"Bearer {token}"},
        {"X-API-Key": _KEY},
    )


CONTROL = Subject("control", "benchmarks.control:app", ("benchmarks.control",))
MEMORY = _ours("memory", lambda directory: "memory://")
SQLITE = _ours("sqlite", lambda directory: f"sqlite:///{directory / 'bench.db'}")
SUBJECTS = (CONTROL, MEMORY, SQLITE)
