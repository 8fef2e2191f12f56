"""What the package logs is seen where nobody arranged for it, and once where somebody did."""

import subprocess
import sys

import pytest

SHOW = "from lastevent.serve.visible_log import show_log; show_log(); show_log()"


def shown(before: str, logger: str = "lastevent") -> str:
    """Return what a process shows that runs ``before``, then begins and logs."""
    log = "import logging; log = logging.getLogger('lastevent')"
    script = f"{log}; {before}; {SHOW}; logging.getLogger('{logger}').info('said')"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True
    )
    return run.stderr


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("pass", "INFO said\n"),
        ("logging.basicConfig(format='own: %(message)s', level=logging.WARNING)", "own: said\n"),
        ("logging.basicConfig(); log.setLevel(logging.ERROR)", ""),
    ],
    ids=["nothing arranged", "a handler of the platform's", "a level of one's own"],
)
def test_what_is_shown(before: str, expected: str) -> None:
    assert shown(before) == expected


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("logging.basicConfig(level=logging.INFO)", ""),
        (
            "logging.basicConfig(format='own: %(message)s'); "
            "logging.getLogger('httpx').setLevel(logging.INFO)",
            "own: said\n",
        ),
    ],
    ids=["as on Vercel", "a level of one's own"],
)
def test_the_addresses_of_requests_are_not_shown(before: str, expected: str) -> None:
    assert shown(before, "httpx") == expected
