"""What people call the parts of an order's line, in the languages that orders come in. No IO."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

Role = Literal["sku", "description", "quantity", "price", "total", "currency", "image", "barcode"]
About = Literal["number", "supplier", "currency"]
"""What is said of the whole order."""

_ROLES: Mapping[Role, str] = {
    "sku": "sku, item, item no, item number, item code, item id, article, article no, "
    "article number, artikel nr, artikelnr, artikelnummer, art nr, bestellnr, product code, "
    "product id, code, part, part no, part number, mpn, model, model no, style, style no, ref, "
    "reference, référence, réf, referencia, código, codice, variant sku, supplier sku, vendor sku",
    "description": "description, desc, product, product name, name, title, item name, "
    "item description, article description, bezeichnung, artikelbezeichnung, beschreibung, "
    "artikel, produkt, désignation, libellé, produit, descripción, producto, descrizione, prodotto",
    "quantity": "quantity, qty, quantity ordered, qty ordered, ordered, order qty, order quantity, "
    "units, pcs, pieces, count, menge, anzahl, stück, stk, bestellmenge, quantité, qté, cantidad, "
    "cant, unidades, quantità",
    "price": "price, unit price, price per unit, unit cost, cost, cost price, net price, each, "
    "rate, wholesale price, preis, einzelpreis, stückpreis, ep, prix, prix unitaire, pu, pu ht, "
    "precio, precio unitario, prezzo, prezzo unitario",
    "total": "total, line total, amount, subtotal, extended price, net amount, gesamt, "
    "gesamtpreis, summe, betrag, montant, total ht, importe, importo, totale",
    "currency": "currency, currency code, währung, devise, moneda, valuta",
    "image": "image, images, image url, image src, image link, picture, picture url, photo, "
    "photo url, bild, bild url, imagen",
    "barcode": "barcode, ean, ean13, gtin, upc, ean code, código de barras",
}
_ABOUT: Mapping[About, str] = {
    "number": "po, po no, po number, po nr, purchase order, purchase order no, "
    "purchase order number, order, order no, order number, order id, bestellung, bestellnummer, "
    "auftragsnummer, commande, numéro de commande, pedido, número de pedido, invoice, invoice no, "
    "invoice number, number",
    "supplier": "supplier, supplier name, vendor, vendor name, lieferant, fournisseur, proveedor, "
    "fornitore, manufacturer",
    "currency": "currency, currency code, währung, devise, moneda, valuta",
}
TOTALS = ("total", "subtotal", "grand total", "sum", "summe", "gesamt", "gesamtsumme", "totale")
_SURE = frozenset({"sku", "item no", "item number", "item code", "article no", "article number"})
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def folded(text: str) -> str:
    """Return a name as it is compared: without case, accents, marks and units in brackets."""
    text = re.sub(r"[(\[][^()\[\]]*[)\]]", " ", _CAMEL.sub(" ", text))
    plain = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(re.sub(r"[^a-z0-9]+", " ", letters).split())


def _names[T: str](table: Mapping[T, str]) -> dict[str, T]:
    return {folded(name): role for role, names in table.items() for name in names.split(", ")}


_ROLE_OF = _names(_ROLES)
_ABOUT_OF = _names(_ABOUT)


def roles(names: Iterable[str]) -> dict[Role, int]:
    """Return which of the columns ``names`` is which part of a line: the first that is called so.

    Where one is called a SKU for sure, another that may be is the description, if none is.
    """
    found: dict[Role, int] = {}
    spare: list[int] = []
    for place, name in enumerate(names):
        role = _ROLE_OF.get(folded(name))
        if role is None:
            continue
        if role == "sku" and folded(name) in _SURE and role in found:
            spare.append(found.pop(role))
        elif role == "sku" and role in found:
            spare.append(place)
        found.setdefault(role, place)
    if spare and "description" not in found:
        found["description"] = spare[0]
    return found


def quantities(names: Iterable[str]) -> list[int]:
    """Return which of the columns ``names`` are called a quantity."""
    return [place for place, name in enumerate(names) if _ROLE_OF.get(folded(name)) == "quantity"]


def texts_of(
    fields: Sequence[str], found: Mapping[Role, int], counts: Sequence[int]
) -> dict[Role, str]:
    """Return the parts of a line by what ``roles`` and ``quantities`` say of its columns.

    Where several columns are the quantity and do not agree, it is all that they say: no number.
    """
    texts = {role: fields[at] for role, at in found.items() if at < len(fields)}
    said = [fields[at].strip() for at in counts if at < len(fields)]
    if several := [text for text in dict.fromkeys(said) if text]:
        texts["quantity"] = " / ".join(several)
    return texts


def about(name: str) -> About | None:
    """Return what of the whole order is called ``name``, None if nothing."""
    return _ABOUT_OF.get(folded(name))


def is_total(text: str) -> bool:
    """Whether a row that begins so is a sum, and no line."""
    return folded(text) in TOTALS
