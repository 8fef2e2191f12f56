"""Where a store's URL and the environment lead."""

import pytest

from lastevent.core.errors import ConfigError
from lastevent.stores.upstash.address import Address, address

TOKEN = "hush-hush"
HOST = "eu1-nice-cat-1.upstash.io"
OWN = {"UPSTASH_REDIS_REST_URL": f"https://{HOST}", "UPSTASH_REDIS_REST_TOKEN": TOKEN}
VERCELS = {"KV_REST_API_URL": "https://kv.upstash.io/", "KV_REST_API_TOKEN": TOKEN}


@pytest.mark.parametrize(
    ("url", "environ", "wanted"),
    [
        ("upstash://", OWN, Address(f"https://{HOST}", TOKEN)),
        ("upstash://", VERCELS, Address("https://kv.upstash.io", TOKEN)),
        ("upstash://", VERCELS | OWN, Address(f"https://{HOST}", TOKEN)),
        ("upstash://?prefix=app:", OWN, Address(f"https://{HOST}", TOKEN, "app:")),
        ("upstash://db.example", OWN, Address("https://db.example", TOKEN)),
        ("upstash://db.example:8443/", VERCELS, Address("https://db.example:8443", TOKEN)),
        ("upstash://:a%2Fb%3D@db.example", {}, Address("https://db.example", "a/b=")),
        ("upstash://:other@db.example", OWN, Address("https://db.example", "other")),
        ("upstash://:t@127.0.0.1:80?prefix=x", {}, Address("http://127.0.0.1:80", "t", "x")),
        ("upstash://:t@localhost:80", {}, Address("http://localhost:80", "t")),
        ("upstash://:t@[::1]:80", {}, Address("http://[::1]:80", "t")),
        (
            "upstash://",
            OWN | {"UPSTASH_REDIS_REST_URL": "http://127.0.0.1:8079"},
            Address("http://127.0.0.1:8079", TOKEN),
        ),
    ],
)
def test_a_database_is_found(url: str, environ: dict[str, str], wanted: Address) -> None:
    assert address(url, environ) == wanted


@pytest.mark.parametrize(
    ("url", "environ", "says"),
    [
        ("upstash://", {}, "UPSTASH_REDIS_REST_URL"),
        ("upstash://", {"UPSTASH_REDIS_REST_URL": f"https://{HOST}"}, "UPSTASH_REDIS_REST_TOKEN"),
        ("upstash://db.example", {}, "token is missing"),
        (f"upstash://{TOKEN}@db.example", {}, "upstash://:TOKEN@HOST"),
        (f"upstash://:{TOKEN}@db.example/0", {}, "upstash://:TOKEN@HOST"),
        (f"upstash://:{TOKEN}@db.example#x", {}, "upstash://:TOKEN@HOST"),
        (f"upstash://:{TOKEN}@db.example:x", {}, "upstash://:TOKEN@HOST"),
        (f"upstash://:{TOKEN}%0A@db.example", {}, "damaged"),
        ("upstash://?tls=no", OWN, "prefix, not tls"),
        ("upstash://?prefix={x}", OWN, "prefix has at most"),
        ("upstash://?prefix", OWN, "write upstash://"),
        ("upstash://", OWN | {"UPSTASH_REDIS_REST_URL": "http://db.example"}, "https://HOST"),
        ("upstash://", OWN | {"UPSTASH_REDIS_REST_URL": "rediss://db.example"}, "https://HOST"),
        ("upstash://", OWN | {"UPSTASH_REDIS_REST_URL": "db.example"}, "https://HOST"),
        ("upstash://", OWN | {"UPSTASH_REDIS_REST_URL": f"https://x:{TOKEN}@h"}, "https://HOST"),
    ],
)
def test_what_leads_nowhere_says_what_to_write(
    url: str, environ: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        address(url, environ)
    assert says in str(refusal.value)
    assert TOKEN not in str(refusal.value)


def test_no_token_is_shown() -> None:
    assert TOKEN not in repr(address("upstash://", OWN))
