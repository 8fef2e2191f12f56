"""The start and the end of an application, as the streaming runtime asks for them."""

import pytest
from starlette.types import Receive, Scope, Send

from lastevent.adapters.lambda_stream.lifespan import Lifespan
from lastevent.core.errors import ConfigError


async def test_an_application_is_started_and_ended() -> None:
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        for _ in range(2):
            heard.append((await receive())["type"])
            await send({"type": f"{heard[-1]}.complete"})

    lifespan = Lifespan(app)
    await lifespan.startup()
    assert heard == ["lifespan.startup"]
    await lifespan.shutdown()
    assert heard == ["lifespan.startup", "lifespan.shutdown"]


async def test_a_start_that_fails_says_why() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "write a secret"})

    with pytest.raises(ConfigError, match="write a secret"):
        await Lifespan(app).startup()


async def test_a_start_that_raises_raises() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await Lifespan(app).startup()


async def test_an_application_that_just_returns_has_not_started() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    with pytest.raises(ConfigError, match="without a word"):
        await Lifespan(app).startup()
