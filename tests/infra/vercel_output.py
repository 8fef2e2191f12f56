"""What Vercel would deploy, built once for all of a run's workers, and what runs on it."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from infra.local.upstash import UpstashServer
from infra.local.vercel import VercelServer
from infra.local.vercel.pool import Options
from infra.vercel.build import build
from lastevent.serve.auth import mint
from tests.serve.running import LegReader

SECRET = "a secret of the tests, and of nothing else"
WAIT_SECONDS = 20.0
"""A safety limit: what takes longer than this has hung."""


def built_output(factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the built output; whichever worker comes first makes it."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    output = shared / "vercel-output"
    with (shared / "vercel-output.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not output.is_dir():
            build(output)
    return output


def with_app(output: Path, directory: Path, source: str) -> Path:
    """Return an output like ``output`` whose function is the module ``source``, without pages."""
    function = output / "functions" / "python.func"
    copy = directory / "output" / "functions" / "python.func"
    (copy / "functions").mkdir(parents=True)
    (copy / "functions" / "app.py").write_text(source)
    (copy / "_vendor").symlink_to(function / "_vendor")
    for name in (".vc-config.json", "vc__handler__python.py"):
        shutil.copy(function / name, copy / name)
    shutil.copy(output / "config.json", directory / "output" / "config.json")
    return directory / "output"


class Deployed:
    """The project on the emulated platform, and a client who may do everything."""

    def __init__(self, server: VercelServer, client: httpx.AsyncClient) -> None:
        self.server = server
        self.client = client

    @classmethod
    @contextlib.asynccontextmanager
    async def on(
        cls,
        output: Path,
        directory: Path,
        store: UpstashServer,
        options: Options = Options(),
        **settings: str,
    ) -> "AsyncIterator[Deployed]":
        """Deploy ``output`` with ``settings`` beside the secret and the store."""
        environment = {**store.environment, "LASTEVENT_AUTH_SECRET": SECRET, **settings}
        async with (
            VercelServer(output, directory, environment, options) as server,
            httpx.AsyncClient(
                base_url=server.url,
                headers=credentials(),
                timeout=WAIT_SECONDS,
                limits=httpx.Limits(max_connections=None),
                trust_env=False,
            ) as client,
        ):
            yield cls(server, client)

    async def publish(self, stream: str, *data: object, close: bool = False) -> list[str]:
        """Append notes; return their ids."""
        body = {"events": [{"type": "note", "data": item} for item in data], "close": close}
        answer = await self.client.post(f"/api/streams/{stream}", json=body)
        assert answer.status_code == 201, answer.text
        return cast(list[str], answer.json()["ids"])

    @contextlib.asynccontextmanager
    async def leg(
        self, stream: str, after: str | None = None, **headers: str
    ) -> AsyncIterator[LegReader]:
        """Open a leg, where ``after`` is the last id that the reader has."""
        cursor = {"Last-Event-ID": after} if after else {}
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.stream(
            "GET",
            f"/api/streams/{stream}",
            headers={"Accept": "text/event-stream", **cursor, **headers},
        ) as answer:
            yield LegReader(answer)


def credentials() -> Mapping[str, Any]:
    """Return the headers of somebody who may do everything."""
    token = mint(SECRET, {"sub": "tester", "read": ["*"], "append": ["*"]}, 3600)
    return {"Authorization": f"Bearer {token}"}
