"""Vercel's runtime tells each request's deadline; nothing does anywhere else."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

import pytest
from vercel_runtime.deadline import reset_deadline, set_deadline

from lastevent.adapters import vercel
from lastevent.serve.invocation import Invocation


async def test_the_deadline_becomes_an_instant_of_the_loop() -> None:
    at = datetime.now(UTC) + timedelta(seconds=20)
    token = set_deadline(at.isoformat())
    try:
        bounds = vercel.bounds()
    finally:
        reset_deadline(token)
    assert bounds.deadline == pytest.approx(asyncio.get_running_loop().time() + 20, abs=1)
    assert not bounds.buffered
    assert bounds.may_freeze, "an instance sleeps between its requests"
    assert bounds.spawn is None, "a task holds the request that asked for it"
    assert not bounds.held_is_billed, "Vercel bills the processor, and an instance once"


@pytest.mark.parametrize("text", [None, "", "soon", "2026-11-21", "2026-11-21T10:00:00"])
async def test_what_is_no_deadline_bounds_nothing(text: str | None) -> None:
    token = set_deadline(text)
    try:
        assert vercel.bounds() == Invocation(may_freeze=True)
    finally:
        reset_deadline(token)


async def test_elsewhere_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vercel_runtime")
    assert vercel.bounds() == Invocation()
