"""The rows of an invoice file: each is taken, or refused with its line and a reason. None is dropped quietly.

What the real file taught, and what is done about it:
- A cancellation (`C536379`) takes back an earlier sale, and an invoice that is no number otherwise (`A563185`, "Adjust
  bad debt") is book-keeping: neither is an order, and all their rows are refused.
- A negative quantity or a price of zero on another invoice is a stock correction (damages, found, samples): refused.
- A price must be whole pence: 0.001 is refused, not rounded.
- `CustomerID` is `0.0` where nobody wrote it down. Such an invoice is a sale all the same: a walk-in customer's.
- Codes that are no goods (POST, DOT, M) are sold and paid like goods, and so they are products here.
- The same article is written `85123A` and `85123a`: codes are upper-cased. A description without a letter (`?`) gives
  way to the stock code.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
MAX_LINES = 500
MAX_QUANTITY = 100_000
MAX_CODE = 40
MAX_NAME = 200
_PENCE = Decimal(100)
_MAX_PRICE = 10**9


class NotAnInvoiceFile(ValueError):
    """The file lacks columns that an invoice has."""


@dataclass(frozen=True)
class Line:
    """One good row; `price` in minor units."""

    line: int
    code: str
    name: str
    quantity: int
    price: int


@dataclass(frozen=True)
class Refusal:
    line: int
    invoice: str
    stock_code: str
    reason: str


@dataclass
class Invoice:
    """A sale. `customer` is empty for a walk-in."""

    number: str
    customer: str
    country: str
    lines: list[Line] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(line.quantity * line.price for line in self.lines)


@dataclass
class Reading:
    """All that was found in a file, in its order."""

    rows: int = 0
    invoices: list[Invoice] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


class Unusable(ValueError):
    """Why a row is refused: a stable word."""


def read_invoices(file: IO[str]) -> Reading:
    """The sales of a file, each with at least one good row, and every refused row."""
    reader = csv.DictReader(file, strict=False)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise NotAnInvoiceFile(f"the file has no column {', '.join(missing)}")
    reading, by_number = Reading(), dict[str, Invoice]()
    for line_number, row in _numbered(reader):
        reading.rows += 1
        number = (row.get("InvoiceNo") or "").strip().upper()
        try:
            line = classify(line_number, row)
            invoice = by_number.get(number) or Invoice(number, customer_of(row), row["Country"].strip())
            _add(invoice, line)
        except Unusable as unusable:
            reading.refused.append(Refusal(line_number, number, (row.get("StockCode") or "").strip(), str(unusable)))
            continue
        if number not in by_number:
            by_number[number] = invoice
            reading.invoices.append(invoice)
    return reading


def open_invoices(path: Path) -> IO[str]:
    """UTF-8, or Windows' Western alphabet, in which such files are usually exported."""
    try:
        path.read_text(encoding="utf-8-sig")
        encoding = "utf-8-sig"
    except UnicodeDecodeError:
        encoding = "cp1252"
    return path.open(encoding=encoding, errors="replace", newline="")


def classify(line_number: int, row: Mapping[str, str]) -> Line:
    """The row as an order's line. Raises Unusable with the first reason that speaks against it."""
    if None in row or None in row.values():
        raise Unusable("wrong-number-of-columns")
    number, code = row["InvoiceNo"].strip().upper(), row["StockCode"].strip().upper()
    if number.startswith("C"):
        raise Unusable("cancellation")
    if not number:
        raise Unusable("no-invoice-number")
    if not number.isdecimal():
        raise Unusable("not-a-sale")
    quantity = _quantity(row["Quantity"].strip())
    price = _price(row["UnitPrice"].strip())
    if not code:
        raise Unusable("no-stock-code")
    if len(code) > MAX_CODE or not re.fullmatch(r"[A-Z0-9][A-Z0-9 ._/\-]*", code):
        raise Unusable("unreadable-stock-code")
    return Line(line_number, code, _name(row["Description"], code), quantity, price)


def customer_of(row: Mapping[str, str]) -> str:
    """The customer's number as digits, without the `.0` that a spreadsheet has added; empty where there is none."""
    text = row["CustomerID"].strip()
    if re.fullmatch(r"\d+(\.0*)?", text):
        return str(int(text.partition(".")[0]) or "")
    return ""


def _quantity(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+(\.0*)?", text):
        raise Unusable("unreadable-quantity")
    quantity = int(Decimal(text))
    if quantity <= 0:
        raise Unusable("negative-quantity" if quantity else "zero-quantity")
    if quantity > MAX_QUANTITY:
        raise Unusable("quantity-too-large")
    return quantity


def _price(text: str) -> int:
    try:
        pence = Decimal(text) * _PENCE
    except InvalidOperation:
        raise Unusable("unreadable-price") from None
    if not pence.is_finite():
        raise Unusable("unreadable-price")
    if pence <= 0:
        raise Unusable("negative-price" if pence else "zero-price")
    if pence != pence.to_integral_value():
        raise Unusable("price-below-a-penny" if pence < 1 else "price-not-in-pence")
    if pence > _MAX_PRICE:
        raise Unusable("price-too-large")
    return int(pence)


def _name(description: str, code: str) -> str:
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in description).split())
    return text[:MAX_NAME] if any(letter.isalpha() for letter in text) else code


def _add(invoice: Invoice, line: Line) -> None:
    """A variant that comes twice on one invoice is one line of the order, with the quantities added."""
    for place, known in enumerate(invoice.lines):
        if (known.code, known.price) == (line.code, line.price):
            if known.quantity + line.quantity > MAX_QUANTITY:
                raise Unusable("quantity-too-large")
            invoice.lines[place] = Line(known.line, known.code, known.name, known.quantity + line.quantity, known.price)
            return
    if len(invoice.lines) == MAX_LINES:
        raise Unusable("invoice-too-long")
    invoice.lines.append(line)


def _numbered(reader: csv.DictReader[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row with the number of the line on which it starts: a quoted field may hold line breaks."""
    for row in reader:
        breaks = sum(value.count("\n") for value in row.values() if isinstance(value, str))
        yield reader.line_num - breaks, row
