"""`make run` on each store: it starts what it needs, works, and leaves nothing running."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from infra.local.child import HOST, answers, free_port
from tests.project.tree import ROOT

RUN = ROOT / "infra" / "local" / "run.py"
START_SECONDS = 120.0
STOP_SECONDS = 30.0
WAIT_SECONDS = 30.0
NOTE = {"type": "note", "data": {"n": 1}}


@contextmanager
def running(store: str, data: Path, log: Path, platform: str = "uvicorn") -> Iterator[str]:
    """Start it as `make run` does; yield the server's URL once it has said its welcome."""
    port = free_port()
    # What may be set for an account of the user's must not be used.
    account = {"UPSTASH_REDIS_REST_URL": "https://example.invalid", "AWS_PROFILE": "absent"}
    with log.open("wb") as output:
        run = subprocess.Popen(
            [
                *(sys.executable, RUN, "--store", store, "--as", platform),
                *("--port", str(port), "--data", data),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **account},
        )
    try:
        until = time.monotonic() + START_SECONDS
        while "Stop it with Ctrl-C" not in log.read_text():
            assert run.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield f"http://{HOST}:{port}"
    finally:
        run.send_signal(signal.SIGTERM)
        run.wait(STOP_SECONDS)
    assert not answers(port)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("store", ["sqlite", "upstash", "dynamodb"])
def test_a_store_starts_by_itself(store: str, tmp_path: Path) -> None:
    data, log = tmp_path / "data", tmp_path / "run.log"
    with running(store, data, log) as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/api/health").json()["store"] == store
        published = client.post("/api/streams/hello", json=NOTE)
        assert published.status_code == 201, log.read_text()
    kept = "the log is still there" in log.read_text()
    assert kept == (store != "dynamodb")
    if kept:
        with running(store, data, log) as url:
            page = httpx.get(
                f"{url}/api/streams/hello",
                params={"from": "start"},
                headers={"Accept": "application/json"},
                trust_env=False,
            ).json()
            assert [event["id"] for event in page["events"]] == published.json()["ids"]


@pytest.mark.slow
@pytest.mark.node
@pytest.mark.timeout(240)
@pytest.mark.parametrize("platform", ["vercel", "lambda-stream", "lambda-buffered"])
def test_a_platform_runs_what_is_built_for_it(platform: str, tmp_path: Path) -> None:
    """And shows a log that flows, to whoever has the token that it tells."""
    data, log = tmp_path / "data", tmp_path / "run.log"
    with running("upstash", data, log, platform) as url:
        said = log.read_text()
        assert f"as on {platform}" in said
        found = re.search(r"TOKEN=(\S+)", said)
        stream = re.search(r"api/streams/(log:\d+)", said)
        assert found and stream
        address = f"{url}/api/streams/{stream[1]}"
        assert httpx.get(address, trust_env=False).status_code == 401
        got = httpx.get(
            address,
            params={"wait": 20},
            headers={"Accept": "application/json", "Authorization": f"Bearer {found[1]}"},
            timeout=WAIT_SECONDS,
            trust_env=False,
        ).json()
        assert got["events"][0]["type"] == "started"


def test_functions_on_a_platform_share_no_file(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, RUN, "--store", "sqlite", "--as", "vercel", "--data", tmp_path],
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
    )
    assert run.returncode == 1
    assert "STORE=upstash" in run.stdout
