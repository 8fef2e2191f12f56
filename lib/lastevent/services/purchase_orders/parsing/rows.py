"""From the texts of a row to a line of an order, whatever file the row stood in. No IO."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from lastevent.services.purchase_orders.order import (
    LONGEST_ADDRESS,
    LONGEST_SKU,
    LONGEST_TEXT,
    MAX_IMAGES,
    MAX_LINES,
    MAX_ORDER_IMAGES,
    MAX_PRICE,
    MAX_QUANTITY,
    Line,
    Order,
)
from lastevent.services.purchase_orders.parsing.columns import Role
from lastevent.services.purchase_orders.parsing.fault import BadOrder
from lastevent.services.purchase_orders.parsing.numbers import (
    currency_code,
    decimal_mark,
    number,
    split_money,
)

# How much less sure a line is for what it lacks, and for what does not fit.
NO_SKU = 10
NO_DESCRIPTION = 5
NO_PRICE = 10
UNSURE_NUMBER = 15
OTHER_TOTAL = 30

LONGEST_NUMBER = 30

_MONEY_ROLES: tuple[Role, ...] = ("price", "total")
_UNITS = re.compile(r"\s*(?:x|pcs?|pieces?|units?|ea|each|stk|stück|st|pz|uds?)\.?$", re.IGNORECASE)
# Halves of characters too: JSON may name them, and no store takes them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]+")
_SHORTENED = re.compile(r"\d([.,]\d+)?e\+\d+", re.IGNORECASE)
"""What a spreadsheet makes of a long number: 4.00638E+12. The rest of its digits is gone."""


@dataclass(frozen=True, slots=True)
class Row:
    """The texts of one line by what they are, and the line of the file where it begins."""

    place: int
    texts: Mapping[Role, str]

    def get(self, role: Role) -> str:
        """Return a text without the space around it; "" if there is none."""
        return " ".join(_CONTROL.sub(" ", self.texts.get(role, "")).split())


@dataclass(slots=True)
class _Marks:
    """The decimal marks of quantities and of money: a file's columns each have one."""

    quantity: str | None
    money: str | None

    @classmethod
    def of(cls, rows: Sequence[Row], otherwise: str | None) -> "_Marks":
        quantities = [_bare(row.get("quantity")) for row in rows]
        money = [split_money(row.get(role))[0] for row in rows for role in _MONEY_ROLES]
        mark = decimal_mark(money) or decimal_mark(quantities) or otherwise
        return cls(decimal_mark(quantities) or mark, mark)


def make_order(
    rows: Sequence[Row],
    about: Mapping[str, str] = {},
    *,
    mark: str | None = None,
    sureness: int = 100,
    notes: Sequence[str] = (),
) -> Order:
    """Return the order of ``rows``; raise BadOrder that names every row at fault.

    ``mark`` is the decimal mark where the numbers do not say it themselves, ``sureness`` what the
    best line's confidence is.
    """
    if len(rows) > MAX_LINES:
        raise BadOrder([(rows[MAX_LINES].place, f"an order has at most {MAX_LINES} lines")])
    marks = _Marks.of(rows, mark)
    lines: list[Line] = []
    faults: list[tuple[int, str]] = []
    currencies = [currency_code(about.get("currency", ""))]
    for row in rows:
        found = [fault for fault in (_too_long(row), _shortened(row), _nameless(row)) if fault]
        quantity, unsure_quantity = _quantity(row, marks, found)
        price, unsure_price = _price(row, marks, found)
        images = _images(row, found)
        currencies += _currencies(row, found)
        if found:
            faults += [(row.place, what) for what in found]
            continue
        less = sum(
            points
            for points, holds in (
                (NO_SKU, not row.get("sku")),
                (NO_DESCRIPTION, not row.get("description")),
                (NO_PRICE, price is None),
                (UNSURE_NUMBER, unsure_quantity or unsure_price),
                (OTHER_TOTAL, not _fits(row, marks, quantity, price)),
            )
            if holds
        )
        lines.append(
            Line(
                place=row.place,
                quantity=quantity,
                sku=row.get("sku"),
                description=row.get("description"),
                price=None if price is None else f"{price:f}",
                barcode=row.get("barcode"),
                images=images,
                confidence=max(sureness - less, 0),
            )
        )
    if len({image for line in lines for image in line.images}) > MAX_ORDER_IMAGES:
        faults.append((rows[0].place, f"an order has at most {MAX_ORDER_IMAGES} images"))
    named = sorted({code for code in currencies if code})
    if len(named) > 1:
        faults.append((rows[0].place, f"more than one currency: {', '.join(named)}"))
    if faults:
        raise BadOrder(faults)
    return Order(
        lines=tuple(lines),
        number=_short(about.get("number", "")),
        supplier=_short(about.get("supplier", "")),
        currency=named[0] if named else "",
        notes=tuple(notes),
    )


