"""Where streams live, and how long their events are kept."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from lastevent.core.errors import ConfigError
from lastevent.serve.settings.texts import entries, patterns
from lastevent.services import trial
from lastevent.services.messaging import TYPING_SECONDS
from lastevent.stores.base import Retention, RetentionRules
from lastevent.stores.url import UPSTASH_VARIABLES

DEFAULT_URL = "sqlite:///.lastevent/lastevent.db"

PASSING = (
    ("typing:*", Retention(TYPING_SECONDS, 100)),
    (trial.PATTERN, trial.RETENTION),
)
"""What is over in seconds, or in minutes, is kept no longer, whatever the settings say."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def wakeup_url(value: str) -> str:
    """Return the URL of a store that pushes."""
    if urlsplit(value).scheme not in ("upstash", "redis", "rediss"):
        raise ConfigError("write the URL of a store that pushes: upstash://, redis:// or rediss://")
    return value


def retention(value: str) -> RetentionRules:
    """Return the rules in ``PATTERN=AGE,EVENTS`` joined by semicolons."""
    rules: list[tuple[str, Retention]] = []
    for entry in entries(value):
        found = re.fullmatch(r"([^=\s]+)=([0-9]+)([smhd]),([0-9]+)", entry)
        if found is None or not int(found[2]) or not int(found[4]):
            raise ConfigError(
                f"{entry[:60]!r} is not PATTERN=AGE,EVENTS such as build:*=24h,50000 "
                "(s, m, h or d; join entries by semicolons)"
            )
        (pattern,) = patterns(found[1])
        rules.append((pattern, Retention(int(found[2]) * _UNITS[found[3]], int(found[4]))))
    return RetentionRules((*PASSING, *rules))


def has_upstash(environ: Mapping[str, str]) -> bool:
    """Whether a database of Upstash is connected: then it is the store, unless another is named."""
    return any(all(environ.get(name) for name in pair) for pair in UPSTASH_VARIABLES)


def refuse_local(platform: str, url: str) -> None:
    """Raise ConfigError for a store of one process: each instance would have its own (RULES 12)."""
    scheme = url.partition(":")[0]
    if scheme in ("sqlite", "memory"):
        raise ConfigError(
            f"LASTEVENT_STORE_URL: {platform} is set, and there every instance would have its own "
            f"{scheme} store: write the URL of a shared one"
        )
