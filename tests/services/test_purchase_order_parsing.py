"""Uploads become orders, or errors that name the lines at fault; nothing else comes of them."""

import csv
import io
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastevent.services.purchase_orders.order import MAX_LINES, Line, Order, made_sku
from lastevent.services.purchase_orders.parsing import BadOrder, kind_of, parse
from lastevent.services.purchase_orders.parsing.numbers import decimal_mark, number, split_money
from tests.services.ordering import BAD, GOOD, example

# What is in the examples: number, supplier, currency, lines, pieces, total, confidence.
ORDERS = {
    "semicolons.csv": ("PO-2026-0417", "Keramik Nord GmbH", "EUR", 5, 1276, "24014.72", 100),
    "commas.csv": ("", "", "USD", 4, 1325, "26188.75", 100),
    "shop.json": ("4500017", "Northwind Outdoor", "GBP", 3, 145, "3283.50", 100),
    "list.json": ("", "", "", 3, 236, "666.00", 100),
    "mail.txt": ("CA-0617", "Blue House Pottery", "EUR", 5, 50, "276.25", 93),
    "invoice.txt": ("88213", "Acme Office Supplies Ltd", "", 4, 288, "880.30", 95),
    "two-hundred-lines.csv": ("HB-2026-11", "Harbour & Bay Ltd", "USD", 200, 39174, None, 100),
}

FAULTS: Mapping[str, list[tuple[int, str]]] = {
    "no-quantity.csv": [(1, "no column is the quantity, such as 'Qty', among: SKU, Desc")],
    "negative-quantity.csv": [
        (3, "the quantity is -3"),
        (4, "the quantity '2.5' is not a whole number"),
        (5, "the quantity is missing"),
        (6, "the price 'cheap' is not a number"),
    ],
    "letter.txt": [(1, "no line of an order is in this text")],
    "broken.json": [(5, "Expecting ',' delimiter (column 23)")],
    "latin-1.csv": [(3, "the byte 0xFC is not UTF-8: save the file as UTF-8")],
    "open-quote.csv": [(3, "a quote is opened and not closed")],
    "negative.txt": [(3, "the quantity is -3")],
    "two-currencies.json": [(3, "the quantity is 0"), (2, "more than one currency: EUR, USD")],
}


LONGEST_SECONDS = 3.0
"""For what takes half a second."""


def faults(content: bytes | str, content_type: str = "") -> tuple[tuple[int, str], ...]:
    raw = content.encode() if isinstance(content, str) else content
    with pytest.raises(BadOrder) as caught:
        parse(raw, content_type)
    return caught.value.faults


def line(text: str) -> Line:
    """The only line of an order."""
    (found,) = parse(text.encode()).lines
    return found


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_the_good_examples_are_read(path: Path) -> None:
    order = parse(path.read_bytes())
    head, lines, pieces, total, confidence = *[ORDERS[path.name][:3]], *ORDERS[path.name][3:]
    assert (order.number, order.supplier, order.currency) == head
    assert (len(order.lines), order.confidence) == (lines, confidence)
    assert total is None or (order.pieces, order.total) == (pieces, total)
    assert Order.parse(order.text) == order


def test_every_line_of_a_long_order_is_read() -> None:
    rows = list(csv.DictReader(example("two-hundred-lines.csv").decode().splitlines()[3:]))
    order = parse(example("two-hundred-lines.csv"))
    assert [(it.sku, it.quantity, it.price) for it in order.lines] == [
        (row["Item No"], int(row["Quantity"]), row["Unit Cost"]) for row in rows
    ]
    assert Decimal(order.total or 0) == sum(Decimal(row["Amount"]) for row in rows)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_the_bad_examples_are_refused_by_their_lines(path: Path) -> None:
    found = faults(path.read_bytes())
    assert [place for place, _ in found] == [place for place, _ in FAULTS[path.name]]
    for (_, what), (_, wanted) in zip(found, FAULTS[path.name], strict=True):
        assert what.startswith(wanted)


