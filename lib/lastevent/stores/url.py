"""From a store's URL to the store: a table of schemes, each backend imported when first used."""

from collections.abc import Callable
from importlib import import_module
from time import time
from typing import cast
from urllib.parse import urlsplit

from lastevent.core.errors import ConfigError
from lastevent.stores.base import Clock, RetentionRules, Store

BACKENDS = {
    "dynamodb": "lastevent.stores.dynamodb",
    "memory": "lastevent.stores.memory",
    "sqlite": "lastevent.stores.sqlite",
    "redis": "lastevent.stores.upstash.tcp",
    "rediss": "lastevent.stores.upstash.tcp",
    "upstash": "lastevent.stores.upstash",
}
"""Modules, each with ``open_url(url, retention, clock) -> Store``."""


UPSTASH_VARIABLES = (
    ("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"),
    ("KV_REST_API_URL", "KV_REST_API_TOKEN"),
)
"""Address and token of a database, where Upstash's own clients look for them; the second pair is
what Vercel's marketplace sets. With a pair set, ``upstash://`` needs to say no more."""


def open_store(
    url: str,
    retention: RetentionRules = RetentionRules(),
    clock: Clock = time,
    *,
    wakeup_url: str | None = None,
) -> Store:
    """Return the store at ``url``; nothing is connected or created before its first use.

    With ``wakeup_url``, its wake-ups go through the store at that URL instead. Raises ConfigError
    for a scheme that is not in the table, or a URL that its backend refuses.
    """
    store = _open(url, retention, clock)
    if wakeup_url is None:
        return store
    from lastevent.stores.combined import combine

    return combine(store, _open(wakeup_url, retention, clock))


def _open(url: str, retention: RetentionRules, clock: Clock) -> Store:
    scheme = urlsplit(url).scheme
    if scheme not in BACKENDS:
        known = ", ".join(f"{name}://" for name in BACKENDS)
        raise ConfigError(f"the store's URL must begin with one of {known}")
    opener = cast(
        Callable[[str, RetentionRules, Clock], Store], import_module(BACKENDS[scheme]).open_url
    )
    return opener(url, retention, clock)
