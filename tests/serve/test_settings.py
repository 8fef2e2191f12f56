"""Settings: what they understand, what they refuse and how, and who may start without a secret."""

import pytest

from lastevent.core.errors import ConfigError
from lastevent.serve.settings import Settings, is_loopback
from lastevent.stores.base import Retention

SECRET = {"LASTEVENT_AUTH_SECRET": "s" * 32}


def read(**environ: str) -> Settings:
    return Settings.from_env(SECRET | environ)


def test_defaults() -> None:
    settings = Settings.from_env(SECRET)
    assert settings.store_url == "sqlite:///.lastevent/lastevent.db"
    assert (settings.max_leg_seconds, settings.heartbeat_seconds) == (55.0, 15.0)
    assert not settings.development


def test_values() -> None:
    settings = read(
        LASTEVENT_MAX_LEG_SECONDS="20",
        LASTEVENT_RETENTION="build:*=24h,500; *=7d,1000",
        LASTEVENT_API_KEYS="ci:0123456789abcdef=build:*,job:1; other:fedcba9876543210=*",
        LASTEVENT_ALLOWED_ORIGINS="https://a.example, http://localhost:3000/",
        LASTEVENT_JWKS_URL="https://issuer.example/jwks",
    )
    assert settings.max_leg_seconds == 20
    assert settings.retention.of("build:7") == Retention(86400, 500)
    assert settings.retention.of("x") == Retention(7 * 86400, 1000)
    assert [(key.name, key.append) for key in settings.api_keys] == [
        ("ci", ("build:*", "job:1")),
        ("other", ("*",)),
    ]
    assert settings.allowed_origins == ("https://a.example", "http://localhost:3000")


def test_nextauths_secret_is_understood_and_ours_counts_first() -> None:
    assert Settings.from_env({"NEXTAUTH_SECRET": "n" * 32}).auth_secret == "n" * 32
    assert read(NEXTAUTH_SECRET="n" * 32).auth_secret == "s" * 32


def test_a_connected_upstash_database_is_the_store_unless_another_is_named() -> None:
    upstash = {
        "UPSTASH_REDIS_REST_URL": "https://x.upstash.io",
        "UPSTASH_REDIS_REST_TOKEN": "hush-hush",
    }
    vercel = {"KV_REST_API_URL": "https://x.upstash.io", "KV_REST_API_TOKEN": "hush-hush"}
    assert read(**upstash).store_url == "upstash://"
    assert read(**vercel, VERCEL="1").store_url == "upstash://"
    assert read(**upstash, LASTEVENT_STORE_URL="dynamodb://events").store_url == "dynamodb://events"
    assert read(UPSTASH_REDIS_REST_URL="https://x.upstash.io").store_url.startswith("sqlite:")


def test_a_wakeup_comes_from_a_store_that_pushes() -> None:
    assert read().wakeup_url is None
    assert read(LASTEVENT_WAKEUP_URL="rediss://cache:6380").wakeup_url == "rediss://cache:6380"
    secret = read(LASTEVENT_WAKEUP_URL="upstash://:hush-hush@x.upstash.io")
    assert "hush" not in repr(secret)


