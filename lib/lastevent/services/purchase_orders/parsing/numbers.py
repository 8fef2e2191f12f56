"""Numbers as people write them: 1,234.56 and 1.234,56, with a currency or without. No IO."""

import re
from collections.abc import Iterable
from decimal import Decimal

CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY"}
CODES = frozenset(
    re.findall(
        "[A-Z]{3}",
        "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF INR JPY KRW MXN NOK NZD PLN RON SEK SGD TRY "
        "USD ZAR",
    )
)

_MONEY = re.compile(
    r"^(?P<before>[^\d+.,'-]*)(?P<number>[-+]?[\d.,'\u00a0\u202f ]*\d)(?P<after>\D*)$"
)
_PLAIN = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_GROUPS = re.compile(r"[-+]?\d{1,3}(?:([.,' ])\d{3})(?:\1\d{3})*")
_ONE_MARK = re.compile(r"[-+]?\d*([.,])(\d+)")


def split_money(text: str) -> tuple[str, str]:
    """Return the number in ``text`` as it is written, and its currency's code ("" for none).

    The number is "" if there is none, or something else beside a currency.
    """
    found = _MONEY.match(text.strip())
    if found is None:
        return "", ""
    around = (found["before"] + found["after"]).replace("\u00a0", " ").strip().upper()
    code = CURRENCIES.get(around, around if around in CODES else "")
    if around and not code:
        return "", ""
    return re.sub(r"[\u00a0\u202f]", " ", found["number"]).strip(), code


def decimal_mark(numbers: Iterable[str]) -> str | None:
    """Return the mark, "." or ",", that all these numbers can be read with; None if any may be.

    Numbers such as 1,234 say nothing by themselves; 4,5 and 1.234,56 do.
    """
    for number in numbers:
        last = max(number.rfind("."), number.rfind(","))
        if last < 0:
            continue
        mark = number[last]
        other = "." if mark == "," else ","
        if other in number or len(number) - last - 1 != 3:
            # What stands behind the last of several equal marks is a group, and always three long.
            return mark if number.count(mark) == 1 else other
        if number.count(mark) > 1:
            return other
    return None


def number(text: str, mark: str | None) -> tuple[Decimal, bool] | None:
    """Return a number and whether it may have been meant otherwise; None if it is none.

    ``mark`` is the decimal mark, None where nobody knows: then 1.234 is taken as it stands, and
    1,234 for a thousand, neither for sure.
    """
    found = _ONE_MARK.fullmatch(text)
    unsure = mark is None and found is not None and len(found[2]) == 3
    if mark is None:
        mark = "." if found is None or found[1] == "." or len(found[2]) == 3 else ","
    whole, _, fraction = text.partition(mark)
    if re.search(r"[.,' ]", whole) and _GROUPS.fullmatch(whole) is None:
        return None
    if mark in fraction:
        return None
    plain = re.sub(r"[.,' ]", "", whole) + (f".{fraction}" if fraction else "")
    return (Decimal(plain), unsure) if _PLAIN.fullmatch(plain) else None
