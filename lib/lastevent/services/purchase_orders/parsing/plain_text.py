"""Orders as people write them: an e-mail, the lines of an invoice. No IO.

12 x Blue Mug (SKU MUG-01) @ 4.50
- 3 pcs Red Plate [PLT-2], 7,90 EUR each
MUG-01    Blue Mug    12    4.50    54.00
Blue Mug - 12 pcs
"""

import re
from collections.abc import Mapping

from lastevent.services.purchase_orders.order import Order
from lastevent.services.purchase_orders.parsing.columns import Role, about, is_total
from lastevent.services.purchase_orders.parsing.fault import BadOrder
from lastevent.services.purchase_orders.parsing.numbers import split_money
from lastevent.services.purchase_orders.parsing.rows import Row, make_order

SURENESS = 95
"""Of the best line: prose may always mean something else."""

LINE_ENDS = re.compile(r"\r\n?|\n")
LONGEST_LINE = 500
"""Longer lines are no lines of an order."""

_UNIT = r"(?:x|×|pcs?\.?|pieces?|units?|ea\.?|stk\.?|stück|mal|fois|uds?\.?)"
_NUMBER = r"-?\d[\d.,']{0,20}"
_SKU = r"[A-Z0-9](?:[A-Z0-9]|[-_./](?=[A-Z0-9])){1,40}"
_BULLET = re.compile(r"^\s*(?:[*•·]|-(?=\s)|\d{1,3}[.)](?=\s))\s*")
_COUNT_FIRST = re.compile(
    rf"(?P<quantity>{_NUMBER})\s*(?:{_UNIT}(?=[\s:])\s*(?:of\s+)?|×\s*)(?P<rest>\S.*)",
    re.IGNORECASE,
)
_COUNT_LAST = re.compile(
    # One mark before the count, more of them are the name's: or a row of marks is tried from each.
    rf"(?P<rest>\S.*?)[\s,:–-](?:(?:qty|quantity|menge|anzahl)[:\s]{{0,9}}(?P<named>{_NUMBER})|"
    rf"(?P<quantity>{_NUMBER})\s{{0,9}}{_UNIT})"
    r"(?P<after>[\s,]*(?:(?:@|à|at|je|a)\s.*|[€$£\d].*)?)$",
    re.IGNORECASE,
)
_COUNT_WITHIN = re.compile(  # We also need 12 x Blue Mug
    rf"[^\d]{{1,40}}\s(?P<quantity>{_NUMBER})\s*"
    r"(?:x|×|pcs?\.?|pieces?|units?|stk\.?|stück|uds?\.?)\s+(?:of\s+)?(?P<rest>\S.*)",
    re.IGNORECASE,
)
_NAMED_SKU = re.compile(
    r"[(\[]?\s*\b(?:sku|(?:art(?:icle|ikel)?[.-]{0,2}\s?(?:no|nr)?|item\s?(?:no|nr)|ref)"
    r"(?=\.?[:#\s]+\S*[\d-]))\.?[:#\s]+"
    rf"(?P<sku>{_SKU})\s*[)\]]?",
    re.IGNORECASE,
)
_BRACKETED_SKU = re.compile(rf"[(\[]\s*(?P<sku>{_SKU})\s*[)\]]")
_MONEY = r"(?:[€$£]\s?|[A-Z]{3}\s)?\d[\d.,']{0,20}(?:\s?(?:[€$£]|[A-Z]{3}\b))?"
_PRICE = re.compile(
    rf"(?:@|\bat\b|\bà\b|\bje\b|\ba\b)\s*(?P<price>{_MONEY})(?:\s*(?:each|/\s?\w+|pro\s\w+))?"
)
_PRICE_LAST = re.compile(
    rf"[\s,;:–-](?P<price>{_MONEY})\s*(?:each|ea\.?|per\s\w+|/\s?(?:pc|pcs|unit|stk)\.?)$",
    re.IGNORECASE,
)
_TOTAL_LAST = re.compile(rf"\s*(?:=|\btotal:?)\s*(?P<total>{_MONEY})$", re.IGNORECASE)
_COLUMNS = re.compile(r"\t+|\s{2,}|\s*\|\s*")
_CODE = re.compile(rf"(?=.*[\d-]){_SKU}")
_COUNT = re.compile(r"-?\d{1,7}")
_IMAGE = re.compile(r"https?://[!-~]+\.(?:png|jpe?g|webp|gif)(?:\?[!-~]*)?", re.IGNORECASE)
_SAID = re.compile(
    r"^\s*(?P<name>[A-Za-zÀ-ÿ. ]{2,30}?)\s*(?:[:#]|no\.?|nr\.?)\s*#?\s*(?P<value>\S.{0,80}?)\s*$"
)


