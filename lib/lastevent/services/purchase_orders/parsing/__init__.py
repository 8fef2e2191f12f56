"""From the bytes of an upload to an order. No IO.

The built-in parsers read what has a structure, and say by lines what is wrong with it; one fault
refuses the whole file, since nobody looks for a line that was left out.
"""

import codecs

from lastevent.services.purchase_orders.order import Kind, Order
from lastevent.services.purchase_orders.parsing.csv_file import has_header, parse_csv
from lastevent.services.purchase_orders.parsing.fault import BadOrder
from lastevent.services.purchase_orders.parsing.json_file import parse_json_order
from lastevent.services.purchase_orders.parsing.plain_text import parse_text

__all__ = ["BadOrder", "decode", "kind_of", "parse"]

KINDS: dict[str, Kind] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/json": "json",
}
"""Content types that say what a file is; of others it is seen by looking."""


def parse(content: bytes, content_type: str = "") -> Order:
    """Return the order in ``content``; raise BadOrder."""
    text = decode(content)
    match kind_of(text, content_type):
        case "json":
            return parse_json_order(text)
        case "csv":
            return parse_csv(text)
        case _:
            return parse_text(text)


def kind_of(text: str, content_type: str = "") -> Kind:
    """Return what kind of file a text is: as it is declared, or as it looks."""
    declared = KINDS.get(content_type.partition(";")[0].strip().lower())
    if declared is not None:
        return declared
    if text.lstrip()[:1] in ("{", "["):
        return "json"
    return "csv" if has_header(text) else "text"


def decode(content: bytes) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with its mark; raise BadOrder."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        if is_utf16:
            raise BadOrder([(1, "the file begins like UTF-16, and is not")]) from error
        place = content.count(b"\n", 0, error.start) + 1
        wrong = f"the byte 0x{content[error.start]:02X} is not UTF-8: save the file as UTF-8"
        raise BadOrder([(place, wrong)]) from error
    if "\0" in text:
        place = text.count("\n", 0, text.index("\0")) + 1
        raise BadOrder([(place, "this is no text: write CSV, JSON or plain text")])
    if not text.strip():
        raise BadOrder([(1, "the file is empty")])
    return text