def test_empty_is_unset() -> None:
    assert read(LASTEVENT_MAX_LEG_SECONDS=" ").max_leg_seconds == 55


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LASTEVENT_AUTH_SECRET", "short"),
        ("LASTEVENT_MAX_LEG_SECONDS", "soon"),
        ("LASTEVENT_MAX_LEG_SECONDS", "nan"),
        ("LASTEVENT_MAX_LEG_SECONDS", "0"),
        ("LASTEVENT_RETRY_MS", "1"),
        ("LASTEVENT_WAKEUP_URL", "sqlite:///x.db"),
        ("LASTEVENT_MAX_EVENT_BYTES", "1e6"),
        ("LASTEVENT_MAX_EVENT_BYTES", "٣٣٣٣"),
        ("LASTEVENT_RETENTION", "build:*"),
        ("LASTEVENT_RETENTION", "build:*=0s,1"),
        ("LASTEVENT_RETENTION", "a b=1h,1"),
        ("LASTEVENT_API_KEYS", "0123456789abcdef"),
        ("LASTEVENT_API_KEYS", "ci:tooshort=*"),
        ("LASTEVENT_API_KEYS", "ci:0123456789abcdef=a b"),
        ("LASTEVENT_ALLOWED_ORIGINS", "*"),
        ("LASTEVENT_ALLOWED_ORIGINS", "https://a.example/path"),
        ("LASTEVENT_JWKS_URL", "http://issuer.example/jwks"),
        ("LASTEVENT_ALERT_URL", "https:///hook"),
        ("LASTEVENT_ALERT_URL", "https://hooks.example:70000/x"),
        ("LASTEVENT_ALERT_URL", "https://[::1/x"),
        ("LASTEVENT_PREVIEW_COMMANDS", "no command"),
    ],
)
def test_a_bad_value_stops_the_start_and_says_what_to_write(variable: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env(SECRET | {variable: value})
    assert str(caught.value).startswith(f"{variable}: ")
    assert len(str(caught.value)) > len(variable) + 10


@pytest.mark.parametrize(
    ("variable", "value", "missing"),
    [
        ("SHOPIFY_SHOP", "example.myshopify.com", "SHOPIFY_ACCESS_TOKEN"),
        ("SHOPIFY_ACCESS_TOKEN", "shpat_0123456789", "SHOPIFY_SHOP"),
        ("LASTEVENT_MODEL_URL", "https://models.example/v1", "LASTEVENT_MODEL_NAME"),
        ("LASTEVENT_MODEL_NAME", "small-model", "LASTEVENT_MODEL_URL"),
        ("LASTEVENT_ALERT_URL", "https://hooks.example/x", "LASTEVENT_ALERT_SECRET"),
    ],
)
def test_half_of_what_belongs_together_stops_the_start(
    variable: str, value: str, missing: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{variable}: {missing} is missing") as caught:
        read(**{variable: value, missing: " "})
    assert value not in str(caught.value)


def test_what_a_platform_sets_counts_before_what_is_written() -> None:
    written = {"LASTEVENT_STORE_URL": "upstash://x", "LASTEVENT_SWEEP_SECONDS": "9"}
    assert read(**written).sweep_seconds == 9
    assert read(**written, VERCEL="1").sweep_seconds == 0


def test_all_secrets_of_nextauth_are_read_newest_first() -> None:
    both = {"NEXTAUTH_SECRET": "n" * 32, "AUTH_SECRET_1": "o" * 32, "AUTH_SECRET": "n" * 32}
    settings = Settings.from_env(both)
    assert settings.nextauth_secrets == ("o" * 32, "n" * 32)
    assert "nnnn" not in repr(settings)
    with pytest.raises(ConfigError, match=r"^AUTH_SECRET_1: "):
        Settings.from_env(both | {"AUTH_SECRET_1": "short"})


def test_no_secret_shows() -> None:
    key = "0123456789abcdef"
    settings = read(LASTEVENT_API_KEYS=f"ci:{key}=*", LASTEVENT_STORE_URL="memory://user:pw@x")
    for secret in (SECRET["LASTEVENT_AUTH_SECRET"], key, "pw"):
        assert secret not in repr(settings)
    for bad in (f"{key}=*", f"ci:{key}=a b"):
        with pytest.raises(ConfigError) as caught:
            read(LASTEVENT_API_KEYS=bad)
        assert key not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.0.1"])
def test_without_a_secret_a_server_on_loopback_is_for_development(host: str) -> None:
    assert Settings.from_env({}, bind_host=host).development


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        ({}, None),
        ({}, "0.0.0.0"),
        ({}, "::"),
        ({}, "10.0.0.1"),
        ({}, "localhost.evil.example"),
        ({"VERCEL": "1", "LASTEVENT_STORE_URL": "upstash://x"}, "127.0.0.1"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f", "LASTEVENT_STORE_URL": "upstash://x"}, "127.0.0.1"),
    ],
)
def test_without_a_secret_nothing_else_starts(environ: dict[str, str], host: str | None) -> None:
    """RULES 23."""
    with pytest.raises(ConfigError, match="LASTEVENT_AUTH_SECRET"):
        Settings.from_env(environ, bind_host=host)


def test_a_secret_lifts_development() -> None:
    assert not Settings.from_env(SECRET, bind_host="127.0.0.1").development


@pytest.mark.parametrize("url", ["sqlite:///x.db", "memory://", ""])
def test_local_stores_refuse_to_start_on_platforms(url: str) -> None:
    """RULES 12."""
    with pytest.raises(ConfigError, match="LASTEVENT_STORE_URL"):
        read(VERCEL="1", LASTEVENT_STORE_URL=url)


def test_loopback_names() -> None:
    assert is_loopback("[::1]")
    assert not is_loopback("")
    assert not is_loopback("127.0.0.1.example")
