"""The pages as the tests of all pages visit them: the scenes of infra/scenes.py, on one stage."""

from dataclasses import replace
from typing import Any

from playwright.async_api import Page

from infra.scenes import SCENES, Stage, sees
from tests.browser.server import PREVIEW_COMMANDS

ENVIRON = {
    "LASTEVENT_MAX_LEG_SECONDS": "20",
    "LASTEVENT_PREVIEW_COMMANDS": PREVIEW_COMMANDS,
}
"""A preview of the tests' own says every kind of line, and ends."""


async def _every_kind_of_line(stage: Stage) -> str:
    created = await stage.request("POST", "/api/previews", {"name": "shapes"})
    return f"/previews?preview={created['id']}"


async def _trial_that_runs(page: Page) -> None:
    await page.get_by_role("button", name="Start").click()
    await page.locator(".finding .badge:text('At once')").wait_for()
    await page.get_by_role("button", name="Planned end").click()
    await page.locator("#outcomes li").wait_for()


_OWN: dict[str, dict[str, Any]] = {
    "previews": {
        "settle": sees("#connection[data-state=ended]"),
        "prepare": _every_kind_of_line,
    },
    "test-sse": {"settle": _trial_that_runs},
}
"""What tests do otherwise than pictures: more of it, or sooner."""

VISITS = tuple(replace(scene, **_OWN.get(scene.name, {})) for scene in SCENES)
