"""Subscribers are compared with each other while they read, and with the log at the end."""

import pytest

from benchmarks.audience import Audience
from benchmarks.marks import Verdict

ORDER = list(range(10))
LIVE = '"state":"live"'


def _frames(sequences: list[int]) -> bytes:
    return b"".join(b"data: ~%d:%d~x\n\n" % (number, 1_000_000 * number) for number in sequences)


def _audience(*received: list[int], piece: int = 50, timed: int = 0) -> Audience:
    """Return an audience whose members got these events, in turns of ``piece`` bytes."""
    audience = Audience(len(received), LIVE, timed=timed)
    streams = [_frames(sequences) for sequences in received]
    for begin in range(0, max(map(len, streams)), piece):
        for subscriber, raw in zip(audience.subscribers, streams, strict=True):
            if part := raw[begin : begin + piece]:
                audience.receive(subscriber, part, 20_000_000)
    return audience


LOSES = [0, 1, 2, 4, 5, 6, 7, 8, 9]
REPEATS = [0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9]
SWAPS = [0, 1, 2, 4, 3, 5, 6, 7, 8, 9]
ENDS_EARLY = [0, 1, 2]


@pytest.mark.parametrize("piece", [1, 13, 50, 10_000])
@pytest.mark.parametrize(
    ("received", "verdict"),
    [
        ((ORDER, ORDER, ORDER), Verdict()),
        ((ORDER, LOSES, ORDER), Verdict(lost=1)),
        ((LOSES, ORDER, ORDER), Verdict(lost=1)),  # also when the wrong one leads
        ((ORDER, ORDER, REPEATS), Verdict(repeated=1)),
        ((REPEATS, ORDER, ORDER), Verdict(repeated=1)),
        ((ORDER, SWAPS), Verdict(disordered=1)),
        ((ORDER, ENDS_EARLY), Verdict(lost=7)),
        ((ENDS_EARLY, ENDS_EARLY), Verdict(lost=14)),
        ((LOSES, LOSES), Verdict(lost=2)),  # all alike, and all wrong
        ((LOSES, REPEATS, SWAPS), Verdict(1, 1, 1)),
    ],
)
def test_whoever_is_wrong_is_found(
    received: tuple[list[int], ...], verdict: Verdict, piece: int
) -> None:
    audience = _audience(*received, piece=piece)
    assert audience.delivered == sum(map(len, received))
    assert audience.verdict(ORDER) == verdict


def test_nobody_got_anything() -> None:
    assert _audience([], []).verdict(ORDER) == Verdict(lost=20)


def test_latency_is_of_every_delivery() -> None:
    latency = _audience(ORDER, ORDER, timed=1).latency  # event n was published at n ms
    assert (latency.p50, latency.p99, latency.longest) == (15.0, 20.0, 20.0)
    assert _audience(ORDER).latency.longest == 0.0


def test_a_subscriber_is_live_when_it_is_told_so() -> None:
    audience = Audience(1, LIVE, timed=0)
    (subscriber,) = audience.subscribers
    audience.receive(subscriber, b'event: stream\ndata: {"state":"open"}\n\ndata: {"sta', 0)
    assert not subscriber.live.is_set()
    audience.receive(subscriber, b'te":"live"}\n\n', 0)
    assert subscriber.live.is_set()
