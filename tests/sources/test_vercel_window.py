"""What has been told is told once, whatever the API gives again; what comes late is told late."""

import json

from hypothesis import given
from hypothesis import strategies as st

from lastevent.sources.vercel.events import LogEvent
from lastevent.sources.vercel.window import MOST_IDS, MOST_IDS_A_MS, OVERLAP_MS, Window

BEGIN = 1_700_000_000_000
MAX_BOOKMARK = 64 * 1024


def event(number: int, ms: int) -> LogEvent:
    return LogEvent(f"evt_{number}", BEGIN + ms, str(number), "info", "text")


def again(window: Window) -> Window:
    """Return what another pump makes of the window, from a position in a bookmark."""
    text = json.dumps(json.dumps([window.since, window.told]))
    assert len(text) < MAX_BOOKMARK
    return Window.parse(*json.loads(json.loads(text)))


@given(
    st.lists(st.integers(0, OVERLAP_MS), min_size=1, max_size=40),
    st.lists(st.integers(0, 39), max_size=40),
    st.booleans(),
)
def test_each_is_told_once_in_any_order_of_arrival(
    dates: list[int], arrivals: list[int], is_handed_over: bool
) -> None:
    events = [event(number, ms) for number, ms in enumerate(dates)]
    window = Window()
    told: list[LogEvent] = []
    for arrival in [*arrivals, len(events)]:
        visible = events[arrival:] if arrival < len(events) else events
        fresh = window.fresh(visible)
        window.tell(fresh)
        told += fresh
        if is_handed_over:
            window = again(window)
    assert sorted(it.id for it in told) == sorted(it.id for it in events)


def test_the_overlap_is_inclusive_and_older_is_not_told() -> None:
    window = Window()
    window.tell([event(0, 0), event(1, OVERLAP_MS)])
    assert window.since == BEGIN
    assert window.fresh([event(2, 0), event(3, -1)]) == [event(2, 0)]
    window.tell([event(4, OVERLAP_MS + 1)])
    assert window.since == BEGIN + 1
    assert window.fresh([event(2, 0), event(0, 0), event(1, OVERLAP_MS)]) == []


def test_a_fast_log_has_a_shorter_window_that_splits_no_millisecond() -> None:
    events = [event(number, number // 3) for number in range(2 * MOST_IDS)]
    window = Window()
    window.tell(events)
    kept = [it for it in events if it.date >= window.since]
    assert MOST_IDS - 3 < len(kept) <= MOST_IDS
    assert again(window).fresh(events) == []
    late = event(-1, events[-1].date - BEGIN - 5)
    assert again(window).fresh([*events, late]) == [late]


def test_a_crowded_millisecond_is_kept_whole() -> None:
    crowd = [event(number, 1) for number in range(MOST_IDS_A_MS)]
    window = Window()
    window.tell([event(-1, 0), *crowd])
    assert window.since == BEGIN + 1
    assert again(window).fresh(crowd) == []
    window.tell([event(MOST_IDS_A_MS, 1)])
    assert window.since == BEGIN + 2, "beyond that the window begins after it"


def test_what_is_still_to_be_told_is_not_forgotten() -> None:
    window = Window()
    late = event(1, 10)
    window.tell([event(0, 0)], before=late)
    window.tell([event(2, 2 * OVERLAP_MS)], before=late)
    assert window.since <= late.date
    assert again(window).fresh([late]) == [late]


@given(st.lists(st.integers(0, 3 * OVERLAP_MS), max_size=60), st.integers(0, 60))
def test_a_position_gives_the_same_window(dates: list[int], cut: int) -> None:
    events = [event(number, ms) for number, ms in enumerate(dates)]
    window = Window()
    window.tell(sorted(events, key=lambda it: it.place)[:cut])
    assert again(window).fresh(events) == window.fresh(events)
    assert again(window).told == window.told
