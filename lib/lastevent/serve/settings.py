"""The settings, read once from the environment.

Nothing else reads it, except that the remote stores take their credentials where their vendors'
own clients find them, and adapters what their platform says of itself. Each field of Settings
names its variable, how its text is understood and its default. A value that cannot be right stops
the start with a sentence that says what to write. docs/settings.md lists them all, and a test
compares the two.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lastevent.core.errors import ConfigError, InvalidName
from lastevent.core.policy import POLICIES
from lastevent.core.topic import stream_pattern
from lastevent.services.messaging.people import TYPING_SECONDS
from lastevent.services.rates import Rate
from lastevent.stores.base import Retention, RetentionRules
from lastevent.stores.url import UPSTASH_VARIABLES

if TYPE_CHECKING:
    from lastevent.sources.command import CommandSpec
    from lastevent.sources.job_upstream import JobUpstream

DEFAULT_STORE_URL = "sqlite:///.lastevent/lastevent.db"
SHORTEST_SECRET = 32
SHORTEST_KEY = 16

PLATFORM_VARIABLES = ("VERCEL", "AWS_LAMBDA_FUNCTION_NAME", "AWS_EXECUTION_ENV")
"""Set by the platforms themselves: where one is present, this is not a development machine."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A publisher's key: what it may append to. The name is for logs, the key for nobody."""

    name: str
    key: str = field(repr=False)
    append: tuple[str, ...]


def _text(value: str) -> str:
    return value


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise ConfigError(f"write a number from {low:g} to {high:g}")
        return number

    return parse


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", value) or not low <= int(value) <= high:
            raise ConfigError(f"write a whole number from {low} to {high}")
        return int(value)

    return parse


def _policy(value: str) -> str:
    if value not in POLICIES:
        raise ConfigError(f"write one of {', '.join(POLICIES)}")
    return value


def _switch(value: str) -> bool:
    if value not in ("0", "1"):
        raise ConfigError("write 1 for yes or 0 for no")
    return value == "1"


def _secret(value: str) -> str:
    if len(value) < SHORTEST_SECRET:
        raise ConfigError(
            f"write at least {SHORTEST_SECRET} characters, for example from: openssl rand -hex 32"
        )
    return value


def _cron_secret(value: str) -> str:
    if len(value) < SHORTEST_KEY:
        raise ConfigError(f"write at least {SHORTEST_KEY} characters, of ASCII")
    return value


def _vercel_token(value: str) -> str:
    if not re.fullmatch(r"[!-~]{8,512}", value):
        raise ConfigError("write the token as it is: visible ASCII characters, no spaces")
    return value