def parse_text(text: str) -> Order:
    """Return the order in a text: the lines that read like one's, the others passed over.

    Raises BadOrder, also when no line does.
    """
    rows: list[Row] = []
    said: dict[str, str] = {}
    for place, line in enumerate(LINE_ENDS.split(text), 1):
        if len(line) > LONGEST_LINE or line.startswith(">"):
            continue  # the latter is quoted from an earlier mail
        texts = _read(line)
        if texts is not None:
            rows.append(Row(place, texts))
            continue
        for part in _COLUMNS.split(line):
            if (found := _SAID.match(part)) and (what := about(found["name"])):
                said.setdefault(what, found["value"])
    if not rows:
        raise BadOrder(
            [(1, "no line of an order is in this text: write 12 x Blue Mug (SKU MUG-01) @ 4.50")],
            recognised=False,
        )
    return make_order(rows, said, sureness=SURENESS)


def _read(line: str) -> Mapping[Role, str] | None:
    """Return the parts of a line, None if it is none of an order's."""
    image = _IMAGE.search(line)
    if image is not None:
        line = line[: image.start()].rstrip(" ,;(<") + line[image.end() :].lstrip(")>")
    line = _BULLET.sub("", line).strip()
    texts = _counted(line) or _tabular(line)
    if texts is None or image is None:
        return texts
    return {**texts, "image": image[0]}


def _counted(line: str) -> dict[Role, str] | None:
    texts: dict[Role, str] = {}
    if first := _COUNT_FIRST.match(line):
        texts["quantity"], rest = first["quantity"], first["rest"]
    elif last := _COUNT_LAST.match(line):
        texts["quantity"] = last["named"] or last["quantity"]
        rest = f"{last['rest']} {last['after']}"
    elif within := _COUNT_WITHIN.match(line):
        texts["quantity"], rest = within["quantity"], within["rest"]
    else:
        return None
    if total := _TOTAL_LAST.search(rest):
        texts["total"], rest = total["total"], rest[: total.start()]
    if price := _PRICE.search(rest) or _PRICE_LAST.search(rest):
        texts["price"] = price["price"]
        rest = f"{rest[: price.start()]} {rest[price.end() :]}"
    if sku := _NAMED_SKU.search(rest) or _BRACKETED_SKU.search(rest):
        texts["sku"] = sku["sku"]
        rest = f"{rest[: sku.start()]} {rest[sku.end() :]}"
    description = " ".join(rest.split()).strip(" ,;:.–-@")
    if not any(letter.isalpha() for letter in description) and "sku" not in texts:
        return None
    texts["description"] = description
    return texts


def _tabular(line: str) -> dict[Role, str] | None:
    """Read ``CODE  name  12  4.50  54.00`` in columns: a count, money after it, a name before."""
    cells = [cell.strip() for cell in _COLUMNS.split(line) if cell.strip()]
    if len(cells) < 3 or is_total(cells[0]):
        return None
    at = next((n for n, cell in enumerate(cells) if n and _COUNT.fullmatch(cell)), None)
    if at is None or len(cells) > at + 3:
        return None
    money = cells[at + 1 :]
    if not all(split_money(cell)[0] for cell in money):
        return None
    names = cells[:at]
    texts: dict[Role, str] = {"quantity": cells[at]}
    if _CODE.fullmatch(names[0]):
        texts["sku"] = names.pop(0)
    if names:
        texts["description"] = " ".join(names)
    for role, cell in zip(("price", "total"), money, strict=False):
        texts["price" if role == "price" else "total"] = cell
    return texts