def test_an_error_names_the_lines_in_a_sentence_and_stops_at_twenty() -> None:
    rows = "\n".join(f"A-{n},none" for n in range(30))
    with pytest.raises(BadOrder, match=r"^line 2: .*; line 21: .*; and 10 more$"):
        parse(f"sku,qty\n{rows}".encode())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("12 x Blue Mug (SKU MUG-01) @ 4.50", Line(place=1, quantity=12, sku="MUG-01")),
        ("- 3 pcs Red Plate [PLT-2], 7,90 EUR each", Line(place=1, quantity=3, sku="PLT-2")),
        ("MUG-01    Blue Mug    12    4.50    54.00", Line(place=1, quantity=12, sku="MUG-01")),
        ("Blue Mug - 12 pcs", Line(place=1, quantity=12)),
        ("1) 7 × Tray, oak @ € 12", Line(place=1, quantity=7)),
        ("Tray, oak, Qty: 7", Line(place=1, quantity=7)),
        ("4 Stück Becher (Art.-Nr. B-12) à 3,20 €", Line(place=1, quantity=4, sku="B-12")),
        ("And we need 2 x Tray", Line(place=1, quantity=2)),
        ("Bitte 12 Stück Becher (Art.-Nr. B-12)", Line(place=1, quantity=12, sku="B-12")),
        ("Please send 30 pieces of A-4 (ref: A-4)", Line(place=1, quantity=30, sku="A-4")),
        ("2 x Art deco lamp", Line(place=1, quantity=2)),
        ("A-1 | Blue mug | 5 | 2.00", Line(place=1, quantity=5, sku="A-1")),
    ],
)
def test_lines_of_prose(text: str, wanted: Line) -> None:
    found = line(text)
    assert (found.quantity, found.sku) == (wanted.quantity, wanted.sku)


def test_prose_has_prices_and_names() -> None:
    prices = {
        "12 x Blue Mug (SKU MUG-01) @ 4.50": ("Blue Mug", "4.50"),
        "3 pcs Red Plate [PLT-2], 7,90 EUR each": ("Red Plate", "7.90"),
        "MUG-01    Blue Mug    12    4.50    54.00": ("Blue Mug", "4.50"),
        "7 x Tray, oak @ € 12": ("Tray, oak", "12"),
        "Blue Mug - 12 pcs": ("Blue Mug", None),
        "And we need 2 x Tray": ("Tray", None),
        "Board, oak (Art. No. BRD-9) - 6 pcs @ 18.00 EUR": ("Board, oak", "18.00"),
    }
    found = {text: line(text) for text in prices}
    assert {text: (it.description, it.price) for text, it in found.items()} == prices


@pytest.mark.parametrize(
    "text",
    [
        "We met on 12 May and talked about 3 shops.",
        "Call me at 4 pm, or before 10 June.",
        "> 40 x Blue Mug (SKU MUG-01) @ 4.20",
        "Total                        1,056.36",
    ],
)
def test_what_is_no_line_is_passed_over(text: str) -> None:
    assert len(parse(f"{text}\n2 x Tray\n".encode()).lines) == 1


def test_confidence_falls_with_what_is_missing_or_does_not_fit() -> None:
    table = "sku,name,qty,price,total\n"
    whole = line(f"{table}A,Mug,2,1.50,3.00")
    assert whole.confidence == 100
    without_price = line(f"{table}A,Mug,2,,")
    without_sku = line(f"{table},Mug,2,1.50,3.00")
    unfitting = line(f"{table}A,Mug,2,1.50,30.00")
    unsure = line('sku,name,qty,price\nA,Mug,2,"1,234"')
    found = [it.confidence for it in (without_price, without_sku, unsure, unfitting)]
    assert found == sorted(found, reverse=True)
    assert max(found) < 100


@pytest.mark.parametrize(
    ("quantity", "price", "read", "is_sure"),
    [
        ('"1,234"', "4.50", 1234, True),  # the price says which mark is which
        ('"1,234"', "", 1234, False),
        ("1.000", "4.50", 1, False),
        ('"1,000"', '"4,50"', 1, False),
        ("1.000", '"4,50"', 1000, True),
        ("12", "4.50", 12, True),
    ],
)
def test_a_quantity_that_may_be_a_thousand_times_another_is_doubted(
    quantity: str, price: str, read: int, is_sure: bool
) -> None:
    found = line(f"sku,name,qty,price\nA,Mug,{quantity},{price}\n")
    assert found.quantity == read
    assert (found.confidence == (100 if price else 90)) is is_sure


@pytest.mark.parametrize(
    ("written", "mark", "value"),
    [
        ("1234.56", ".", "1234.56"),
        ("1,234.56", ".", "1234.56"),
        ("1.234,56", ",", "1234.56"),
        ("1'234.56", ".", "1234.56"),
        ("1 234,56", ",", "1234.56"),
        ("4,5", ",", "4.5"),
        ("1.234.567", ",", "1234567"),
        (".5", ".", "0.5"),
        ("-3", None, "-3"),
    ],
)
def test_numbers_as_people_write_them(written: str, mark: str | None, value: str) -> None:
    assert decimal_mark([written]) in (mark, None)
    assert number(written, mark) == (Decimal(value), False)


@pytest.mark.parametrize(
    "written", ["", "12,34.5", "1,23,456", "1.2.3", "four", "1e3", "١٢", "--3", "NaN", "1,2,3.4"]
)
def test_what_is_no_number(written: str) -> None:
    assert number(written, ".") is None


