"""How long a stage that failed is put off: twice as long each time, up to a limit, and never for
just as long as others."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lastevent.core.errors import InvalidRequest, UpstreamLost
from lastevent.services.purchase_orders.stages import PurchaseOrders
from lastevent.services.workflow import stage as stage_module
from lastevent.services.workflow.stage import StageContext, _failure
from lastevent.services.workflow.transitions import started
from lastevent.services.workflow.values import Result, Run, Stage, Workflow

NOW = 1_780_000_000_000
DRAWS = 400
"""Of so many pauses the shortest and the longest are close to where they may be."""

AWAY = UpstreamLost("the shop is away")


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_module, "_now", lambda: NOW)


async def _nothing(stage: StageContext) -> Result:
    return None


PATIENT = Stage("ship", _nothing, retries=10)


def after(stage: Stage, attempt: int, error: Exception = AWAY) -> Run:
    """Return a run whose only stage has failed at this attempt, as at all before it."""
    run = Run.new(Workflow("w", (stage,)), "42", "po_1", "wf_1", "", NOW)
    run = started(run, stage.name, NOW).run
    run = run.with_stage(replace(run.stage(stage.name), failures=attempt - 1))
    journal = cast(Any, SimpleNamespace(run=run))
    return _failure(StageContext(journal, cast(Any, None), stage.name), stage, error)(run).run


def pause(stage: Stage, attempt: int, error: Exception = AWAY) -> float:
    """Return for how many seconds it is put off then."""
    run = after(stage, attempt, error)
    assert (run.is_over, run.stage(stage.name).failures) == (False, attempt)
    assert run.again_at is not None
    return (run.again_at - NOW) / 1000


def is_put_off(stage: Stage, attempt: int, longest: float) -> bool:
    """Whether it is put off for anything from half of these seconds to all of them."""
    pauses = [pause(stage, attempt) for _ in range(DRAWS)]
    is_within = longest / 2 - 0.001 <= min(pauses) and max(pauses) <= longest
    return is_within and min(pauses) < 0.56 * longest and max(pauses) > 0.94 * longest


@pytest.mark.parametrize(
    ("attempt", "longest"), list(enumerate([1, 2, 4, 8, 16, 32, 60, 60, 60, 60], start=1))
)
def test_pauses_double_up_to_a_limit(attempt: int, longest: float) -> None:
    assert is_put_off(PATIENT, attempt, longest)


def test_the_last_attempt_is_followed_by_none() -> None:
    assert not after(PATIENT, 10).is_over
    end = after(PATIENT, 11)
    assert (end.state, end.again_at, end.error) == ("failed", None, "the shop is away")


def test_what_is_wrong_for_good_is_not_put_off() -> None:
    assert after(PATIENT, 1, InvalidRequest("line 3: no quantity")).state == "failed"


def test_who_says_when_to_come_back_is_obeyed_but_makes_no_pause_shorter() -> None:
    assert pause(PATIENT, 1, UpstreamLost("later", retry_after=90)) == 90
    assert pause(PATIENT, 6, UpstreamLost("later", retry_after=1)) >= 16


def test_the_shop_is_asked_again_eight_times_up_to_five_minutes_apart() -> None:
    """As docs/purchase-orders.md has it."""
    orders = PurchaseOrders(cast(Any, None), cast(Any, None))
    sync = orders.workflow().stage("shopify_sync")
    assert sync is not None
    for attempt, longest in enumerate([3, 6, 12, 24, 48, 96, 192, 300], start=1):
        assert is_put_off(sync, attempt, longest), f"after attempt {attempt}"
    assert after(sync, 9).state == "failed"