def _vercel_team(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", value):
        raise ConfigError("write the id of a team, which begins with team_")
    return value


def _https_url(value: str) -> str:
    parts = urlsplit(value)
    local = parts.hostname is not None and is_loopback(parts.hostname)
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise ConfigError("write an https:// address")
    return value


def _alert_secret(value: str) -> bytes:
    from lastevent.services.webhook import parse_secret

    return parse_secret(value)


def _shopify_shop(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,60}\.myshopify\.com", value.lower()):
        raise ConfigError("write the shop's name as the vendor has it: example.myshopify.com")
    return value.lower()


def _token(value: str) -> str:
    if not re.fullmatch(r"[!-~]{8,512}", value):
        raise ConfigError("write it as it is: visible ASCII characters, no spaces")
    return value


def _image_hosts(value: str) -> tuple[str, ...]:
    hosts = tuple(part.strip().lower() for part in value.split(",") if part.strip())
    for host in hosts:
        if not re.fullmatch(r"(?:\*\.)?[a-z0-9.-]{1,253}(?::[0-9]{1,5})?", host):
            raise ConfigError("write hosts such as cdn.example.com or *.example.com, by commas")
    return hosts


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path:
            raise ConfigError("write origins such as https://app.example.com, joined by commas")
    return origins


def _entries(value: str) -> list[str]:
    return [entry.strip() for entry in value.split(";") if entry.strip()]


def _wakeup_url(value: str) -> str:
    if urlsplit(value).scheme not in ("upstash", "redis", "rediss"):
        raise ConfigError("write the URL of a store that pushes: upstash://, redis:// or rediss://")
    return value


def _patterns(value: str) -> tuple[str, ...]:
    try:
        return tuple(stream_pattern(part.strip()) for part in value.split(","))
    except InvalidName as error:
        raise ConfigError(str(error)) from error


def _api_keys(value: str) -> tuple[ApiKey, ...]:
    keys = []
    for number, entry in enumerate(_entries(value), 1):
        found = re.fullmatch(r"([A-Za-z0-9_-]+):([^\s=;]+)=(.+)", entry)
        if found is None:  # the entry itself is a secret: name its place only
            raise ConfigError(f"entry {number} is not NAME:KEY=PATTERN,PATTERN; join by semicolons")
        if len(found[2]) < SHORTEST_KEY:
            raise ConfigError(f"the key of {found[1]} has under {SHORTEST_KEY} characters")
        keys.append(ApiKey(found[1], found[2], _patterns(found[3])))
    return tuple(keys)


PASSING = (("typing:*", Retention(TYPING_SECONDS, 100)),)
"""What is over in seconds is kept for seconds, whatever the settings say of all streams."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _retention(value: str) -> RetentionRules:
    rules: list[tuple[str, Retention]] = []
    for entry in _entries(value):
        found = re.fullmatch(r"([^=\s]+)=([0-9]+)([smhd]),([0-9]+)", entry)
        if found is None or not int(found[2]) or not int(found[4]):
            raise ConfigError(
                f"{entry[:60]!r} is not PATTERN=AGE,EVENTS such as build:*=24h,50000 "
                "(s, m, h or d; join entries by semicolons)"
            )
        (pattern,) = _patterns(found[1])
        rules.append((pattern, Retention(int(found[2]) * _UNITS[found[3]], int(found[4]))))
    return RetentionRules((*PASSING, *rules))


def _rate(value: str) -> Rate:
    found = re.fullmatch(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,4})", value)
    if found is None:
        raise ConfigError("write how many in how many seconds, such as 60/60")
    return Rate(int(found[1]), float(found[2]))


def _hosts(value: str) -> tuple[str, ...]:
    hosts = tuple(part.strip().lower() for part in value.split(",") if part.strip())
    for host in hosts:
        if not re.fullmatch(r"(?=.{1,253}\Z)(?:[a-z0-9-]{1,63}\.)+[a-z0-9-]{1,63}", host):
            raise ConfigError("write host names such as cdn.example.com, joined by commas")
    return hosts


def _commands(value: str) -> "Mapping[str, CommandSpec]":
    # Only where previews are configured is the code that runs processes wanted.
    from lastevent.sources.command import parse_commands

    commands: Mapping[str, CommandSpec] = parse_commands(value)
    return commands


_JOBS = {
    "url": ("JOBS_UPSTREAM_URL", "MONITOR_PRICE_APP_HOST"),
    "key": ("JOBS_UPSTREAM_KEY", "PRICE_MONITOR_API_KEY"),
    "mode": ("JOBS_UPSTREAM_MODE",),
    "header": ("JOBS_UPSTREAM_HEADER",),
    "join": ("JOBS_JOIN_MESSAGE",),
    "replays": ("JOBS_UPSTREAM_REPLAYS",),
    "fields": ("JOBS_FIELDS",),
    "types": ("JOBS_TYPES",),
    "poll_seconds": ("JOBS_POLL_SECONDS",),
    "check_url": ("JOBS_CHECK_URL",),
}
"""What is said of the external service of jobs, and the variables that say it."""


def _jobs(environ: Mapping[str, str]) -> "JobUpstream | None":
    """Return the external service of jobs: its settings are checked as a whole."""
    given: dict[str, tuple[str, str]] = {}
    for name, variables in _JOBS.items():
        for variable in variables:
            if text := environ.get(variable, "").strip():
                given[name] = (variable, text)
                break
    if not given:
        return None
    from lastevent.sources.job_upstream import parse_upstream

    return parse_upstream(given)


_NEXTAUTH = ("AUTH_SECRET_3", "AUTH_SECRET_2", "AUTH_SECRET_1", "AUTH_SECRET", "NEXTAUTH_SECRET")
"""Where Auth.js finds its secrets, newest first (https://authjs.dev/reference/core/jwt)."""


def _nextauth_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return all of them: while a site changes its secret, sessions of the old one go on."""
    found: dict[str, None] = {}
    for variable in _NEXTAUTH:
        if text := environ.get(variable, "").strip():
            found[_parsed(_secret, variable, text)] = None
    return tuple(found)


def _parsed(parse: Callable[[str], Any], variable: str, text: str) -> Any:
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(f"{variable}: {error}") from error


def _setting(
    parse: Callable[[str], Any], default: Any, *variables: str, secret: bool = False
) -> Any:
    return field(
        default=default, repr=not secret, metadata={"parse": parse, "variables": variables}
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process is told. Times in seconds, sizes in bytes, unless the name says otherwise."""

    store_url: str = _setting(_text, DEFAULT_STORE_URL, "LASTEVENT_STORE_URL", secret=True)
    wakeup_url: str | None = _setting(_wakeup_url, None, "LASTEVENT_WAKEUP_URL", secret=True)
    retention: RetentionRules = _setting(_retention, RetentionRules(PASSING), "LASTEVENT_RETENTION")
    auth_secret: str | None = _setting(
        _secret, None, "LASTEVENT_AUTH_SECRET", "NEXTAUTH_SECRET", "AUTH_SECRET", secret=True
    )
    jwks_url: str | None = _setting(_https_url, None, "LASTEVENT_JWKS_URL")
    token_audience: str | None = _setting(_text, None, "LASTEVENT_TOKEN_AUDIENCE")
    token_issuer: str | None = _setting(_text, None, "LASTEVENT_TOKEN_ISSUER")
    api_keys: tuple[ApiKey, ...] = _setting(_api_keys, (), "LASTEVENT_API_KEYS", secret=True)
    allowed_origins: tuple[str, ...] = _setting(_origins, (), "LASTEVENT_ALLOWED_ORIGINS")
    policy: str = _setting(_policy, "balanced", "LASTEVENT_POLICY")
    max_leg_seconds: float = _setting(_number(0.5, 86400), 55.0, "LASTEVENT_MAX_LEG_SECONDS")
    max_leg_bytes: int = _setting(_whole(1024, 10**9), 64 * 2**20, "LASTEVENT_MAX_LEG_BYTES")
    idle_leg_seconds: float | None = _setting(_number(1, 86400), None, "LASTEVENT_IDLE_LEG_SECONDS")
    heartbeat_seconds: float = _setting(_number(0.2, 300), 15.0, "LASTEVENT_HEARTBEAT_SECONDS")
    retry_ms: int = _setting(_whole(100, 60_000), 1500, "LASTEVENT_RETRY_MS")
    max_event_bytes: int = _setting(_whole(256, 2**22), 256 * 1024, "LASTEVENT_MAX_EVENT_BYTES")
    max_body_bytes: int = _setting(_whole(1024, 2**26), 4 * 2**20, "LASTEVENT_MAX_BODY_BYTES")
    trailing_comment: bool = _setting(_switch, False, "LASTEVENT_TRAILING_COMMENT")
    preview_commands: "Mapping[str, CommandSpec] | None" = _setting(
        _commands, None, "LASTEVENT_PREVIEW_COMMANDS"
    )
    vercel_token: str | None = _setting(_vercel_token, None, "VERCEL_TOKEN", secret=True)
    vercel_team_id: str | None = _setting(_vercel_team, None, "VERCEL_TEAM_ID")
    vercel_api_url: str = _setting(_https_url, "https://api.vercel.com", "VERCEL_API_URL")
    deployment_log_seconds: float = _setting(
        _number(60, 7 * 86400), 3600.0, "LASTEVENT_DEPLOYMENT_LOG_SECONDS"
    )
    shopify_shop: str | None = _setting(_shopify_shop, None, "SHOPIFY_SHOP")
    shopify_token: str | None = _setting(_token, None, "SHOPIFY_ACCESS_TOKEN", secret=True)
    shopify_api_url: str | None = _setting(_https_url, None, "SHOPIFY_API_URL")
    image_hosts: tuple[str, ...] = _setting(_image_hosts, (), "LASTEVENT_IMAGE_HOSTS")
    model_url: str | None = _setting(_https_url, None, "LASTEVENT_MODEL_URL")
    model_key: str | None = _setting(_token, None, "LASTEVENT_MODEL_KEY", secret=True)
    model_name: str | None = _setting(_text, None, "LASTEVENT_MODEL_NAME")
    cron_secret: str | None = _setting(_cron_secret, None, "CRON_SECRET", secret=True)
    sweep_seconds: float = _setting(_number(0, 86400), 60.0, "LASTEVENT_SWEEP_SECONDS")
    lease_seconds: float = _setting(_number(1, 300), 10.0, "LASTEVENT_LEASE_SECONDS")
    pump_lease_seconds: float = _setting(_number(0.3, 60), 1.0, "LASTEVENT_PUMP_LEASE_SECONDS")
    message_length: int = _setting(_whole(1, 10_000), 4000, "LASTEVENT_MESSAGE_LENGTH")
    message_rate: Rate = _setting(_rate, Rate(60, 60.0), "LASTEVENT_MESSAGE_RATE")
    message_attachment_hosts: tuple[str, ...] = _setting(
        _hosts, (), "LASTEVENT_MESSAGE_ATTACHMENT_HOSTS"
    )
    alert_url: str | None = _setting(_https_url, None, "LASTEVENT_ALERT_URL", secret=True)
    alert_secret: bytes | None = _setting(
        _alert_secret, None, "LASTEVENT_ALERT_SECRET", secret=True
    )
    alert_reconnects: int = _setting(_whole(0, 10**9), 100, "LASTEVENT_ALERT_RECONNECTS")
    data_dir: Path = _setting(Path, Path(".lastevent"), "LASTEVENT_DATA_DIR")
    nextauth_secrets: tuple[str, ...] = field(default=(), repr=False)
    """What the session cookies of a site with NextAuth are read with."""
    jobs: "JobUpstream | None" = field(default=None, repr=False)
    """The external service whose jobs are followed."""
    development: bool = False
    """Nobody needs a token. Set by from_env alone, for a server that binds to loopback itself."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str], bind_host: str | None = None) -> "Settings":
        """Read the settings of ``environ``; raise ConfigError for a value that cannot be right.

        ``bind_host`` is the address that this very process will bind to, None where somebody else
        binds. Without a secret, only a loopback address off every platform is accepted, and then
        for development (RULES 23): what a peer's address looks like says nothing, since a proxy or
        a launcher makes everyone look local.
        """
        values: dict[str, Any] = {}
        for item in fields(cls):
            for variable in item.metadata.get("variables", ()):
                text = environ.get(variable, "").strip()
                if text:
                    values[item.name] = _parsed(item.metadata["parse"], variable, text)
                    break
        if "store_url" not in values and _has_upstash(environ):
            values["store_url"] = "upstash://"
        if _platform(environ) is not None:
            values["sweep_seconds"] = 0.0  # it has schedules, and may freeze a process that waits
        _refuse_local_stores(environ, values.get("store_url", DEFAULT_STORE_URL))
        if values.get("alert_url") and not values.get("alert_secret"):
            raise ConfigError("LASTEVENT_ALERT_URL: set LASTEVENT_ALERT_SECRET too, to sign with")
        sessions = values["nextauth_secrets"] = _nextauth_secrets(environ)
        if not values.get("auth_secret") and not values.get("jwks_url") and not sessions:
            _refuse_unless_development(environ, bind_host)
            values["development"] = True
        _refuse_halves(values)
        return cls(**values, jobs=_jobs(environ))


_BELONG_TOGETHER = (
    (("shopify_shop", "SHOPIFY_SHOP"), ("shopify_token", "SHOPIFY_ACCESS_TOKEN")),
    (("model_url", "LASTEVENT_MODEL_URL"), ("model_name", "LASTEVENT_MODEL_NAME")),
)


def _refuse_halves(values: Mapping[str, Any]) -> None:
    """A setting that means nothing without another is a mistake that would show much later."""
    for pair in _BELONG_TOGETHER:
        given = [variable for name, variable in pair if name in values]
        missing = [variable for name, variable in pair if name not in values]
        if given and missing:
            raise ConfigError(f"{given[0]}: {missing[0]} is missing beside it")


def _refuse_local_stores(environ: Mapping[str, str], store_url: str) -> None:
    """Where many instances run, each would have a store of its own (RULES 12)."""
    scheme = store_url.partition(":")[0]
    platform = _platform(environ)
    if platform is not None and scheme in ("sqlite", "memory"):
        raise ConfigError(
            f"LASTEVENT_STORE_URL: {platform} is set, and there every instance would have its own "
            f"{scheme} store: write the URL of a shared one"
        )


def _has_upstash(environ: Mapping[str, str]) -> bool:
    return any(all(environ.get(name) for name in pair) for pair in UPSTASH_VARIABLES)


def _platform(environ: Mapping[str, str]) -> str | None:
    return next((name for name in PLATFORM_VARIABLES if environ.get(name)), None)


def _refuse_unless_development(environ: Mapping[str, str], bind_host: str | None) -> None:
    wanted = "set LASTEVENT_AUTH_SECRET to at least 32 characters (openssl rand -hex 32)"
    platform = _platform(environ)
    if platform is not None:
        raise ConfigError(f"{platform} is set, so this is not a development machine: {wanted}")
    if bind_host is None:
        raise ConfigError(f"{wanted}, or develop with: lastevent serve --host 127.0.0.1")
    if not is_loopback(bind_host):
        raise ConfigError(
            f"without a secret the server binds to 127.0.0.1 only, not to {bind_host}: {wanted}"
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own loopback."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