def _short(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())[:LONGEST_TEXT]


def _bare(text: str) -> str:
    return _UNITS.sub("", text)


def _too_long(row: Row) -> str | None:
    if len(row.get("sku")) > LONGEST_SKU:
        return f"a SKU has at most {LONGEST_SKU} characters"
    if len(row.get("barcode")) > LONGEST_SKU:
        return f"a barcode has at most {LONGEST_SKU} characters"
    if len(row.get("description")) > LONGEST_TEXT:
        return f"a description has at most {LONGEST_TEXT} characters"
    return None


def _shortened(row: Row) -> str | None:
    roles: tuple[Role, ...] = ("sku", "barcode")
    for role in roles:
        if _SHORTENED.fullmatch(row.get(role)):
            return (
                f"the {role} {row.get(role)!r} has lost digits: format its column as text before "
                "it is exported"
            )
    return None


def _nameless(row: Row) -> str | None:
    if row.get("sku") or row.get("description"):
        return None
    return "neither a SKU nor a description says which product"


def _quantity(row: Row, marks: _Marks, faults: list[str]) -> tuple[int, bool]:
    """Return the quantity, and whether it may have been meant otherwise."""
    text = row.get("quantity")
    bare = _bare(text)
    read = number(bare, marks.quantity) if len(bare) <= LONGEST_NUMBER else None
    if not text:
        faults.append("the quantity is missing")
    elif read is None:
        faults.append(f"the quantity {text[:40]!r} is not a number")
    elif read[0] != read[0].to_integral_value():
        faults.append(f"the quantity {text[:40]!r} is not a whole number")
    elif not 1 <= read[0] <= MAX_QUANTITY:
        faults.append(f"the quantity is {text[:40]}: write a whole number from 1 to {MAX_QUANTITY}")
    else:
        # 1.000 is one piece by three decimals, as some systems write it, or a thousand.
        return int(read[0]), read[1] or (read[0] < 1000 and bare[-4:] in (".000", ",000"))
    return 0, False


def _currencies(row: Row, faults: list[str]) -> list[str]:
    """Return what the row says of its currency, beside its money too."""
    named = row.get("currency")
    code = currency_code(named)
    if named and not code:
        faults.append(f"the currency {named[:10]!r} is not known: write a code such as EUR")
    return [code, *(split_money(row.get(role))[1] for role in _MONEY_ROLES)]


def _price(row: Row, marks: _Marks, faults: list[str]) -> tuple[Decimal | None, bool]:
    """Return the price, None if there is none, and whether it may have been meant otherwise."""
    text = row.get("price")
    if not text:
        return None, False
    written, _ = split_money(text)
    read = number(written, marks.money) if 0 < len(written) <= LONGEST_NUMBER else None
    if read is None:
        faults.append(f"the price {text[:40]!r} is not a number")
    elif not 0 <= read[0] <= MAX_PRICE:
        faults.append(f"the price is {text[:40]}: write a number from 0 to {MAX_PRICE}")
    else:
        return read
    return None, False


def _fits(row: Row, marks: _Marks, quantity: int, price: Decimal | None) -> bool:
    """Whether the line's sum, if it has one, is what the price makes of the quantity."""
    written, _ = split_money(row.get("total"))
    read = number(written, marks.money) if written else None
    if read is None or price is None:
        return True
    # Prices are rounded: half a cent a piece.
    return abs(read[0] - price * quantity) <= Decimal("0.005") * quantity + Decimal("0.01")


def _images(row: Row, faults: list[str]) -> tuple[str, ...]:
    addresses = (
        tuple(dict.fromkeys(re.split(r"[\s|]+", row.get("image").strip())))
        if row.get("image")
        else ()
    )
    for address in addresses:
        if not re.fullmatch(r"https?://[!-~]+", address) or len(address) > LONGEST_ADDRESS:
            faults.append(f"the image {address[:60]!r} is no address that begins with https://")
            return ()
    if len(addresses) > MAX_IMAGES:
        faults.append(f"a line has at most {MAX_IMAGES} images")
        return ()
    return addresses
