"""Numbers as people write them: 1,234.56 and 1.234,56, with a currency or without. No IO."""

import re
from collections.abc import Iterable
from decimal import Decimal

CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY"}
CODES = frozenset(
    re.findall(
        "[A-Z]{3}",
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP "
        "BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP "
        "GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES "
        "KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU "
        "MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON "
        "RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND "
        "TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG",
    )
)
"""ISO 4217, what is paid with."""

_MONEY = re.compile(
    r"^(?P<before>[^\d+.,'-]*)(?P<number>[-+]?[\d.,'\u00a0\u202f ]*\d)(?P<after>\D*)$"
)
_PLAIN = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_GROUPS = re.compile(r"[-+]?\d{1,3}(?:([.,' ])\d{3})(?:\1\d{3})*")
_ONE_MARK = re.compile(r"[-+]?\d*([.,])(\d+)")


def currency_code(text: str) -> str:
    """Return the code of a currency by its sign or its code, "" for what is neither."""
    code = CURRENCIES.get(text.strip(), text.strip().upper())
    return code if code in CODES else ""


def split_money(text: str) -> tuple[str, str]:
    """Return the number in ``text`` as it is written, and its currency's code ("" for none).

    The number is "" if there is none, or something else beside a currency.
    """
    found = _MONEY.match(text.strip())
    if found is None:
        return "", ""
    around = (found["before"] + found["after"]).replace("\u00a0", " ").strip()
    code = currency_code(around)
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
