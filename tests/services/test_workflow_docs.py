"""What docs/workflow.md shows of Python is run as it stands there."""

import re
import textwrap
from typing import Any

import pytest

from lastevent.stores import url as url_module
from lastevent.stores.base import Store
from tests.project.tree import ROOT
from tests.services.toy_workflow import told

BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/workflow.md").read_text(), re.M | re.S)


async def run(block: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run an example with these names; return all that it defines."""
    code = f"async def example():\n{textwrap.indent(block, '    ')}\n    return locals()\n"
    exec(code, names)
    defined: dict[str, Any] = await names["example"]()
    return names | defined


async def test_events_are_published_from_elsewhere(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(url_module, "open_store", lambda url: store)
    await run(BLOCKS[0], {})
    said = await told(store)
    assert [(kind, data["poId"]) for kind, data in said] == [
        ("progress", "po_7"),
        ("completion", "po_7"),
    ]


async def test_a_workflow_of_ones_own(store: Store) -> None:
    saved: list[tuple[bytes, str]] = []

    async def save(line: bytes, *, key: str) -> None:
        saved.append((line, key))

    names = await run(f"{BLOCKS[1]}\n{BLOCKS[2]}", {"store": store, "save": save})
    assert [line for line, _ in saved] == [b"a", b"b", b"c"]
    done = names["run"]
    assert (names["outcome"], done.state, done.results["count"]) == (
        "over",
        "completed",
        {"lines": 3},
    )
    assert done.stage("ship").message == "there is no carrier"
