"""Orders as tables of text: commas, semicolons, tabs or bars between the fields. No IO."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress

from lastevent.services.purchase_orders.order import Order
from lastevent.services.purchase_orders.parsing.columns import (
    Role,
    about,
    is_total,
    quantities,
    roles,
    texts_of,
)
from lastevent.services.purchase_orders.parsing.fault import BadOrder
from lastevent.services.purchase_orders.parsing.rows import Row, make_order

SEPARATORS = ",;\t|"
HEADER_WITHIN = 30
"""The header is one of so many first lines; before it stands what is said of the whole order."""

MOST_FIELD_CHARACTERS = 10_000

type _Record = tuple[int, list[str]]
"""The line where a record begins, from 1, and its fields."""


def parse_csv(text: str) -> Order:
    """Return the order in a table with a header; raise BadOrder."""
    separator, _ = _best_header(text)
    records = list(_records(text, separator))
    at, found = _header(records)
    head, names = records[at]
    if "quantity" not in found or not found.keys() & {"sku", "description"}:
        lacking = "the quantity" if "quantity" not in found else "the SKU or the description"
        example = "Qty" if "quantity" not in found else "SKU"
        told = ", ".join(name.strip() for name in names if name.strip())[:200]
        raise BadOrder(
            [(head, f"no column is {lacking}, such as {example!r}, among: {told or 'nothing'}")],
            recognised=len(found) > 1,
        )
    counts = quantities(names)
    rows: list[Row] = []
    faults: list[tuple[int, str]] = []
    for place, fields in records[at + 1 :]:
        if not any(field.strip() for field in fields) or is_total(_first(fields)):
            continue
        if any(field.strip() for field in fields[len(names) :]):
            faults.append(
                (
                    place,
                    f"{len(fields)} fields, but the header has {len(names)}: quote those "
                    f"that hold a {_called(separator)}",
                )
            )
            continue
        rows.append(Row(place, texts_of(fields, found, counts)))
    if faults:
        raise BadOrder(faults)
    if not rows:
        raise BadOrder([(head, "no line follows the header")])
    # Who separates fields by semicolons does so because commas stand in numbers.
    mark = "," if separator == ";" else None
    return make_order(rows, _said_before(records[:at]), mark=mark)


def has_header(text: str) -> bool:
    """Whether one of a text's first lines names columns, with half of its fields at least."""
    _, header = _best_header(text)
    return len(roles(header)) >= max(2, len(header) / 2)


def _best_header(text: str) -> tuple[str, list[str]]:
    """Return the separator that makes the best header of one of the first lines, and that one."""
    beginning = "\n".join(text.splitlines()[:HEADER_WITHIN])
    separator, header = ",", list[str]()
    for candidate in SEPARATORS:
        with suppress(BadOrder):  # half a record at its end, perhaps
            for _, fields in _records(beginning, candidate):
                if len(roles(fields)) > len(roles(header)):
                    separator, header = candidate, fields
    return separator, header


def _records(text: str, separator: str) -> Iterator[_Record]:
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True
    )
    begins = 1
    try:
        for fields in reader:
            for field in fields:
                if len(field) > MOST_FIELD_CHARACTERS:
                    raise BadOrder(
                        [(begins, f"a field has over {MOST_FIELD_CHARACTERS} characters")]
                    )
            yield begins, fields
            begins = reader.line_num + 1
    except csv.Error as error:
        raise BadOrder(
            [(begins, f"a quote is opened and not closed, or closed too soon ({error})")]
        ) from error


def _header(records: Sequence[_Record]) -> tuple[int, dict[Role, int]]:
    """Return the place of the record that names most columns, and which they are."""
    if not records:
        raise BadOrder([(1, "the file is empty")])
    named = [roles(fields) for _, fields in records[:HEADER_WITHIN]]
    best = max(range(len(named)), key=lambda place: (len(named[place]), -place))
    return best, named[best]


def _said_before(records: Sequence[_Record]) -> dict[str, str]:
    """Return what stands before the header: ``Supplier;ACME`` or ``Supplier: ACME``."""
    said: dict[str, str] = {}
    for _, fields in records:
        given = [field.strip() for field in fields if field.strip()]
        if len(given) == 1:
            given = [part.strip() for part in given[0].split(":", 1)]
        if len(given) >= 2 and (what := about(given[0].rstrip(":"))):
            said.setdefault(what, given[1])
    return said


def _first(fields: Sequence[str]) -> str:
    return next((field for field in fields if field.strip()), "")


def _called(separator: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}[separator]
