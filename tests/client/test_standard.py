"""The standard's own cases, which the browser's client goes through too (tests/browser/client)."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from lastevent.core.wire import Decoder, Message
from tests.core.cuts import decode, every_way
from tests.project.tree import ROOT

CASES: list[dict[str, Any]] = json.loads(
    (ROOT / "tests" / "standard" / "event-stream.json").read_text()
)["cases"]


@dataclass(frozen=True)
class Case:
    """What a stream of bytes holds."""

    raw: bytes
    messages: list[Message]
    last_event_id: str
    retry: int | None

    @classmethod
    def of(cls, case: dict[str, Any]) -> "Case":
        """Read one of the file's."""
        raw = case["text"].encode() if "text" in case else case["bytes"].encode("latin-1")
        ordinary = {"id": "", "type": "message"}
        messages = [Message(**ordinary | message) for message in case["messages"]]
        return cls(raw, messages, case["lastEventId"], case["retry"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_standard_s_cases_however_they_are_cut(case: dict[str, Any]) -> None:
    expected = Case.of(case)
    for pieces in every_way(expected.raw):
        decoder = Decoder()
        assert decode(pieces, decoder) == expected.messages, pieces
        assert decoder.last_event_id == expected.last_event_id, pieces
        assert decoder.retry == expected.retry, pieces


def test_there_are_cases_of_each_kind() -> None:
    kinds = {case["name"].partition(":")[0] for case in CASES}
    assert kinds == {
        *("standard", "bom", "comments", "lines", "NUL", "fields", "end", "event", "id", "retry"),
        "UTF-8",
    }
    assert len({case["name"] for case in CASES}) == len(CASES)