def test_a_column_says_what_one_number_does_not() -> None:
    text = "sku;menge;preis\nA;2;1.234\nB;1;4,50\n"
    first, second = parse(text.encode()).lines
    assert (first.price, second.price) == ("1234", "4.50")
    assert first.confidence == second.confidence
    assert line("sku;menge;preis\nA;2;1,234\n").price == "1.234", "who writes ; writes a comma"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("€ 4.50", ("4.50", "EUR")),
        ("4,50€", ("4,50", "EUR")),
        ("USD 12", ("12", "USD")),
        ("12 CHF", ("12", "CHF")),
        ("12 apples", ("", "")),
        ("", ("", "")),
    ],
)
def test_money(text: str, found: tuple[str, str]) -> None:
    assert split_money(text) == found


@pytest.mark.parametrize(
    ("document", "quantities"),
    [
        ({"lines": [{"sku": "A", "quantity": 2}]}, [2]),
        ({"order": {"line_items": [{"SKU": "A", "Qty": "2"}]}}, [2]),
        ({"data": {"purchaseOrder": {"items": [{"itemCode": "A", "orderedQty": 2}]}}}, None),
        ([{"partNumber": "A", "units": 2}, {"product": {"sku": "B"}, "qty": 3}], [2, 3]),
    ],
)
def test_shapes_of_json(document: object, quantities: list[int] | None) -> None:
    text = json.dumps(document)
    if quantities is None:
        assert faults(text) == ((1, "the quantity is missing"),)
    else:
        assert [it.quantity for it in parse(text.encode()).lines] == quantities


def test_the_places_of_jsons_lines() -> None:
    text = '{"note": "{}}{",\n"lines": [\n{"sku": "A", "qty": 1, "x": {"y": 1}},\n{"sku": "B"}]}'
    assert faults(text) == ((4, "the quantity is missing"),)


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", 1, "the file is empty"),
        ("sku,qty\n", 1, "no line follows the header"),
        ('{"lines": []}', 1, "the list of lines is empty"),
        ('{"lines": [1]}', 1, "item 1 of the lines is no JSON object"),
        ('{"lines": NaN}', 1, "NaN is not a JSON value"),
        ('{"rates": [1]}', 1, "no list of lines"),
        ("[" * 100_000, 1, "lists within lists"),
        ("sku,qty\nA,1,2\n", 2, "3 fields, but the header has 2"),
        ("sku,qty,image\nA,1,javascript:alert(1)\n", 2, "the image 'javascript:alert(1)'"),
        ("sku,qty\n,1\n", 2, "neither a SKU nor a description"),
        (f"sku,qty\n{'A' * 81},1\n", 2, "a SKU has at most 80 characters"),
        ("sku,qty,price\nA,1,-2\n", 2, "the price is -2"),
        ("sku,qty,currency\nA,1,XYZ\n", 2, "the currency 'XYZ' is not known"),
        ("sku,qty,price,currency\nA,1,$4,EUR\n", 2, "more than one currency: EUR, USD"),
        ("sku,qty,price,total\nA,1,€4,$4\n", 2, "more than one currency: EUR, USD"),
        ("sku,qty,qty\nA,3,3\nA,3,5\n", 3, "the quantity '3 / 5' is not a number"),
        ("sku,quantity,pieces\nA,3,5\n", 2, "the quantity '3 / 5' is not a number"),
        ('[{"sku": "A",\n"x": {},\n"qty": 3, "qty": 5}]', 1, "the member 'qty' is there more"),
        ('[{"sku": "A", "qty": 3, "quantity": 5}]', 1, "the quantity '3 / 5' is not a number"),
        (f'[{{"sku": "A", "qty": {"9" * 5000}}}]', 1, f"the quantity '{'9' * 40}' is not a"),
        (f"sku,qty,price\nA,1,0.{'1' * 5000}\n", 2, f"the price '0.{'1' * 38}' is not a number"),
        ("sku,qty,ean\nA,1,4.00638E+12\n", 2, "the barcode '4.00638E+12' has lost digits"),
        ('sku,qty\n"4,1e+12",1\n', 2, "the sku '4,1e+12' has lost digits"),
        ("Dear Tom\f\v\u2028\u0085\n-3 x Mug", 2, "the quantity is -3"),
        ("sku,qty\nA,99999999\n", 2, "the quantity is 99999999"),
        ("sku,qty\n" + "A,1\n" * (MAX_LINES + 1), MAX_LINES + 2, "an order has at most"),
        ("PK\x03\x04\0\0", 1, "this is no text"),
    ],
)
def test_faults_have_their_line(text: str, place: int, what: str) -> None:
    (found,) = faults(text)
    assert found[0] == place
    assert found[1].startswith(what)


