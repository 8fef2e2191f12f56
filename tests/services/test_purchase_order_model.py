"""A model reads prose where one is set up; what it says is checked, and it is never relied on."""

import contextlib
import json
from typing import Any

import pytest

from lastevent.core.errors import UpstreamLost
from lastevent.services.purchase_orders import model as model_module
from lastevent.services.purchase_orders.model import Model, ModelFailed
from lastevent.services.purchase_orders.parsing import BadOrder
from lastevent.services.purchase_orders.reading import read
from lastevent.services.workflow.runner import MARGIN_SECONDS
from tests.services.ordering import example
from tests.sources.answering_http import answer, answering

PROSE = b"Hello,\nplease send a dozen (12) blue mugs, MUG-01, at 4.50.\nAnd 2 x Tray\n"
"""The built-in parser finds the tray only."""

MUGS = {"line": 2, "sku": "MUG-01", "description": "Blue mug", "quantity": 12, "price": "4.50"}
KEY = "sk-not-to-be-shown"


def said(content: object) -> bytes:
    text = content if isinstance(content, str) else json.dumps(content)
    return answer(json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}))


def order(*lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"lines": list(lines), **more}


async def asked(answers: list[bytes], content: bytes = PROSE, content_type: str = "") -> Any:
    """Return what is read with a model that gives these answers, and what it was asked."""
    async with answering(answers) as server:
        model = Model(server.url, "small-model", KEY)
        try:
            return await read(content, content_type, model), server.asked
        finally:
            await model.aclose()


async def test_a_model_reads_what_the_built_in_parser_does_not() -> None:
    found, requests = await asked([said(order(MUGS, currency="EUR", supplier="Acme"))])
    (line,) = found.lines
    assert (line.sku, line.quantity, line.price, line.place) == ("MUG-01", 12, "4.50", 2)
    assert (found.parser, found.currency, found.supplier) == ("model", "EUR", "Acme")
    assert "small-model" in found.notes[0]
    assert found.notes[1:] == ("It finds 12 pieces in 1 line items, the built-in parser 2 in 1.",)
    assert line.confidence == model_module.SURENESS
    assert b"POST /chat/completions" in requests[0]
    assert f"authorization: bearer {KEY}".encode() in requests[0].lower()


async def test_two_readings_that_agree_need_no_note() -> None:
    tray = {"line": 3, "description": "Tray", "quantity": 2}
    found, _ = await asked([said(order(tray))])
    assert len(found.notes) == 1


def test_there_is_time_left_to_go_on_without_an_answer() -> None:
    """An invocation of a minute, which is what Lambda's streams have, leaves before it ends."""
    assert model_module.ASK_SECONDS < 60.0 - MARGIN_SECONDS


async def test_what_is_not_in_the_text_is_doubted() -> None:
    invented = {**MUGS, "sku": "CUP-99", "quantity": 500}
    found, _ = await asked([said(order(MUGS, invented))])
    sure, unsure = found.lines
    assert sure.confidence - unsure.confidence == 2 * model_module.UNSEEN


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("I am sorry.", "no order"),
        ("{", "no order"),
        (order(), "lines"),
        (order({**MUGS, "quantity": -3}), r"lines\.0\.quantity"),
        (order({**MUGS, "quantity": 2.5}), r"lines\.0\.quantity"),
        (order({**MUGS, "line": 99}), r"lines\.0\.line"),
        (order({**MUGS, "price": "cheap"}), "the price 'cheap'"),
        (order({**MUGS, "sku": "x" * 200}), "a SKU has at most"),
        ([MUGS], "no order"),
    ],
)
async def test_an_answer_that_is_no_order_is_not_used(content: object, why: str) -> None:
    async with answering([said(content)]) as server:
        model = Model(server.url, "small-model")
        with pytest.raises(ModelFailed, match=why):
            await model.read(PROSE.decode())
        await model.aclose()
    found, _ = await asked([said(content)])
    assert (found.parser, [it.description for it in found.lines]) == ("built-in", ["Tray"])
    assert found.notes[0].startswith("Read by the built-in parser: the model's answer is no order")


async def test_fences_and_additions_are_borne() -> None:
    content = f"Here it is:\n```json\n{json.dumps(order({**MUGS, 'colour': 'blue'}))}\n```"
    found, _ = await asked([said(content)])
    assert found.lines[0].quantity == 12
    as_numbers = {**MUGS, "price": 4.5, "sku": 17}
    found, _ = await asked([said(order(as_numbers))])
    assert (found.lines[0].price, found.lines[0].sku) == ("4.5", "17")


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([b""], "does not answer"),
        ([answer("", 500)], "answers 500"),
        ([answer("", 429, retry_after="9")], "asked too often"),
        ([answer("", 401)], "does not accept the key"),
        ([answer("{}")], "holds no text"),
        ([answer("not json")], "holds no text"),
    ],
    ids=lambda it: str(it)[:20],
)
async def test_where_the_model_fails_the_built_in_parser_counts(
    answers: list[bytes], why: str
) -> None:
    found, _ = await asked(answers)
    assert found.parser == "built-in"
    assert why in found.notes[0]
    assert KEY not in found.text


async def test_a_model_that_is_away_is_waited_for_where_only_it_can_read() -> None:
    prose = b"Please send a dozen blue mugs.\n"
    with pytest.raises(UpstreamLost):
        await asked([answer("", 503)], prose)
    with pytest.raises(BadOrder, match="no line of an order"):
        await asked([answer("", 401)], prose)


async def test_a_model_that_is_silent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "ASK_SECONDS", 0.1)
    async with answering([b"HTTP/1.1 200 OK\r\n"]) as server:
        server.hold = True
        model = Model(server.url, "small-model")
        found = await read(PROSE, "", model)
        assert "does not answer" in found.notes[0]
        await model.aclose()


async def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "MAX_ANSWER_BYTES", 1000)
    found, _ = await asked([said("x" * 2000)])
    assert "over 1000 bytes" in found.notes[0]


@pytest.mark.parametrize(
    "name", ["semicolons.csv", "shop.json", "negative-quantity.csv", "negative.txt", "broken.json"]
)
async def test_it_is_not_asked_for_what_says_itself_what_it_is(name: str) -> None:
    """A model that makes something right of what is wrong would be worse than none."""
    async with answering([]) as server:
        model = Model(server.url, "small-model")
        with contextlib.suppress(BadOrder):
            await read(example(name), "", model)
        assert server.asked == []
        await model.aclose()


async def test_long_texts_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "MAX_TEXT_CHARACTERS", 10)
    found, requests = await asked([])
    assert requests == []
    assert "over 10 characters" in found.notes[0]


async def test_the_text_is_data_and_numbered() -> None:
    seen: list[str] = []

    async def ask(self: Model, text: str) -> str:
        seen.append(text)
        return json.dumps(order(MUGS))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "_ask", ask)
        await Model("http://127.0.0.1:1", "m").read("a\nb")
    assert seen == ["1: a\n2: b"]


def test_the_key_is_not_shown() -> None:
    assert KEY not in repr(Model("https://api.example", "small-model", KEY))
