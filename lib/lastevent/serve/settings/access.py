"""Who may come in: publishers' keys, the secrets of a site's sessions, and nobody's secret."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lastevent.core.errors import ConfigError
from lastevent.serve.settings.place import is_loopback
from lastevent.serve.settings.texts import SHORTEST_KEY, entries, patterns, secret
from lastevent.serve.settings.variables import parsed, said

_NEXTAUTH = ("AUTH_SECRET_3", "AUTH_SECRET_2", "AUTH_SECRET_1", "AUTH_SECRET", "NEXTAUTH_SECRET")
"""Where Auth.js finds its secrets, newest first (https://authjs.dev/reference/core/jwt)."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A publisher's key: what it may append to. The name is for logs, the key for nobody."""

    name: str
    key: str = field(repr=False)
    append: tuple[str, ...]


def api_keys(value: str) -> tuple[ApiKey, ...]:
    """Return the keys in ``NAME:KEY=PATTERN,PATTERN`` joined by semicolons."""
    keys = []
    for number, entry in enumerate(entries(value), 1):
        found = re.fullmatch(r"([A-Za-z0-9_-]+):([^\s=;]+)=(.+)", entry)
        if found is None:  # the entry itself is a secret: name its place only
            raise ConfigError(f"entry {number} is not NAME:KEY=PATTERN,PATTERN; join by semicolons")
        if len(found[2]) < SHORTEST_KEY:
            raise ConfigError(f"the key of {found[1]} has under {SHORTEST_KEY} characters")
        keys.append(ApiKey(found[1], found[2], patterns(found[3])))
    return tuple(keys)


def nextauth_secrets(environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return all of them: while a site changes its secret, sessions of the old one go on."""
    found: dict[str, None] = {}
    for variable in _NEXTAUTH:
        if text := said(environ, variable):
            found[parsed(secret, variable, text)] = None
    return tuple(found) or None


def refuse_unless_development(platform: str | None, bind_host: str | None) -> None:
    """Raise ConfigError where a server without a secret could be reached by others (RULES 23)."""
    wanted = "set LASTEVENT_AUTH_SECRET to at least 32 characters (openssl rand -hex 32)"
    if platform is not None:
        raise ConfigError(f"{platform} is set, so this is not a development machine: {wanted}")
    if bind_host is None:
        raise ConfigError(f"{wanted}, or develop with: lastevent serve --host 127.0.0.1")
    if not is_loopback(bind_host):
        raise ConfigError(
            f"without a secret the server binds to 127.0.0.1 only, not to {bind_host}: {wanted}"
        )
