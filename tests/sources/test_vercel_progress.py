"""How far a build is: floors by its steps, its past, never back, 100 for what is ready."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.vercel_api.builds import BUILDS
from lastevent.sources.vercel.events import LogEvent
from lastevent.sources.vercel.progress import PHASES, Progress, Took

TEXTS = [
    line.text
    for build in ("next", "failing", "canceled")
    for line in BUILDS[build].lines
    if line.text
]
STATES = ["QUEUED", "INITIALIZING", "BUILDING", "ERROR", "CANCELED", "BLOCKED", "SOMETHING"]


def said(text: str | None, step: str | None = None, at: float = 0.0) -> LogEvent:
    return LogEvent(f"{text}{at}", 1_700_000_000_000 + int(at * 1000), "", "info", text, step)


def test_a_build_goes_through_its_steps() -> None:
    script = BUILDS["next"]
    progress, steps, texts = Progress(), [], []
    for line in script.lines:
        progress = progress.after(said(line.text, line.step, line.at)).at("BUILDING", None)
        if progress.step not in steps:
            steps.append(progress.step)
        texts.append(progress.text)
    assert steps == ["queue", *(phase.name for phase in PHASES[1:])]
    percents = [int(text.split()[1]) for text in texts]
    assert percents == sorted(percents)
    assert len(set(percents)) > 20
    assert 95 <= percents[-1] < 100
    assert progress.at("READY", None).text == "Ready 100 %"
    assert progress.lines == sum(line.text is not None for line in script.lines)
    assert progress.seconds == pytest.approx(script.lines[-1].at - script.lines[0].at, abs=0.01)


@pytest.mark.parametrize(
    ("text", "step", "name", "percent"),
    [
        ("Running build in Washington, D.C., USA (East) – iad1", None, "start", 2),
        ("Cloning github.com/example/shop (Branch: main, Commit: 4be1a0c)", None, "clone", 5),
        ('Running "install" command: `npm install`...', None, "install", 12),
        ("Installing dependencies...", None, "install", 12),
        ('Running "npm run build"', None, "build", 35),
        ('Running "vercel build"', None, "queue", 1),
        ("   Creating an optimized production build ...", None, "build", 35),
        ("\x1b[32m ✓ Compiled\x1b[0m successfully in 8.4s", None, "collect", 60),
        ("   Generating static pages (0/24) ...", None, "generate", 65),
        ("   Generating static pages (12/24)", None, "generate", 72),
        (" ✓ Generating static pages (24/24)", None, "generate", 80),
        ("Build Completed in /vercel/output [30s]", None, "output", 80),
        ("Deploying outputs...", None, "deploy", 88),
        ("Uploading build cache [212.44 MB]", None, "cache", 95),
        ("anything", "install", "install", 12),
        ("how to install", None, "queue", 1),
    ],
)
def test_what_shows_a_step(text: str, step: str | None, name: str, percent: int) -> None:
    progress = Progress().after(said(text, step)).at("BUILDING", Took(10_000, 10_000))
    assert (progress.step, progress.percent) == (name, percent)


def test_the_past_of_a_project_tells_how_far_it_is() -> None:
    took = Took(seconds=200, lines=10)
    progress = Progress().after(said("Installing dependencies...", at=0))
    for number in range(4):
        progress = progress.after(said("added a package", at=100 + number))
    assert progress.at("BUILDING", None).percent < 35, "what builds have in common ends here"
    assert progress.at("BUILDING", took).text == "Installing 50 %"
    assert progress.at("BUILDING", took, quiet_seconds=40).percent > 55, "time passes without lines"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(TEXTS) | st.none(),
            st.sampled_from(["install", "build", None]),
            st.floats(0, 500),
            st.sampled_from(STATES),
            st.floats(0, 100),
        ),
        max_size=30,
    ),
    st.none() | st.builds(Took, st.floats(0, 600), st.integers(0, 500)),
)
def test_it_never_goes_back_and_is_100_for_nothing_else(
    happenings: list[tuple[str | None, str | None, float, str, float]], took: Took | None
) -> None:
    progress = Progress()
    for text, step, at, state, quiet in happenings:
        before = progress
        progress = progress.after(said(text, step, at)).at(state, took, quiet)
        assert before.percent <= progress.percent < 100
        assert progress.phase >= before.phase
        assert re.fullmatch(r"[A-Z][a-z]+ \d{1,2} %", progress.text)
    assert progress.at("READY", took).percent == 100
