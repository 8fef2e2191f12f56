"""The settings, read once from the environment: all of them in one table.

Nothing else reads it, except that the remote stores take their credentials where their vendors'
own clients find them, and adapters what their platform says of itself. Each field of Settings
names its variable, how its text is understood and its default. A value that cannot be right stops
the start with a sentence that says what to write. docs/settings.md lists them all, and a test
compares the two.

    variables   what a field of the table is, and how it is read
    texts       how the text of one variable is understood: numbers, switches, addresses, hosts
    stores      where streams live, and how long
    access      who may come in: keys, NextAuth's secrets, and a server without any secret
    sources     previews' commands, and the external service of jobs
    place       where the process runs: on a platform, on loopback
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lastevent.serve.settings import access, sources, stores, texts
from lastevent.serve.settings.access import ApiKey
from lastevent.serve.settings.place import is_loopback, platform
from lastevent.serve.settings.stores import PASSING
from lastevent.serve.settings.texts import number, whole
from lastevent.serve.settings.variables import given, setting, several
from lastevent.services.rates import Rate
from lastevent.stores.base import RetentionRules

if TYPE_CHECKING:
    from lastevent.sources.command import CommandSpec
    from lastevent.sources.job_upstream import JobUpstream

__all__ = ["PASSING", "ApiKey", "Settings", "is_loopback"]


@dataclass(frozen=True, slots=True, eq=False)  # a comparison of all would take a ms to make
class Settings:
    """What a process is told. Times in seconds, sizes in bytes, unless the name says otherwise."""

    # Where streams live, and how long
    store_url: str = setting(texts.text, stores.DEFAULT_URL, "LASTEVENT_STORE_URL", secret=True)
    wakeup_url: str | None = setting(stores.wakeup_url, None, "LASTEVENT_WAKEUP_URL", secret=True)
    retention: RetentionRules = setting(
        stores.retention, RetentionRules(PASSING), "LASTEVENT_RETENTION"
    )
    data_dir: Path = setting(Path, Path(".lastevent"), "LASTEVENT_DATA_DIR")

    # Who may come in
    auth_secret: str | None = setting(
        texts.secret,
        None,
        *("LASTEVENT_AUTH_SECRET", "NEXTAUTH_SECRET", "AUTH_SECRET"),
        secret=True,
    )
    nextauth_secrets: tuple[str, ...] = several(access.nextauth_secrets, ())
    """What the session cookies of a site with NextAuth are read with."""
    jwks_url: str | None = setting(texts.https_url, None, "LASTEVENT_JWKS_URL")
    token_audience: str | None = setting(texts.text, None, "LASTEVENT_TOKEN_AUDIENCE")
    token_issuer: str | None = setting(texts.text, None, "LASTEVENT_TOKEN_ISSUER")
    api_keys: tuple[ApiKey, ...] = setting(access.api_keys, (), "LASTEVENT_API_KEYS", secret=True)
    allowed_origins: tuple[str, ...] = setting(texts.origins, (), "LASTEVENT_ALLOWED_ORIGINS")
    development: bool = False
    """Nobody needs a token. Set by from_env alone, for a server that binds to loopback itself."""

    # Legs, and what is published
    policy: str = setting(texts.policy, "balanced", "LASTEVENT_POLICY")
    max_leg_seconds: float = setting(number(0.5, 86400), 55.0, "LASTEVENT_MAX_LEG_SECONDS")
    max_leg_bytes: int = setting(whole(1024, 10**9), 64 * 2**20, "LASTEVENT_MAX_LEG_BYTES")
    idle_leg_seconds: float | None = setting(number(1, 86400), None, "LASTEVENT_IDLE_LEG_SECONDS")
    heartbeat_seconds: float = setting(number(0.2, 300), 15.0, "LASTEVENT_HEARTBEAT_SECONDS")
    retry_ms: int = setting(whole(100, 60_000), 1500, "LASTEVENT_RETRY_MS")
    max_event_bytes: int = setting(whole(256, 2**22), 256 * 1024, "LASTEVENT_MAX_EVENT_BYTES")
    max_body_bytes: int = setting(whole(1024, 2**26), 4 * 2**20, "LASTEVENT_MAX_BODY_BYTES")
    trailing_comment: bool = setting(texts.switch, False, "LASTEVENT_TRAILING_COMMENT")

    # Live sources: previews, deployments, jobs; and what is done on a schedule
    preview_commands: "Mapping[str, CommandSpec] | None" = setting(
        sources.commands, None, "LASTEVENT_PREVIEW_COMMANDS"
    )
    vercel_token: str | None = setting(texts.token, None, "VERCEL_TOKEN", secret=True)
    vercel_team_id: str | None = setting(texts.vercel_team, None, "VERCEL_TEAM_ID")
    vercel_api_url: str = setting(texts.https_url, "https://api.vercel.com", "VERCEL_API_URL")
    deployment_log_seconds: float = setting(
        number(60, 7 * 86400), 3600.0, "LASTEVENT_DEPLOYMENT_LOG_SECONDS"
    )
    jobs: "JobUpstream | None" = several(sources.jobs, None)
    """The external service whose jobs are followed."""
    lease_seconds: float = setting(number(1, 300), 10.0, "LASTEVENT_LEASE_SECONDS")
    pump_lease_seconds: float = setting(number(0.3, 60), 1.0, "LASTEVENT_PUMP_LEASE_SECONDS")
    cron_secret: str | None = setting(texts.key, None, "CRON_SECRET", secret=True)
    sweep_seconds: float = setting(number(0, 86400), 60.0, "LASTEVENT_SWEEP_SECONDS")

    # Messaging
    message_length: int = setting(whole(1, 10_000), 4000, "LASTEVENT_MESSAGE_LENGTH")
    message_rate: Rate = setting(texts.rate, Rate(60, 60.0), "LASTEVENT_MESSAGE_RATE")
    message_attachment_hosts: tuple[str, ...] = setting(
        texts.hosts, (), "LASTEVENT_MESSAGE_ATTACHMENT_HOSTS"
    )

    # Purchase orders
    shopify_shop: str | None = setting(
        texts.shopify_shop, None, "SHOPIFY_SHOP", beside="SHOPIFY_ACCESS_TOKEN"
    )
    shopify_token: str | None = setting(
        texts.token, None, "SHOPIFY_ACCESS_TOKEN", secret=True, beside="SHOPIFY_SHOP"
    )
    shopify_api_url: str | None = setting(texts.https_url, None, "SHOPIFY_API_URL")
    image_hosts: tuple[str, ...] = setting(texts.image_hosts, (), "LASTEVENT_IMAGE_HOSTS")
    model_url: str | None = setting(
        texts.https_url, None, "LASTEVENT_MODEL_URL", beside="LASTEVENT_MODEL_NAME"
    )
    model_key: str | None = setting(texts.token, None, "LASTEVENT_MODEL_KEY", secret=True)
    model_name: str | None = setting(
        texts.text, None, "LASTEVENT_MODEL_NAME", beside="LASTEVENT_MODEL_URL"
    )

    # Metrics, and alerts
    metrics: bool = setting(texts.on_or_off, True, "LASTEVENT_METRICS")
    lambda_function: str | None = setting(texts.text, None, "AWS_LAMBDA_FUNCTION_NAME")
    """What Lambda calls this function: there, metrics are written to the log too."""
    alert_url: str | None = setting(
        texts.https_url, None, "LASTEVENT_ALERT_URL", secret=True, beside="LASTEVENT_ALERT_SECRET"
    )
    alert_secret: bytes | None = setting(
        texts.webhook_secret, None, "LASTEVENT_ALERT_SECRET", secret=True
    )
    alert_reconnects: int = setting(whole(0, 10**9), 100, "LASTEVENT_ALERT_RECONNECTS")

    @classmethod
    def from_env(cls, environ: Mapping[str, str], bind_host: str | None = None) -> "Settings":
        """Read the settings of ``environ``; raise ConfigError for a value that cannot be right.

        ``bind_host`` is the address that this very process will bind to, None where somebody else
        binds. Without a secret, only a loopback address off every platform is accepted, and then
        for development (RULES 23): what a peer's address looks like says nothing, since a proxy or
        a launcher makes everyone look local.
        """
        values = given(cls, environ)
        if "store_url" not in values and stores.has_upstash(environ):
            values["store_url"] = "upstash://"
        if name := platform(environ):
            values["sweep_seconds"] = 0.0  # it has schedules, and may freeze a process that waits
            stores.refuse_local(name, values.get("store_url", stores.DEFAULT_URL))
        if not values.keys() & {"auth_secret", "jwks_url", "nextauth_secrets"}:
            access.refuse_unless_development(name, bind_host)
            values["development"] = True
        return cls(**values)
