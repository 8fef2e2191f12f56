"""Stream against a server that cuts, refuses, stalls and ends by a script."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from lastevent.client import Backoff, State, Stream
from lastevent.client.transport import Token
from lastevent.core import errors
from lastevent.core.errors import CursorExpired, InvalidRequest, TooLarge, Transient
from tests.client.scripted import (
    BEAT,
    Scripted,
    Step,
    answer,
    at,
    control,
    dropped,
    event,
    events,
    leg,
    opening,
    refuse,
    rotate,
    silent,
)

QUICK = Backoff(first=0.01, longest=0.05)
THE_END = leg(opening(0), control("end", at(0)))


def reader(
    server: Scripted,
    *,
    token: Token = None,
    start: str | None = "start",
    cursor: str | None = None,
    types: list[str] | None = None,
    heartbeat: float = 15.0,
    attempts: int | None = 5,
    max_event_bytes: int = 100_000,
    on_state: Callable[[State, str], None] | None = None,
    on_reset: Callable[[str, str], Awaitable[None] | None] | None = None,
) -> Stream:
    return Stream(
        server.url,
        token=token,
        start=start,
        cursor=cursor,
        types=types,
        heartbeat=heartbeat,
        attempts=attempts,
        backoff=QUICK,
        max_event_bytes=max_event_bytes,
        on_state=on_state,
        on_reset=on_reset,
    )


async def collect(stream: Stream) -> list[str]:
    return [event.data async for event in stream]


def expected(first: int, last: int) -> list[str]:
    return [f"event {number}" for number in range(first, last + 1)]


class TestRequest:
    async def test_what_is_sent(self) -> None:
        async with Scripted() as server:
            await collect(reader(server, start="last:5", types=["a", "b"], token="secret"))
            (request,) = server.requests
        assert request.path == "/api/streams/build:42"
        assert request.query == {"from": ["last:5"], "types": ["a,b"]}
        assert request.headers["accept"] == "text/event-stream"
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["authorization"] == "Bearer secret"
        assert request.cursor is None

    async def test_a_cursor_goes_on_where_another_stopped(self) -> None:
        async with Scripted(leg(event(8), control("end", at(8)))) as server:
            assert await collect(reader(server, cursor=at(7), start=None)) == ["event 8"]
            assert server.cursors == [at(7)]
            assert server.requests[0].query == {}

    async def test_the_address_keeps_its_own_query(self) -> None:
        async with Scripted() as server:
            await collect(Stream(f"{server.url}?stream=a&stream=b"))
            assert server.requests[0].query == {"stream": ["a", "b"], "from": ["start"]}

    @pytest.mark.parametrize("cursor", ["", "a\nb", "a\0"])
    def test_a_cursor_that_no_header_takes_is_refused(self, cursor: str) -> None:
        with pytest.raises(InvalidRequest):
            Stream("http://127.0.0.1:1/", cursor=cursor)

    async def test_an_id_beyond_ascii_goes_back_in_utf_8(self) -> None:
        script = leg("id: größe\ndata: x\n\n".encode(), rotate(0).split(b"\n", 1)[1])
        async with Scripted(script) as server:
            stream = reader(server)
            await collect(stream)
            assert stream.cursor == "größe"
            assert server.cursors == [None, "größe"]


class TestResume:
    async def test_planned_ends_cuts_and_repetitions_show_nowhere(self) -> None:
        script = [
            leg(opening(0), events(1, 3), rotate(3)),
            leg(opening(3), events(3, 5), end="cut"),
            leg(opening(5), events(4, 6)[:-9], end="cut"),  # in the middle of a frame
            leg(opening(5), event(6), end="whole"),  # ends without a word: also a cut
            leg(opening(6), event(7), control("end", at(7))),
        ]
        async with Scripted(*script) as server:
            stream = reader(server)
            assert await collect(stream) == expected(1, 7)
            assert server.cursors == [None, at(3), at(5), at(5), at(6)]
            assert stream.cursor == at(7)
            assert stream.state is State.ENDED

    async def test_a_byte_at_a_time(self) -> None:
        whole = opening(0) + events(1, 4) + control("end", at(4))
        pieces = [whole[n : n + 1] for n in range(len(whole))]
        async with Scripted(leg(*pieces)) as server:
            assert await collect(reader(server)) == expected(1, 4)

    async def test_cut_before_the_first_byte(self) -> None:
        async with Scripted(dropped(), leg(end="cut"), leg(event(1), rotate(1))) as server:
            assert await collect(reader(server, start="now")) == ["event 1"]
            assert server.cursors == [None, None, None, at(1)]

    async def test_leaving_the_loop_and_going_on(self) -> None:
        script = leg(opening(0), events(1, 9), end="hang")
        async with Scripted(script, leg(events(4, 9), control("end", at(9)))) as server:
            stream = reader(server)
            async for found in stream:
                if found.data == "event 3":
                    break
            assert stream.cursor == at(3)
            await server.quiet()
            assert stream.state is State.DISCONNECTED
            assert await collect(stream) == expected(4, 9)
            assert server.cursors == [None, at(3)]

    async def test_works_as_a_long_poll(self) -> None:
        script = [
            leg(opening(0) + rotate(0)),
            leg(opening(0) + events(1, 2) + rotate(2)),
            leg(opening(2) + rotate(2)),
            leg(opening(2) + event(3) + control("end", at(3))),
        ]
        async with Scripted(*script) as server:
            assert await collect(reader(server, attempts=0)) == expected(1, 3)
            assert len(server.requests) == 4

    async def test_one_connection_serves_legs_that_ended_by_plan(self) -> None:
        script = [leg(opening(0), rotate(0)), leg(opening(0), rotate(0)), silent()]
        async with Scripted(*script) as server, asyncio.timeout(5):
            stream = reader(server)
            waiting = asyncio.create_task(collect(stream))
            while len(server.requests) < 3:
                await asyncio.sleep(0.005)
            assert server.connections == 1
            await stream.aclose()
            assert await waiting == []


class TestPauses:
    async def test_a_planned_pause_is_kept_and_the_client_stays_connected(self) -> None:
        states: list[State] = []
        script = [leg(opening(0), event(1), rotate(1, retry_ms=150)), THE_END]
        async with Scripted(*script) as server:
            stream = reader(server, on_state=lambda state, reason: states.append(state))
            await collect(stream)
            first, second = server.requests
        assert second.time - first.time >= 0.15
        assert states == [State.CONNECTING, State.CONNECTED, State.ENDED]

    async def test_retry_after_is_kept(self) -> None:
        script = [refuse(429, "slowly", Retry_After="1"), THE_END]
        async with Scripted(*script) as server:
            await collect(reader(server))
            first, second = server.requests
        assert second.time - first.time >= 1.0

    async def test_trouble_keeps_the_client_away_and_is_told(self) -> None:
        told: list[tuple[State, str]] = []
        script = [leg(control("error", retry_ms=120)), THE_END]
        async with Scripted(*script) as server:
            stream = reader(server, on_state=lambda state, reason: told.append((state, reason)))
            await collect(stream)
            first, second = server.requests
        assert second.time - first.time >= 0.12
        assert [state for state, _ in told][2] is State.RECONNECTING
        assert "trouble" in told[2][1]

    async def test_silence_beyond_two_beats_is_a_dead_connection(self) -> None:
        script = [leg(opening(0, heartbeat=0.1), BEAT, event(1), end="hang"), THE_END]
        async with Scripted(*script) as server:
            assert await collect(reader(server)) == ["event 1"]
            assert len(server.requests) == 2
            first, second = server.requests
        assert second.time - first.time >= 0.2

    async def test_beats_keep_a_quiet_connection(self) -> None:
        beats = [BEAT] * 4
        script = leg(opening(0, heartbeat=0.5), *beats, control("end", at(0)), pause=0.3)
        async with Scripted(script) as server:
            await collect(reader(server))
            assert len(server.requests) == 1

    async def test_a_whole_answer_is_waited_for_as_long_as_it_is_held(self) -> None:
        held = opening(0, heartbeat=0.1, ends_in=0.5, buffered=True)
        script = [
            leg(held, control("rotate", at(0), retry_ms=0)),
            leg(held, event(1), control("end", at(1)), delay=0.5),
        ]
        async with Scripted(*script) as server:
            assert await collect(reader(server, heartbeat=0.1)) == ["event 1"]
            assert len(server.requests) == 2

    async def test_a_server_that_never_answers(self) -> None:
        async with Scripted(silent(), THE_END) as server:
            assert await collect(reader(server, heartbeat=0.1)) == []
            assert len(server.requests) == 2


class TestGivingUp:
    @pytest.mark.parametrize(
        "step",
        [
            dropped(),
            leg(end="cut"),
            leg(opening(0), end="cut"),
            leg(control("error", retry_ms=1)),
            refuse(503, "away"),
            answer(408),
            answer(500),
        ],
        ids=["dropped", "empty", "only open", "error", "503", "408", "500"],
    )
    async def test_after_failures_in_a_row(self, step: Step) -> None:
        async with Scripted(*[step] * 20) as server:
            stream = reader(server, attempts=3)
            with pytest.raises(Transient, match="gave up"):
                await collect(stream)
            assert len(server.requests) == 4
            assert stream.state is State.DISCONNECTED

    async def test_nobody_listens(self) -> None:
        async with Scripted() as server:
            url = server.url
        with pytest.raises(Transient, match=r"gave up .* cannot connect to 127\.0\.0\.1"):
            await collect(Stream(url, attempts=2, backoff=QUICK))

    async def test_a_leg_that_moved_starts_the_count_again(self) -> None:
        down = [dropped()] * 3
        script = [*down, leg(event(1), end="cut"), *down[:2], leg(rotate(1)), *down, THE_END]
        async with Scripted(*script) as server:
            assert await collect(reader(server, attempts=3)) == ["event 1"]
            assert len(server.requests) == len(script)

    async def test_pauses_grow_until_a_leg_moves(self) -> None:
        backoff = Backoff(first=0.1, longest=10.0)
        script = [dropped()] * 4
        async with Scripted(*script) as server:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("random.random", lambda: 1.0)
                await collect(Stream(server.url, backoff=backoff))
            times = [request.time for request in server.requests]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert all(gap >= pause for gap, pause in zip(gaps, [0.1, 0.2, 0.4, 0.8], strict=True))


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, errors.InvalidRequest),
            (401, errors.Unauthenticated),
            (403, errors.Forbidden),
            (404, errors.NotFound),
            (410, errors.CursorExpired),
            (307, errors.InvalidRequest),
        ],
    )
    async def test_what_stays_refused_is_raised(
        self, status: int, kind: type[errors.LastEventError]
    ) -> None:
        async with Scripted(refuse(status, "for this reason")) as server:
            with pytest.raises(kind) as caught:
                await collect(reader(server, token="fixed"))
            assert len(server.requests) == 1
        assert status == 307 or str(caught.value) == "for this reason"

    async def test_a_page_is_no_stream(self) -> None:
        async with Scripted(answer(200, b"<html>", "text/html; charset=utf-8")) as server:
            with pytest.raises(InvalidRequest, match="text/html"):
                await collect(reader(server))
            assert len(server.requests) == 1

    async def test_an_event_over_the_limit(self) -> None:
        async with Scripted(leg(opening(0), b"data: " + b"x" * 5000)) as server:
            with pytest.raises(TooLarge):
                await collect(reader(server, max_event_bytes=4000))


class TestEnd:
    async def test_204_ends_it(self) -> None:
        async with Scripted() as server:
            stream = reader(server)
            assert await collect(stream) == []
            assert stream.state is State.ENDED
            assert len(server.requests) == 1

    async def test_what_follows_the_end_is_not_read(self) -> None:
        async with Scripted(leg(event(1) + control("end", at(1)) + event(2))) as server:
            assert await collect(reader(server)) == ["event 1"]

    async def test_iterating_again_asks_again(self) -> None:
        script = leg(event(1), control("end", at(1)))
        async with Scripted(script) as server:
            stream = reader(server)
            assert await collect(stream) == ["event 1"]
            assert await collect(stream) == []
            assert server.cursors == [None, at(1)]


class TestLoss:
    LOSS = control("reset", at(40), **{"from": at(3), "to": at(40)})

    async def test_it_is_raised_once_and_the_rest_follows(self) -> None:
        script = [
            leg(opening(3), self.LOSS, events(41, 42), end="hang"),
            leg(opening(40), events(41, 42), control("end", at(42))),
        ]
        async with Scripted(*script) as server:
            stream = reader(server, cursor=at(3))
            with pytest.raises(CursorExpired, match=at(3)):
                await collect(stream)
            assert stream.cursor == at(40)
            assert await collect(stream) == expected(41, 42)
            assert server.cursors == [at(3), at(40)]

    @pytest.mark.parametrize("asynchronous", [True, False])
    async def test_or_told(self, asynchronous: bool) -> None:
        lost: list[tuple[str, str]] = []

        def tell(lost_after: str, position: str) -> None:
            lost.append((lost_after, position))

        async def tell_later(lost_after: str, position: str) -> None:
            await asyncio.sleep(0)
            tell(lost_after, position)

        script = leg(opening(3), self.LOSS, events(41, 42), control("end", at(42)))
        async with Scripted(script) as server:
            stream = reader(server, cursor=at(3), on_reset=tell_later if asynchronous else tell)
            assert await collect(stream) == expected(41, 42)
        assert lost == [(at(3), at(40))]

    async def test_nothing_is_dropped_behind_a_reset_to_an_earlier_place(self) -> None:
        loss = control("reset", at(0), **{"from": at(9), "to": at(0)})
        script = leg(opening(9), loss, events(1, 3), control("end", at(3)))
        async with Scripted(script) as server:
            stream = reader(server, cursor=at(9), on_reset=lambda *lost: None)
            assert await collect(stream) == expected(1, 3)

    async def test_a_beginning_that_is_gone_is_told(self) -> None:
        script = leg(opening(40, trimmed=True), event(41), control("end", at(41)))
        async with Scripted(script) as server:
            stream = reader(server)
            await collect(stream)
            assert stream.trimmed


class TestTokens:
    @staticmethod
    def source() -> Callable[[], Awaitable[str]]:
        count = 0

        async def token() -> str:
            nonlocal count
            count += 1
            return f"token {count}".replace(" ", "-")

        return token

    @staticmethod
    def sent(server: Scripted) -> list[str]:
        return [r.headers["authorization"].removeprefix("Bearer ") for r in server.requests]

    async def test_one_that_ends_within_a_leg_is_renewed(self) -> None:
        script = [
            leg(opening(0), event(1), rotate(1)),
            leg(opening(1), event(2), control("denied", at(2))),
            leg(opening(2), event(3), control("denied", at(3))),
            leg(opening(3), BEAT, control("denied", at(3))),
            refuse(401, "expired"),
            leg(opening(3), event(4), control("end", at(4))),
        ]
        async with Scripted(*script) as server:
            with pytest.raises(errors.Unauthenticated, match="expired"):
                await collect(reader(server, token=self.source()))
            # Each leg that worked earns one new token; the one that was refused at once, none.
            assert self.sent(server) == ["token-1", "token-1", "token-2", "token-3", "token-4"]

    async def test_a_refused_one_is_renewed_once(self) -> None:
        script = [refuse(401, "no"), leg(opening(0), event(1), control("end", at(1)))]
        async with Scripted(*script) as server:
            assert await collect(reader(server, token=self.source())) == ["event 1"]
            assert self.sent(server) == ["token-1", "token-2"]

    @pytest.mark.parametrize("step", [refuse(401, "no"), leg(opening(0), control("denied", at(0)))])
    async def test_refused_again_is_raised(self, step: Step) -> None:
        async with Scripted(*[step] * 9) as server:
            with pytest.raises(errors.Unauthenticated):
                await collect(reader(server, token=self.source()))
            assert len(server.requests) == 2

    async def test_a_fixed_one_is_not_tried_again(self) -> None:
        async with Scripted(*[leg(opening(0), control("denied", at(0)))] * 9) as server:
            with pytest.raises(errors.Unauthenticated, match="expired"):
                await collect(reader(server, token="fixed"))
            assert len(server.requests) == 1


class TestClosing:
    async def test_async_with_closes_what_a_held_iterator_keeps_open(self) -> None:
        async with Scripted(leg(opening(0), event(1), end="hang")) as server:
            async with reader(server) as stream:
                iterator = aiter(stream)
                assert (await anext(iterator)).data == "event 1"
                assert server.connections == 1
            await server.quiet()
            assert stream.state is State.DISCONNECTED
            with pytest.raises(StopAsyncIteration):
                await anext(iterator)

    @pytest.mark.parametrize(
        "step",
        [leg(opening(0), end="hang"), silent(), leg(rotate(0, retry_ms=60_000))],
        ids=["reading", "connecting", "pausing"],
    )
    async def test_aclose_ends_the_loop_of_another_task(self, step: Step) -> None:
        async with Scripted(step) as server, asyncio.timeout(5):
            stream = reader(server)
            loop = asyncio.create_task(collect(stream))
            while not server.requests:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            await stream.aclose()
            assert await loop == []
            await server.quiet()

    async def test_cancelling_the_task_closes_the_connection(self) -> None:
        async with Scripted(leg(opening(0), end="hang")) as server:
            states: list[State] = []
            stream = reader(server, on_state=lambda state, reason: states.append(state))
            loop = asyncio.create_task(collect(stream))
            while State.CONNECTED not in states:
                await asyncio.sleep(0.005)
            loop.cancel()
            with pytest.raises(asyncio.CancelledError):
                await loop
            await server.quiet()
            assert states[-1] is State.DISCONNECTED

    async def test_an_error_in_the_loop_s_body_closes_it(self) -> None:
        async with Scripted(leg(opening(0), event(1), end="hang")) as server:
            stream = reader(server)
            with pytest.raises(ZeroDivisionError):
                async for _ in stream:
                    raise ZeroDivisionError
            gc.collect()
            await server.quiet()

    async def test_two_loops_at_once_are_a_mistake(self) -> None:
        script = leg(opening(0), event(1), end="hang")
        async with Scripted(script) as server, reader(server) as stream:
            iterator = aiter(stream)
            await anext(iterator)
            with pytest.raises(RuntimeError, match="already"):
                aiter(stream)

    async def test_closing_what_was_never_opened(self) -> None:
        stream = Stream("http://127.0.0.1:1/")
        await stream.aclose()
        aiter(stream)
        await stream.aclose()


async def test_nothing_of_a_token_is_logged(
    caplog: pytest.LogCaptureFixture, blocking_calls: list[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    script = [leg(opening(0), event(1), end="cut"), refuse(401, "no")]
    async with Scripted(*script) as server:
        with pytest.raises(errors.Unauthenticated):
            await collect(reader(server, token="s3cret-token"))
    assert "s3cret" not in caplog.text
    blocking_calls.clear()  # pytest's own handler writes what is logged
