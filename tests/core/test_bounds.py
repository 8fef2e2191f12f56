"""What ends a leg, and how long clients stay away afterwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastevent.core.bounds import Bounds, Reason
from lastevent.core.policy import METERED, POLICIES, RetryPolicy

chances = st.floats(0, 1, exclude_max=True)
NOW = 1000.0


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (Reason.DURATION, "rotate"),
        (Reason.BYTES, "rotate"),
        (Reason.IDLE, "rotate"),
        (Reason.BATCH, "rotate"),
        (Reason.SHUTDOWN, "rotate"),
        (Reason.ENDED, "end"),
        (Reason.DENIED, "denied"),
        (Reason.TROUBLE, "error"),
    ],
)
def test_how_each_reason_is_said(reason: Reason, state: str) -> None:
    assert reason.state == state


def test_there_are_no_other_reasons() -> None:
    assert len(Reason) == 8


@pytest.mark.parametrize(
    ("bounds", "chance", "ends_in"),
    [
        (Bounds(max_seconds=100, spread=0.2), 0.0, 100.0),
        (Bounds(max_seconds=100, spread=0.2), 0.5, 90.0),
        (Bounds(max_seconds=100, spread=0.0), 0.9, 100.0),
        (Bounds(max_seconds=100, spread=0.2, deadline=NOW + 62, margin=2), 0.0, 60.0),
        (Bounds(max_seconds=100, spread=0.2, deadline=NOW + 62, margin=2), 0.5, 54.0),
        (Bounds(max_seconds=100, spread=0.2, deadline=NOW + 200, margin=2), 0.5, 90.0),
        (Bounds(max_seconds=100, spread=0.2, deadline=NOW + 4, margin=3), 0.0, 3.0),
        (Bounds(max_seconds=100, spread=0.2, deadline=NOW - 1, margin=3), 0.5, -0.9),
    ],
)
def test_when_a_leg_is_over(bounds: Bounds, chance: float, ends_in: float) -> None:
    assert bounds.ends_at(NOW, chance) == pytest.approx(NOW + ends_in)


@given(
    chances,
    st.floats(0.5, 900),
    st.floats(0, 0.9),
    st.none() | st.floats(-5, 900),
    st.floats(0, 5),
)
def test_a_leg_is_over_before_its_platform_cuts(
    chance: float, longest: float, spread: float, left: float | None, margin: float
) -> None:
    deadline = None if left is None else NOW + left
    bounds = Bounds(max_seconds=longest, spread=spread, deadline=deadline, margin=margin)
    end = bounds.ends_at(NOW, chance)
    slack = 1e-6
    assert end <= NOW + longest + slack
    if deadline is None:
        assert end >= NOW + longest * (1 - spread) - slack
    elif deadline > NOW:
        margin = min(margin, (deadline - NOW) / 4)  # or a short time limit would leave nothing
        assert NOW - slack <= end <= deadline - margin + slack
    else:
        assert end <= NOW + slack  # at once: the first tick ends it


@pytest.mark.parametrize("deadline", [None, NOW + 30])
def test_legs_that_begin_together_do_not_end_together(deadline: float | None) -> None:
    bounds = Bounds(max_seconds=55, deadline=deadline)
    ends = [bounds.ends_at(NOW, step / 100) for step in range(100)]
    assert len(set(ends)) == len(ends)
    assert max(ends) - min(ends) > 0.1 * min(28, 55)


QUIET = 60.0
FLOWING = 1.0


@pytest.mark.parametrize(
    ("reason", "quiet_seconds", "low", "high"),
    [
        (Reason.DURATION, FLOWING, 30, 120),
        (Reason.BYTES, FLOWING, 30, 120),
        (Reason.DURATION, QUIET, 100, 500),
        (Reason.IDLE, QUIET, 100, 500),
        (Reason.SHUTDOWN, FLOWING, 1000, 3000),
        (Reason.TROUBLE, FLOWING, 1000, 3000),
        (Reason.TROUBLE, QUIET, 1000, 3000),
    ],
)
def test_the_pause_depends_on_why_and_on_what_flowed(
    reason: Reason, quiet_seconds: float, low: int, high: int
) -> None:
    policy = RetryPolicy(
        flowing=(30, 120), idle=(100, 500), trouble=(1000, 3000), flowing_seconds=10
    )
    assert policy.retry_ms(reason, quiet_seconds, 0.0) == low
    assert policy.retry_ms(reason, quiet_seconds, 0.5) == (low + high) // 2
    assert policy.retry_ms(reason, quiet_seconds, 0.9999) in (high - 1, high)


ALL = [*POLICIES.values(), *METERED.values()]


@given(st.sampled_from(ALL), st.sampled_from(Reason), st.floats(0, 1e6), chances)
def test_no_pause_is_so_short_that_clients_hammer(
    policy: RetryPolicy, reason: Reason, quiet_seconds: float, chance: float
) -> None:
    """A native client repeats the last ``retry:`` for as long as nothing answers (FACTS)."""
    pause = policy.retry_ms(reason, quiet_seconds, chance)
    assert isinstance(pause, int)
    assert 30 <= pause <= 5500


def test_policies_go_by_their_names() -> None:
    assert set(POLICIES) == set(METERED) == {"latency", "balanced", "cost"}
    assert all(policy.name == name for name, policy in [*POLICIES.items(), *METERED.items()])


@pytest.mark.parametrize("policy", ALL)
def test_who_is_not_held_is_away_for_long(policy: RetryPolicy) -> None:
    """A leg that ends at once and a client that comes back at once would be a loop."""
    if policy.hold_seconds is not None:
        assert policy.idle[0] >= 1000
        assert policy.hold_seconds >= policy.flowing_seconds, "such a leg's end means idle"


def test_where_holding_is_cheap_everybody_is_held() -> None:
    assert all(policy.hold_seconds is None for policy in POLICIES.values())
    assert METERED["latency"].hold_seconds is None


def test_cost_is_on_average_polling_every_five_seconds() -> None:
    assert sum(METERED["cost"].idle) / 2 == 5000
