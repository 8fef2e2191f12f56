import pytest

from lastevent.client import Backoff


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(first=1.0, longest=30.0)
    longest = [backoff.pause(failures, 1.0) for failures in (1, 2, 3, 4, 5, 6, 7, 1000)]
    assert longest == [1, 2, 4, 8, 16, 30, 30, 30]


def test_chance_takes_from_the_whole_pause() -> None:
    assert [Backoff().pause(3, chance) for chance in (0.0, 0.25, 0.5)] == [0, 1, 2]


@pytest.mark.parametrize(("first", "longest"), [(0, 1), (-1, 1), (2, 1)])
def test_a_backoff_that_would_not_wait_cannot_be_made(first: float, longest: float) -> None:
    with pytest.raises(ValueError, match="back-off"):
        Backoff(first, longest)
