"""The pages as the tests of all pages visit them: the scenes of infra/scenes.py, on one stage."""

from dataclasses import replace

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


_ended = sees("#connection[data-state=ended]")

VISITS = tuple(
    replace(scene, settle=_ended, prepare=_every_kind_of_line)
    if scene.name == "previews"
    else scene
    for scene in SCENES
)
