"""What a purchase order is: lines, each of so many pieces of one product. No IO."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Literal, Self

Kind = Literal["csv", "json", "text"]
Parser = Literal["built-in", "model"]

MAX_LINES = 1000
MAX_QUANTITY = 1_000_000
MAX_PRICE = Decimal(10_000_000)
MAX_IMAGES = 5
"""Of one line."""

MAX_ORDER_IMAGES = 300
LONGEST_SKU = 80
LONGEST_TEXT = 300
LONGEST_ADDRESS = 1000

_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """So many pieces of one product.

    ``place`` is the line of the file that it was read from, from 1. ``price`` is of one piece, as
    the text of a decimal number. ``confidence``: 0 to 100, how sure the parser is.
    """

    place: int
    quantity: int
    sku: str = ""
    description: str = ""
    price: str | None = None
    barcode: str = ""
    images: tuple[str, ...] = ()
    confidence: int = 100

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Read what ``asdict`` gave."""
        return cls(**{**told, "images": tuple(told.get("images", ()))})

    @property
    def product(self) -> str:
        """The product's SKU; one made of the description where the order names none."""
        return self.sku or made_sku(self.description)

    @property
    def title(self) -> str:
        """What a person calls the product."""
        return self.description or self.sku

    @property
    def total(self) -> Decimal | None:
        """What the line costs; None if the order names no price."""
        return None if self.price is None else (Decimal(self.price) * self.quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was read of an upload. ``notes`` are for the merchant: what was done differently."""

    lines: tuple[Line, ...]
    number: str = ""
    supplier: str = ""
    currency: str = ""
    parser: Parser = "built-in"
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``text`` gave."""
        told = json.loads(text)
        lines = tuple(Line.of(line) for line in told.pop("lines"))
        return cls(lines=lines, **{**told, "notes": tuple(told.get("notes", ()))})

    @property
    def text(self) -> str:
        """The order as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @property
    def confidence(self) -> int:
        """How sure the parser is of the whole, 0 to 100: the lines' mean, rounded down."""
        return sum(line.confidence for line in self.lines) // max(len(self.lines), 1)

    @property
    def pieces(self) -> int:
        """How many pieces were ordered."""
        return sum(line.quantity for line in self.lines)

    @property
    def total(self) -> str | None:
        """What it costs, to the cent; None unless every line has a price."""
        totals = [line.total for line in self.lines]
        if any(total is None for total in totals):
            return None
        return str(sum((total for total in totals if total is not None), Decimal()).quantize(_CENT))

    @property
    def images(self) -> list[str]:
        """The addresses of all pictures, each once."""
        return list(dict.fromkeys(url for line in self.lines for url in line.images))

    @property
    def by_product(self) -> Mapping[str, Sequence[Line]]:
        """The lines by the product they are of, in the order's order."""
        found: dict[str, list[Line]] = {}
        for line in self.lines:
            found.setdefault(line.product, []).append(line)
        return found


def made_sku(description: str) -> str:
    """Return a SKU for a product that has none: the same for the same description."""
    folded = " ".join(description.casefold().split())
    return f"X-{digest(folded)[:10].upper()}"


def digest(text: str) -> str:
    """Return 32 characters that stand for ``text``: the same for the same one."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def slug(text: str) -> str:
    """Return ``text`` in the letters and digits of an address, at most 40 of them."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
