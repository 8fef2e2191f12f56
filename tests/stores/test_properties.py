"""Any sequence of calls on a log does what it does to a plain list."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from lastevent.core.cursor import Cursor
from lastevent.core.errors import Conflict, KeyReused, StreamClosed
from lastevent.core.event import NewEvent
from tests.stores.harness import BACKENDS, KEPT_EVENTS, KEPT_SECONDS, Harness

STREAM = st.sampled_from(["s", "few:s", "short:s"])
EVENTS = st.lists(
    st.builds(NewEvent, st.sampled_from(["note", "message"]), st.text(max_size=3), st.just({})),
    max_size=6,
)


@dataclass
class Life:
    """One generation of a stream: every event it ever had, with the time that it came."""

    events: list[tuple[float, str, str]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    closed: bool = False
    bookmark: str | None = None
    keys: dict[str, tuple[list[NewEvent], bool, tuple[str, ...]]] = field(default_factory=dict)

    def floor(self, stream: str, now: float) -> int:
        """How many of the oldest events are gone."""
        count = len(self.events)
        if stream.startswith("few:"):
            return max(0, count - KEPT_EVENTS)
        if stream.startswith("short:"):
            return sum(time < now - KEPT_SECONDS for time, _, _ in self.events)
        return 0


@dataclass
class Known:
    """A cursor that a client may have: of a life, after so many of its events."""

    cursor: Cursor
    life: Life
    count: int


class Model(RuleBasedStateMachine):
    """Drives a store and the lists; they must agree."""

    harness_type: type[Harness]

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._runner = asyncio.Runner()
        self.harness = self.harness_type(Path(self._directory.name))
        self.store = self._runner.run(self.harness.open())
        self.log = self.store.log
        self.lives: dict[str, Life] = {}
        self.known: dict[str, list[Known]] = {"s": [], "few:s": [], "short:s": []}

    def teardown(self) -> None:
        self._runner.run(self.harness.close())
        self._runner.close()
        self._directory.cleanup()

    @rule(
        stream=STREAM,
        events=EVENTS,
        close=st.sampled_from([False] * 9 + [True]),
        key=st.sampled_from([None, None, "k", "l"]),
        expected=st.sampled_from([None, None, "end", "elsewhere"]),
        bookmark=st.none() | st.text(max_size=3),
    )
    def append(
        self,
        stream: str,
        events: list[NewEvent],
        close: bool,
        key: str | None,
        expected: str | None,
        bookmark: str | None,
    ) -> None:
        life = self.lives.get(stream) or Life()
        expect = None
        if expected is not None:
            expect = self._runner.run(self.log.describe(stream)).head
            if expected == "elsewhere":
                expect = Cursor(expect.generation + 1, 0)
        call = self.log.append(
            stream, events, key=key, expect=expect, close=close, bookmark=bookmark
        )

        first = life.keys.get(key) if key else None
        if first is not None:
            if first[:2] != (events, close):
                self._refused(call, KeyReused)
            else:
                again = self._runner.run(call)
                assert (again.ids, again.repeated) == (first[2], True)
        elif life.closed and events:
            self._refused(call, StreamClosed)
        elif expected == "elsewhere":
            self._refused(call, Conflict)
        else:
            answer = self._runner.run(call)
            now = self.harness.clock()
            self.lives[stream] = life
            life.events += [(now, event.type, event.data) for event in events]
            life.ids += answer.ids
            life.closed = life.closed or close
            life.bookmark = life.bookmark if bookmark is None else bookmark
            assert (len(answer.ids), answer.closed) == (len(events), life.closed)
            count = len(life.events) - len(events)
            for position, id in enumerate(answer.ids, count + 1):
                self.known[stream].append(Known(Cursor.parse(id), life, position))
            if key:
                life.keys[key] = events, close, answer.ids

    def _refused(self, call: object, error: type[Exception]) -> None:
        with pytest.raises(error) as refusal:
            self._runner.run(call)  # type: ignore[arg-type]
        assert type(refusal.value) is error

    @rule(stream=STREAM)
    def delete(self, stream: str) -> None:
        existed = self._runner.run(self.log.delete(stream))
        assert existed == (self.lives.pop(stream, None) is not None)

    @rule(stream=STREAM)
    def describe(self, stream: str) -> None:
        life = self.lives.get(stream)
        extent = self._runner.run(self.log.describe(stream))
        known = (extent.exists, extent.closed, extent.bookmark)
        assert known == ((True, life.closed, life.bookmark) if life else (False, False, None))

    @rule(seconds=st.sampled_from([1.0, 20.0, KEPT_SECONDS + 1]))
    def advance(self, seconds: float) -> None:
        self.harness.advance(seconds)

    @rule(stream=STREAM)
    def create(self, stream: str) -> None:
        """Make a stream for whose creation a reader waits."""
        if stream not in self.lives:
            extent = self._runner.run(self.log.describe(stream))
            life = self.lives[stream] = Life()
            answer = self._runner.run(self.log.append(stream, []))
            assert (answer.ids, answer.closed) == ((), False)
            self.known[stream].append(Known(extent.head, life, 0))

    @rule(stream=STREAM, pick=st.integers(0, 1000), limit=st.sampled_from([1, 3, 1000]))
    def resume(self, stream: str, pick: int, limit: int) -> None:
        """Read from a cursor that was once given out to the log's end."""
        known = self.known[stream]
        if not known:
            return
        it = known[pick % len(known)]
        life = self.lives.get(stream, Life())
        floor = life.floor(stream, self.harness.clock())
        is_good = it.life is life and it.count >= floor
        self._read(stream, it.cursor, limit, it.count if is_good else floor, not is_good)

    @rule(stream=STREAM, limit=st.sampled_from([1, 3, 1000]))
    def read_all(self, stream: str, limit: int) -> None:
        floor = self.lives.get(stream, Life()).floor(stream, self.harness.clock())
        self._read(stream, None, limit, floor, floor > 0)

    def _read(
        self, stream: str, after: Cursor | None, limit: int, begin: int, truncated: bool
    ) -> None:
        life = self.lives.get(stream, Life())
        read: list[tuple[str, str, str]] = []
        while True:
            page = self._runner.run(self.log.read(stream, after, limit))
            assert page.truncated == truncated
            assert len(page.events) <= limit
            assert page.closed == life.closed
            read += [(event.id, event.type, event.data) for event in page.events]
            after, truncated = page.cursor, False
            if page.at_end:
                break
        wanted = zip(life.ids, life.events, strict=True)
        assert read == [(id, type, data) for id, (_, type, data) in list(wanted)[begin:]]


@pytest.mark.parametrize("harness_type", BACKENDS)
def test_a_log_is_a_list(harness_type: type[Harness]) -> None:
    machine = type("Model", (Model,), {"harness_type": harness_type})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
