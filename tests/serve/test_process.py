"""The server as a process: how it starts, refuses to start, logs, and goes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import jwt
import pytest

from lastevent.core.wire import Decoder
from tests.project.tree import ROOT
from tests.serve.running import WAIT_SECONDS

SECRET = "s" * 40


class Process:
    """One server process on a free port."""

    def __init__(self, directory: Path, *arguments: str, **environ: str) -> None:
        self.log = directory / "log.txt"
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "lastevent.cli", "serve", "--port", "0", *arguments],
                cwd=ROOT,
                env=os.environ | {"LASTEVENT_DATA_DIR": str(directory)} | environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def url(self) -> str:
        """Return where it listens, once it does."""
        until = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < until:
            for line in self.said.splitlines():
                if line.startswith("Serving on "):
                    return line.split()[2]
            time.sleep(0.05)
        raise AssertionError(self.said)

    def stop(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(WAIT_SECONDS)


def store(directory: Path) -> dict[str, str]:
    return {"LASTEVENT_STORE_URL": f"sqlite:///{directory}/test.db"}


async def test_sigterm_gives_planned_ends_before_the_process_goes(tmp_path: Path) -> None:
    process = Process(tmp_path, **store(tmp_path))
    try:
        async with httpx.AsyncClient(base_url=process.url(), timeout=WAIT_SECONDS) as client:
            opened, ended = asyncio.Semaphore(0), []

            async def follow() -> None:
                decoder = Decoder()
                async with client.stream("GET", "/api/streams/s") as leg:
                    async for chunk in leg.aiter_raw():
                        for message in decoder.feed(chunk):
                            if message.type == "stream":
                                said = json.loads(message.data)["state"]
                                if said == "live":
                                    opened.release()
                                ended.append(said)

            readers = [asyncio.create_task(follow()) for _ in range(30)]
            for _ in readers:
                await opened.acquire()
            began = time.monotonic()
            process.popen.send_signal(signal.SIGTERM)
            await asyncio.gather(*readers)
            assert ended.count("rotate") == 30
        await asyncio.to_thread(process.popen.wait, WAIT_SECONDS)
        assert time.monotonic() - began < WAIT_SECONDS / 2
        assert process.popen.returncode in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
        assert "Traceback" not in process.said
    finally:
        process.stop()


def test_tokens_are_not_logged(tmp_path: Path) -> None:
    """RULES 24."""
    process = Process(tmp_path, LASTEVENT_AUTH_SECRET=SECRET, **store(tmp_path))
    try:
        url = process.url()
        claims = {"sub": "u", "exp": time.time() + 60, "read": ["*"]}
        token = jwt.encode(claims, SECRET, "HS256")
        headers = {"Accept": "application/json"}
        answer = httpx.get(f"{url}/api/streams/s?from=now&token={token}", headers=headers)
        assert answer.status_code == 200
        answer = httpx.get(f"{url}/api/streams/s?token=bad{token}&x=1", headers=headers)
        assert answer.status_code == 401
        until = time.monotonic() + WAIT_SECONDS
        while process.said.count("token=[redacted]") < 2 and time.monotonic() < until:
            time.sleep(0.05)
        assert process.said.count("token=[redacted]") == 2, "requests are logged, tokens are not"
        assert token not in process.said
        assert SECRET not in process.said
    finally:
        process.stop()


@pytest.mark.parametrize(
    ("arguments", "environ", "sentence"),
    [
        (["--host", "0.0.0.0"], {}, "LASTEVENT_AUTH_SECRET"),
        ([], {"VERCEL": "1", "LASTEVENT_STORE_URL": "memory://"}, "LASTEVENT_STORE_URL"),
        ([], {"LASTEVENT_MAX_LEG_SECONDS": "soon"}, "LASTEVENT_MAX_LEG_SECONDS: write a number"),
        ([], {"LASTEVENT_STORE_URL": "mongodb://x"}, "sqlite://"),
    ],
)
def test_what_cannot_start_says_why(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], sentence: str
) -> None:
    process = Process(tmp_path, *arguments, **environ)
    try:
        assert process.popen.wait(WAIT_SECONDS) != 0
        assert sentence in process.said
        assert "Traceback" not in process.said
    finally:
        process.stop()


def test_without_its_store_it_starts_and_says_so(tmp_path: Path) -> None:
    """A store may come back; clients are told meanwhile (RULES 18)."""
    process = Process(tmp_path, LASTEVENT_STORE_URL="sqlite:////proc/nowhere/x.db")
    try:
        url = process.url()
        assert httpx.get(f"{url}/api/health").status_code == 503
        assert "starting without the store" in process.said
        assert "Traceback" not in process.said
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(WAIT_SECONDS) in (0, -signal.SIGTERM)
    finally:
        process.stop()


def test_another_launcher_cannot_start_it_without_a_secret(tmp_path: Path) -> None:
    """RULES 23: only a server that binds itself knows where it binds."""
    answer = subprocess.run(
        [sys.executable, "-m", "uvicorn", "functions.app:app", "--port", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert answer.returncode != 0
    assert "LASTEVENT_AUTH_SECRET" in answer.stderr
