"""A webhook's signature and secret, as receivers' own libraries understand them."""

import pytest

from lastevent.core.errors import ConfigError, UpstreamLost, UpstreamRefused
from lastevent.services import webhook
from lastevent.services.webhook import Webhook, parse_secret, signature
from tests.services.receiver import KEY, receiving

PUBLISHED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""The example of https://docs.svix.com/receiving/verifying-payloads/how-manual."""


def test_the_published_example() -> None:
    signed = signature(
        parse_secret(PUBLISHED),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "text",
    [
        "hush-hush, this is no secret of that form",
        PUBLISHED.removeprefix("whsec_"),
        "whsec_aHVzaA==",
        "whsec_" + "aHVz" * 22,
        "whsec_hush!" + "aHVz" * 8,
        "whsec_hüsh" + "aHVz" * 8,
    ],
)
def test_a_secret_of_another_form_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_secret(text)
    assert text.removeprefix("whsec_") not in str(caught.value)
    assert "openssl rand" in str(caught.value)


@pytest.mark.parametrize("url", ["https://hook:abc/", "https://xn--/", "https://h\0ok/"])
async def test_an_address_that_is_none_is_one_that_nobody_answers_at(url: str) -> None:
    with pytest.raises(UpstreamLost, match="cannot be reached"):
        await Webhook(url, KEY).post("m1", b"{}")


async def test_an_error_shows_neither_address_nor_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "ANSWER_SECONDS", 0.2)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # not asked
    async with receiving() as receiver:
        it = Webhook(receiver.url, KEY)
        await it.post("m1", b"{}")
        receiver.faults = ["deaf", 503, "redirect", 410]
        for kind in (UpstreamLost, UpstreamLost, UpstreamRefused, UpstreamRefused):
            with pytest.raises(kind) as caught:
                await it.post("m2", b"{}")
            assert receiver.url not in str(caught.value)
    with pytest.raises(UpstreamLost):
        await it.post("m3", b"{}")
    assert [id for id, _ in receiver.taken] == ["m1"]
    assert receiver.url not in repr(it)
