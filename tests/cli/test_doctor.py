"""Doctor finds what is wrong, says what to do, and shows no secret."""

import subprocess
from collections.abc import AsyncIterator, Sequence
from email.utils import formatdate

import pytest

from lastevent.cli.doctor import Finding, _round_trip, _skew
from lastevent.core.cursor import Cursor
from lastevent.core.errors import LastEventError
from lastevent.core.event import NewEvent
from lastevent.core.extent import Extent
from lastevent.stores.base import Appended, EventLog, Page, Store
from lastevent.stores.url import open_store
from tests.cli.command import Invoke, Server

SECRET = "a secret of more than thirty-two characters"
KEY = "ci:another-secret-key=build:*"


def findings(ended: subprocess.CompletedProcess[str]) -> list[Finding]:
    assert ended.stderr == ""
    lines = ended.stdout.splitlines()
    return [Finding(line[:4].strip(), line[6:14].strip(), line[16:]) for line in lines]


def levels(ended: subprocess.CompletedProcess[str], subject: str) -> list[str]:
    return [finding.level for finding in findings(ended) if finding.subject == subject]


def test_all_is_well(server: Server, invoke: Invoke) -> None:
    ended = invoke(
        "doctor", "--url", server.url,
        LASTEVENT_AUTH_SECRET=SECRET, LASTEVENT_API_KEYS=KEY,
    )  # fmt: skip
    assert ended.returncode == 0
    assert {finding.level for finding in findings(ended)} == {"ok"}
    assert {finding.subject for finding in findings(ended)} == {
        "python", "settings", "secret", "store", "server", "clock",
    }  # fmt: skip
    assert SECRET not in ended.stdout
    assert "another-secret-key" not in ended.stdout


class Recorded:
    """A log that remembers which streams were written, and may be broken."""

    def __init__(self, log: EventLog, *, forgets_keys: bool = False, loses: bool = False) -> None:
        self.streams: set[str] = set()
        self._log = log
        self._forgets_keys = forgets_keys
        self._loses = loses

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        key: str | None = None,
        expect: Cursor | None = None,
        fence: int | None = None,
        close: bool = False,
        bookmark: str | None = None,
    ) -> Appended:
        self.streams.add(stream)
        if self._forgets_keys:
            return await self._log.append(stream, events)
        return await self._log.append(stream, events, key=key, close=close)

    async def read(self, stream: str, after: Cursor | None, limit: int = 500) -> Page:
        page = await self._log.read(stream, after, limit)
        return page._replace(events=()) if self._loses else page

    async def describe(self, stream: str) -> Extent:
        return await self._log.describe(stream)

    async def delete(self, stream: str) -> bool:
        return await self._log.delete(stream)


class TestRoundTrip:
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = open_store("memory://")
        yield store
        await store.close()

    async def test_it_leaves_no_stream_behind(self, store: Store) -> None:
        log = Recorded(store.log)
        await _round_trip(store._replace(log=log), store)
        (stream,) = log.streams
        assert not (await store.log.describe(stream)).exists

    async def test_a_store_that_appends_twice(self, store: Store) -> None:
        log = Recorded(store.log, forgets_keys=True)
        with pytest.raises(LastEventError, match="do not use"):
            await _round_trip(store._replace(log=log), store)
        (stream,) = log.streams
        assert not (await store.log.describe(stream)).exists

    async def test_a_store_that_others_do_not_see(self, store: Store) -> None:
        blind = store._replace(log=Recorded(store.log, loses=True))
        with pytest.raises(LastEventError, match="did not come back"):
            await _round_trip(store, blind)


def test_development_is_worth_a_warning(invoke: Invoke) -> None:
    ended = invoke("doctor")
    assert ended.returncode == 0
    assert levels(ended, "secret") == ["warn"]


def test_a_memory_store_is_worth_a_warning(invoke: Invoke) -> None:
    ended = invoke("doctor", "--store", "memory://")
    assert ended.returncode == 0
    assert levels(ended, "store") == ["ok", "warn"]


def test_settings_that_cannot_be(invoke: Invoke) -> None:
    ended = invoke("doctor", LASTEVENT_HEARTBEAT_SECONDS="often")
    assert ended.returncode == 1
    (finding,) = [found for found in findings(ended) if found.level == "FAIL"]
    assert finding.subject == "settings"
    assert finding.text.startswith("LASTEVENT_HEARTBEAT_SECONDS: write a number")


def test_a_secret_that_is_too_short(invoke: Invoke) -> None:
    ended = invoke("doctor", LASTEVENT_AUTH_SECRET="tooshort")
    assert ended.returncode == 1
    assert "tooshort" not in ended.stdout
    assert levels(ended, "settings") == ["FAIL"]


@pytest.mark.parametrize(
    "store", ["tape://drive", "sqlite:////proc/nowhere/x.db", "sqlite:////dev/null"]
)
def test_a_store_that_cannot_be_used(store: str, invoke: Invoke) -> None:
    ended = invoke("doctor", "--store", store)
    assert ended.returncode == 1
    assert levels(ended, "store") == ["FAIL"]


def test_a_store_that_instances_would_not_share(invoke: Invoke) -> None:
    ended = invoke("doctor", VERCEL="1", LASTEVENT_AUTH_SECRET=SECRET)
    assert ended.returncode == 1
    assert levels(ended, "settings") == ["FAIL"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nowhere", "ftp://127.0.0.1"])
def test_a_server_that_is_not_there(url: str, invoke: Invoke) -> None:
    ended = invoke("doctor", "--url", url)
    assert ended.returncode == 1
    assert levels(ended, "server") == ["FAIL"]


def test_a_server_of_somebody_else(server: Server, invoke: Invoke) -> None:
    ended = invoke("doctor", "--url", f"{server.url}/api/streams")
    assert ended.returncode == 1
    assert levels(ended, "server") == ["FAIL"]


@pytest.mark.parametrize(
    ("seconds", "level"),
    [(0, "ok"), (5, "ok"), (-5, "ok"), (7, "warn"), (-7, "warn"), (90, "FAIL"), (-90, "FAIL")],
)
def test_clocks_that_differ(seconds: float, level: str) -> None:
    assert _skew(formatdate(1_700_000_000 + seconds, usegmt=True), 1_700_000_000.5).level == level


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_server_without_a_clock(date: str | None) -> None:
    assert _skew(date, 1_700_000_000).level == "warn"
