"""What the vendor's own follower of a build's log makes of the local API: Vercel's command line.

It ends with the state, not with the log, and after a cut it asks again from the last date it has
seen, without a look at the ids. So it loses the tail and doubles lines, and says that all went
well. Should a newer one do better, the second test fails: then there is something to learn from.
"""

import asyncio
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from infra.local.vercel_api import Chaos, Made, VercelApi
from infra.vercel.build import CLI
from tests.infra.vendor_case import SAME_MS, SCRIPT, TAIL, TEXTS

pytestmark = pytest.mark.node

RUN_SECONDS = 40.0


async def test_the_vendors_follower_sees_a_log_that_nothing_happens_to(tmp_path: Path) -> None:
    async with VercelApi(tmp_path) as api:
        made = await api.deploy(SCRIPT, age=60, chaos=Chaos(shape="flat"))
        counts = await _followed(api, made, tmp_path)
    assert counts == dict.fromkeys(TEXTS, 1)


async def test_the_vendors_follower_loses_the_tail_and_doubles_lines(tmp_path: Path) -> None:
    async with VercelApi(tmp_path) as api:
        chaos = Chaos(shape="flat", tail=2.0, tail_lines=TAIL, same_ms=SAME_MS)
        made = await api.deploy(SCRIPT, age=1, chaos=chaos)
        await api.fault("cut", operations=["events"], times=1)
        counts = await _followed(api, made, tmp_path, "--wait")
        truth = await api.truth(made.id)
    assert [line.text for line in truth.lines] == TEXTS
    lost = [text for text in TEXTS if not counts[text]]
    doubled = [text for text in TEXTS if counts[text] > 1]
    assert lost and lost == TEXTS[-len(lost) :] and len(lost) <= TAIL
    assert doubled
    dates = {line.date for line in truth.lines if line.text in doubled}
    assert len(dates) == 1, "only what shares the last millisecond before the cut comes twice"


async def _followed(api: VercelApi, made: Made, directory: Path, *options: str) -> Counter[str]:
    """Return how often the command line printed each line; it must end well."""
    node = shutil.which("node")
    assert node
    process = await asyncio.create_subprocess_exec(
        *(node, str(CLI), "inspect", made.id, "--logs", "--no-color", *options),
        *("--api", api.url, "--token", api.token, "--global-config", str(directory / "config")),
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "VERCEL_TELEMETRY_DISABLED": "1",
            "NO_UPDATE_NOTIFIER": "1",
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(RUN_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    said = output.decode()
    assert process.returncode == 0, said
    assert "Ready" in said
    return Counter(line.partition("  ")[2] for line in said.splitlines() if "line " in line)
