"""One tree of errors, drawn at the top of its module: the drawing is held to the classes."""

import inspect
import re
from collections.abc import Iterator

import pytest

from lastevent.core import errors
from lastevent.core.errors import ConfigError, Fenced, LastEventError, StoreUnavailable, Transient

CLASSES: dict[str, type[LastEventError]] = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, LastEventError)
}


def _drawn() -> Iterator[tuple[int, str, int | None]]:
    """Yield the depth, the name and the status of each class in the drawing."""
    for line in (errors.__doc__ or "").splitlines():
        found = re.fullmatch(r"([ │]*)[├└]── (\w+) *(\d{3})?(?:  .*)?", line)
        if found:
            yield (len(found[1]) - 4) // 4, found[2], int(found[3]) if found[3] else None


def test_the_drawing_shows_every_error_below_its_parent() -> None:
    parents: dict[int, str] = {-1: "LastEventError"}
    seen = {"LastEventError"}
    for depth, name, _ in _drawn():
        assert [base.__name__ for base in CLASSES[name].__bases__] == [parents[depth - 1]]
        parents[depth] = name
        seen.add(name)
    assert seen == set(CLASSES)


def test_the_drawing_gives_the_statuses_that_are_not_the_parent_s() -> None:
    for _, name, status in _drawn():
        inherited = CLASSES[name].__mro__[1]
        assert issubclass(inherited, LastEventError)
        assert CLASSES[name].status == (inherited.status if status is None else status)


def test_every_problem_has_a_title_of_its_own() -> None:
    titles = [error.title for error in CLASSES.values()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("error", CLASSES.values(), ids=list(CLASSES))
def test_an_error_says_its_sentence(error: type[LastEventError]) -> None:
    assert str(error("write it so")) == "write it so"
    assert error.__doc__


def test_what_callers_tell_apart() -> None:
    assert issubclass(StoreUnavailable, Transient)
    assert not issubclass(Fenced, Transient)
    assert ConfigError.status == LastEventError.status == 500
