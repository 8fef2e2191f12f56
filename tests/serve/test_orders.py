"""Purchase orders as the settings have them."""

from typing import Any, cast

import pytest

from lastevent.core.errors import ConfigError
from lastevent.serve.orders import purchase_orders
from lastevent.serve.service import Service
from lastevent.serve.settings import Settings
from lastevent.stores.base import RetentionRules
from lastevent.stores.memory import open_url

SECRETS = {"LASTEVENT_AUTH_SECRET": "s" * 32}
SHOPIFY = {"SHOPIFY_SHOP": "Example.myshopify.com", "SHOPIFY_ACCESS_TOKEN": "shpat_0123456789"}
MODEL = {"LASTEVENT_MODEL_URL": "https://api.example/v1", "LASTEVENT_MODEL_NAME": "small"}


def made(**environ: str) -> Any:
    """Return what is made of these settings."""
    settings = Settings.from_env(SECRETS | environ)
    store = open_url("memory://", RetentionRules(), lambda: 0.0)
    return purchase_orders(Service(settings, store, cast(Any, None)))


async def test_nothing_is_set_up_by_itself() -> None:
    orders = made()
    assert (orders._model, orders._shop) == (None, None)
    await orders.aclose()


async def test_a_shop_and_a_model_are_set_up() -> None:
    orders = made(**SHOPIFY, **MODEL, LASTEVENT_MODEL_KEY="sk-0123456789")
    assert orders._shop.name == "example.myshopify.com"
    url = "https://example.myshopify.com/admin/api/2026-07/graphql.json"
    assert orders._shop._api._url == url
    assert orders._model._url == "https://api.example/v1/chat/completions"
    await orders.aclose()


async def test_the_api_may_be_elsewhere() -> None:
    orders = made(**SHOPIFY, SHOPIFY_API_URL="http://127.0.0.1:9/admin/api/2026-07/")
    assert orders._shop._api._url == "http://127.0.0.1:9/admin/api/2026-07/graphql.json"
    await orders.aclose()


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"SHOPIFY_SHOP": "a.myshopify.com"}, "SHOPIFY_ACCESS_TOKEN"),
        ({"SHOPIFY_ACCESS_TOKEN": "shpat_0123456789"}, "SHOPIFY_SHOP"),
        ({"LASTEVENT_MODEL_NAME": "small"}, "LASTEVENT_MODEL_URL"),
        ({**SHOPIFY, "SHOPIFY_SHOP": "https://a.example"}, "SHOPIFY_SHOP"),
        ({**SHOPIFY, "SHOPIFY_ACCESS_TOKEN": "a token of words"}, "SHOPIFY_ACCESS_TOKEN"),
        ({**SHOPIFY, "SHOPIFY_API_URL": "http://a.example"}, "SHOPIFY_API_URL"),
        ({**MODEL, "LASTEVENT_MODEL_URL": "http://a.example"}, "LASTEVENT_MODEL_URL"),
        ({"LASTEVENT_IMAGE_HOSTS": "https://a.example/"}, "LASTEVENT_IMAGE_HOSTS"),
    ],
)
def test_what_cannot_be_right_stops_the_start(environ: dict[str, str], variable: str) -> None:
    with pytest.raises(ConfigError, match=variable) as caught:
        Settings.from_env(SECRETS | environ)
    assert "a token of words" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    settings = Settings.from_env(SECRETS | SHOPIFY | MODEL | {"LASTEVENT_MODEL_KEY": "sk-01234567"})
    assert settings.image_hosts == ()
    assert "shpat_" not in repr(settings)
    assert "sk-01234567" not in repr(settings)
