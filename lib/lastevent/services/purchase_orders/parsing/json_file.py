"""Orders as JSON: an object with a list of lines, by whatever names, or the list alone. No IO."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lastevent.services.purchase_orders.order import Order
from lastevent.services.purchase_orders.parsing.columns import (
    about,
    folded,
    quantities,
    roles,
    texts_of,
)
from lastevent.services.purchase_orders.parsing.fault import BadOrder
from lastevent.services.purchase_orders.parsing.rows import Row, make_order

LISTS = frozenset(
    {
        *("lines", "line items", "items", "products", "positions", "order lines", "order items"),
        *("articles", "entries", "rows", "positionen", "artikel", "lignes", "articulos"),
    }
)
DEEPEST = 4
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}]', re.DOTALL)


class _Placed(dict[str, Any]):
    """A JSON object that knows the line where it begins."""

    place: int = 1


def parse_json_order(text: str) -> Order:
    """Return the order in a JSON document; raise BadOrder."""
    document = _document(text)
    found = _lines(document)
    if found is None:
        raise BadOrder(
            [(1, 'no list of lines, such as {"lines":[{"sku":"A-1","quantity":2}]}')],
            recognised=False,
        )
    order, lines = found
    faults = [
        (1 if order is None else order.place, f"item {number} of the lines is no JSON object")
        for number, line in enumerate(lines, 1)
        if not isinstance(line, _Placed)
    ]
    if faults:
        raise BadOrder(faults)
    if not lines:
        raise BadOrder([(1 if order is None else order.place, "the list of lines is empty")])
    return make_order([_row(line) for line in lines], _about(order), mark=".")


def _document(text: str) -> Any:
    # Objects are made in the order in which they end: so their places are found.
    places = iter(_begins(text))

    def placed(pairs: list[tuple[str, Any]]) -> _Placed:
        made = _Placed(pairs)
        made.place = next(places, 1)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise BadOrder([(made.place, f"the member {twice[:40]!r} is there more than once")])
        return made

    try:
        # Numbers as they are written: money is no float, and Python's integers have a length.
        return json.loads(
            text,
            object_pairs_hook=placed,
            parse_float=str,
            parse_int=str,
            parse_constant=_refuse,
        )
    except json.JSONDecodeError as error:
        raise BadOrder([(error.lineno, f"{error.msg} (column {error.colno})")]) from error
    except RecursionError as error:
        raise BadOrder([(1, "lists within lists, too deep to be an order")]) from error
    except ValueError as error:
        raise BadOrder([(1, str(error))]) from error


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _begins(text: str) -> Iterator[int]:
    """Yield the lines where the objects begin, in the order in which they end."""
    opened: list[int] = []
    line, seen = 1, 0
    for token in _TOKEN.finditer(text):
        line += text.count("\n", seen, token.start())
        seen = token.start()
        if token[0] == "{":
            opened.append(line)
        elif token[0] == "}" and opened:
            yield opened.pop()


def _lines(document: Any, depth: int = 0) -> tuple[_Placed | None, list[Any]] | None:
    """Return the object that holds the list of lines, if any, and that list."""
    if isinstance(document, list):
        return (None, document) if depth == 0 else None
    if not isinstance(document, _Placed) or depth > DEEPEST:
        return None
    for name, value in document.items():
        if folded(name) in LISTS and isinstance(value, list):
            return document, value
    for value in document.values():
        found = _lines(value, depth + 1) if isinstance(value, _Placed) else None
        if found is not None:
            return found
    return None


def _row(line: _Placed) -> Row:
    flat = dict(_flat(line))
    names, fields = list(flat), list(flat.values())
    return Row(line.place, texts_of(fields, roles(names), quantities(names)))


def _flat(line: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a line's members as texts; those of an object within it by what they are alone."""
    for name, value in line.items():
        if isinstance(value, Mapping):
            if "amount" in value:  # {"price": {"amount": "4.50", "currency": "EUR"}}
                yield name, _text(value["amount"])
            yield from (
                (inner, _text(it))
                for inner, it in value.items()
                if inner not in line and inner != "amount"
            )
        elif isinstance(value, list):
            yield name, " ".join(_text(_address(it)) for it in value)
        else:
            yield name, _text(value)


def _address(value: Any) -> Any:
    """Return the address in an image's object."""
    if isinstance(value, Mapping):
        return next((value[name] for name in ("url", "src", "href") if name in value), "")
    return value


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool | Mapping | list):
        return ""
    return str(value)


def _about(order: _Placed | None) -> dict[str, str]:
    said: dict[str, str] = {}
    for name, value in (order or {}).items():
        what = about(name)
        if isinstance(value, Mapping):  # {"supplier": {"name": "ACME"}}
            value = value.get("name", value.get("id"))
        if what is not None and isinstance(value, str):
            said.setdefault(what, str(value))
    return said