def test_encodings() -> None:
    text = "sku,name,qty\nA,Müsli,1\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (found,) = parse(text.encode(encoding)).lines
        assert found.description == "Müsli"
    assert faults(text.encode("utf-32"))[0][1].startswith("this is no text")
    assert faults(b"\xff\xfe") == ((1, "the file is empty"),)


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("sku,qty,price,currency\nA,1,4,THB\n", "THB"),
        ("sku,qty,price\nA,1,4 AED\n", "AED"),
        ("sku,qty,price\nA,1,$4\n", "USD"),
        ("Currency,€\nsku,qty,price\nA,1,4\n", "EUR"),
        ("Currency,see below\nsku,qty,price\nA,1,4\n", ""),
    ],
)
def test_any_currency_that_is_paid_with(text: str, currency: str) -> None:
    assert parse(text.encode()).currency == currency


def test_half_a_character_is_left_out() -> None:
    """JSON may say it, and nothing that has it can be written anywhere."""
    (found,) = parse(rb'[{"sku": "A\ud83d", "name": "\ud83dMug\ude00", "qty": 1}]').lines
    assert (found.sku, found.description) == ("A", "Mug")
    number = rb'{"number": "\ud83d7", "lines": [{"sku": "A", "qty": 1}]}'
    parse(number).text.encode()


@pytest.mark.parametrize(
    "content",
    [
        ("-" * 499 + "\n") * 500,
        (" , " * 166 + "\n") * 500,
        ("1x " + "1," * 240 + "\n") * 500,
        "sku,qty\n" + ("[" * 9_990 + "\n") * 26,
    ],
    ids=["dashes", "commas", "digits", "brackets"],
)
def test_no_upload_takes_long(content: str) -> None:
    """As long as one may be, of what a pattern might try again from each of its places."""
    began = process_time()
    faults(content, "text/csv" if content.startswith("sku") else "text/plain")
    assert process_time() - began < LONGEST_SECONDS


def test_the_declared_type_counts_where_it_says_something() -> None:
    assert kind_of("sku,qty\nA,1", "text/plain; charset=utf-8") == "csv"
    assert kind_of("12 x Mug", "text/csv") == "csv"
    assert kind_of(' [{"a": 1}]') == "json"
    assert kind_of("Dear Tom, no order, no items today") == "text"


def test_a_product_without_a_sku_is_known_by_its_description() -> None:
    one, other = parse(b"2 x Tea  towel\n3 x tea towel\n").lines
    assert one.product == other.product == made_sku("Tea towel")
    assert parse(b"2 x Tea towels").lines[0].product != one.product


FIELDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20
)
ITEMS = st.tuples(
    FIELDS.map(lambda text: f"n{text}"),
    st.integers(1, 1_000_000),
    st.decimals(0, 9_999_999, places=2),
)


@given(
    items=st.lists(ITEMS, min_size=1, max_size=8),
    separator=st.sampled_from(",;\t|"),
    mark=st.sampled_from(".,"),
    header=st.sampled_from([("SKU", "Qty", "Price"), ("Artikelnummer", "Menge", "Einzelpreis")]),
    ending=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
)
def test_a_table_is_read_as_it_was_written(
    items: list[tuple[str, int, Decimal]],
    separator: str,
    mark: str,
    header: tuple[str, ...],
    ending: str,
    bom: bool,
) -> None:
    output = io.StringIO()
    writer = csv.writer(output, delimiter=separator, lineterminator=ending)
    writer.writerow(header)
    for sku, quantity, price in items:
        writer.writerow([sku, quantity, str(price).replace(".", mark)])
    order = parse(output.getvalue().encode("utf-8-sig" if bom else "utf-8"), "text/csv")
    assert [(it.sku, it.quantity, Decimal(it.price or 0)) for it in order.lines] == items


@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=300).map(str.encode)))
def test_any_bytes_are_an_order_or_a_bad_one(content: bytes) -> None:
    for content_type in ("", "text/csv", "application/json", "text/plain"):
        try:
            assert parse(content, content_type).lines
        except BadOrder as error:
            assert error.faults


FRAGMENTS = st.sampled_from(
    [
        *(
            "12",
            " x ",
            "Mug",
            "(",
            ")",
            "SKU ",
            "A-1",
            "@",
            " 4,50",
            "€",
            "\t",
            ",",
            ";",
            "\n",
            '"',
        ),
        *("-", "{", "}", "[", "]", ":", '"lines"', '"qty"', "sku", "qty", "price", "|", "  ", "0"),
    ]
)


@given(pieces=st.lists(FRAGMENTS, max_size=60))
def test_any_mixture_of_what_orders_are_made_of(pieces: list[str]) -> None:
    try:
        order = parse("".join(pieces).encode())
    except BadOrder as error:
        assert all(place >= 1 and what for place, what in error.faults)
    else:
        assert all(it.quantity >= 1 and it.title for it in order.lines)
