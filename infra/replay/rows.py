"""Reads the rows of an invoice file. Each row is accepted, or refused with its line, column and reason.

The rules come from the real file:
- A cancellation (`C536379`) reverses an earlier sale, and an invoice number with another letter (`A563185`,
  "Adjust bad debt") is book-keeping. Neither is an order, so all their rows are refused.
- A negative quantity or a price of zero on another invoice is a stock correction (damages, found, samples), so the row
  is refused.
- A price must be whole pence: 0.001 is refused, not rounded.
- `CustomerID` is `0.0` or blank for a sale to a walk-in customer. `17,850` and `17850.0` are customer 17850. Any other
  value is refused.
- `Unspecified` and `European Community` are no country. Their orders go to the wholesaler's own country, and the report
  says so. An unknown country name is refused.
- Codes that are no goods (POST, DOT, M) are sold and paid like goods, so they are products here.
- The same article is written `85123A` and `85123a`, so codes are upper-cased. If a description has no letter (`?`), the
  stock code replaces it.

The separator is a comma, a semicolon or a tab, with or without a line `sep=;`. The encoding is UTF-8, UTF-16 with a
byte order mark, or Windows-1252. In a file that is not separated by commas, `1,85` is read with a decimal comma, and
`1,850` is ambiguous and refused.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import IO

from infra.replay.countries import ASSUMED, code_of

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
MAX_LINES = 500
MAX_QUANTITY = 100_000
MAX_CODE = 40
MAX_NAME = 200
_PENCE = Decimal(100)
_MAX_PRICE = 10**9
_LONGEST_NUMBER = 24  # digits: fewer than Decimal's precision of 28, so that no multiplication rounds


_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class NotAnInvoiceFile(ValueError):
    """The file cannot be read or lacks required columns. The message says what to do."""


@dataclass(frozen=True)
class Line:
    """One accepted row. `price` is in minor units."""

    line: int
    code: str
    name: str
    quantity: int
    price: int


@dataclass(frozen=True)
class Refusal:
    """A refused row. `column` and `value` name the cause, and are empty if the cause is the whole row."""

    line: int
    invoice: str
    stock_code: str
    reason: str
    column: str = ""
    value: str = ""


@dataclass
class Invoice:
    """A sale. `customer` is empty for a walk-in customer, and `country` is an ISO 3166-1 code."""

    number: str
    customer: str
    country: str
    lines: list[Line] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(line.quantity * line.price for line in self.lines)

    @property
    def pieces(self) -> int:
        return sum(line.quantity for line in self.lines)


@dataclass
class Reading:
    """The contents of a file, in its order. `assumed` maps each assumption to the number of rows that it affects."""

    rows: int = 0
    separator: str = "comma"
    encoding: str = "UTF-8"
    assumed: Counter[str] = field(default_factory=Counter)
    invoices: list[Invoice] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


class Unusable(ValueError):
    """A row must be refused. The message is a stable reason, and `column` and `value` name the cause."""

    def __init__(self, reason: str, column: str = "", value: str = "") -> None:
        super().__init__(reason)
        self.column = column
        self.value = value


def read_file(path: Path) -> Reading:
    """Decodes a file and reads its sales with `read_invoices`. Raises NotAnInvoiceFile."""
    text, encoding = _decode(path.read_bytes())
    return replace(read_invoices(io.StringIO(text, newline="")), encoding=encoding)


def read_invoices(file: IO[str]) -> Reading:
    """Reads the sales with at least one accepted row, and all refused rows. Raises NotAnInvoiceFile."""
    text = file.read()
    separator, skipped = _separator_of(text)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=False)
    for _ in range(skipped):
        next(reader.reader)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise NotAnInvoiceFile(
            f"the file has no column {', '.join(missing)}: its first line must name {','.join(COLUMNS)}, "
            "separated by commas, semicolons or tabs"
        )
    reading, by_number = Reading(separator=_SEPARATORS[separator]), dict[str, Invoice]()
    for line_number, row in _numbered(reader):
        reading.rows += 1
        number = (row.get("InvoiceNo") or "").strip().upper()
        try:
            line = classify(line_number, row, separator)
            invoice = by_number.get(number) or Invoice(number, customer_of(row), country_of(row, reading.assumed))
            _add(invoice, line)
        except Unusable as unusable:
            code = (row.get("StockCode") or "").strip()
            refusal = Refusal(line_number, number, code, str(unusable), unusable.column, unusable.value)
            reading.refused.append(refusal)
            continue
        if number not in by_number:
            by_number[number] = invoice
            reading.invoices.append(invoice)
    return reading


def _decode(content: bytes) -> tuple[str, str]:
    """Returns the text and the name of its encoding. Raises NotAnInvoiceFile with the byte that cannot be decoded."""
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding), encoding.upper().removesuffix("-SIG")
    except UnicodeDecodeError as error:
        problem = error
    if encoding == "utf-8":
        try:
            # Spreadsheets on Windows usually export CSV files in this encoding.
            return content.decode("cp1252"), "Windows-1252"
        except UnicodeDecodeError as error:
            problem = error
        encoding = "UTF-8 or Windows-1252"
    raise NotAnInvoiceFile(
        f"the file is no {encoding} text: byte {content[problem.start]:#04x} at position {problem.start}. "
        "Save it as UTF-8."
    )


def _separator_of(text: str) -> tuple[str, int]:
    """Returns the separator and the number of lines before the header: 1 if the first line is `sep=;`, else 0."""
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep="):
        named = first.strip("\r")[4:5] or "\t"
        if named not in _SEPARATORS:
            raise NotAnInvoiceFile(f"the file is separated by {named!r}: save it with commas, semicolons or tabs")
        return named, 1
    header = first if rest or first else text
    return max(_SEPARATORS, key=lambda separator: (header.count(separator), separator == ",")), 0


def classify(line_number: int, row: Mapping[str, str], separator: str = ",") -> Line:
    """Converts a row to an order's line. Raises Unusable with the first reason to refuse the row."""
    if None in row or None in row.values():
        raise Unusable("wrong-number-of-columns")
    number, code = row["InvoiceNo"].strip().upper(), row["StockCode"].strip().upper()
    if number.startswith("C"):
        raise Unusable("cancellation")
    if not number:
        raise Unusable("no-invoice-number")
    if not number.isdecimal():
        raise Unusable("not-a-sale", "InvoiceNo", row["InvoiceNo"])
    try:
        quantity = _quantity(_plain(row["Quantity"].strip(), separator))
    except Unusable as unusable:
        raise Unusable(str(unusable), "Quantity", row["Quantity"]) from None
    try:
        price = _price(_plain(row["UnitPrice"].strip(), separator))
    except Unusable as unusable:
        raise Unusable(str(unusable), "UnitPrice", row["UnitPrice"]) from None
    if not code:
        raise Unusable("no-stock-code")
    if len(code) > MAX_CODE or not re.fullmatch(r"[A-Z0-9][A-Z0-9 ._/\-]*", code):
        raise Unusable("unreadable-stock-code", "StockCode", row["StockCode"])
    return Line(line_number, code, _name(row["Description"], code), quantity, price)


def customer_of(row: Mapping[str, str]) -> str:
    """Returns the customer's number as digits, without a spreadsheet's `.0` and thousands separators.

    Returns an empty string for a walk-in customer.
    """
    text = row["CustomerID"].strip()
    if not text:
        return ""
    if not re.fullmatch(r"(\d+|\d{1,3}(,\d{3})+)(\.0*)?", text, re.ASCII):
        raise Unusable("unreadable-customer", "CustomerID", row["CustomerID"])
    return str(int(text.partition(".")[0].replace(",", "")) or "")


def country_of(row: Mapping[str, str], assumed: Counter[str]) -> str:
    """Returns the ISO 3166-1 code of the row's country. Counts the row in `assumed` if the code is an assumption."""
    name = row["Country"].strip()
    code = code_of(name)
    if code is None:
        raise Unusable("unknown-country", "Country", row["Country"])
    if name in ASSUMED:
        assumed[f"{name} is {code}"] += 1
    return code


def _plain(number: str, separator: str) -> str:
    """Returns the number with a decimal point and without commas. Raises Unusable if a comma is ambiguous."""
    if "," not in number:
        return number
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", number, re.ASCII):
        if separator != "," and "." not in number and number.count(",") == 1:
            raise Unusable("ambiguous-number")
        return number.replace(",", "")
    if separator != "," and re.fullmatch(r"[+-]?\d*,\d+", number, re.ASCII):
        return number.replace(",", ".")
    return number


def _quantity(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+(\.0*)?", text, re.ASCII):
        raise Unusable("unreadable-quantity")
    quantity = int(Decimal(text))
    if quantity <= 0:
        raise Unusable("negative-quantity" if quantity else "zero-quantity")
    if quantity > MAX_QUANTITY:
        raise Unusable("quantity-too-large")
    return quantity


def _price(text: str) -> int:
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text, re.ASCII) or len(text) > _LONGEST_NUMBER:
        raise Unusable("unreadable-price")
    pence = Decimal(text) * _PENCE
    if pence <= 0:
        raise Unusable("negative-price" if pence else "zero-price")
    if pence != pence.to_integral_value():
        raise Unusable("price-below-a-penny" if pence < 1 else "price-not-in-pence")
    if pence > _MAX_PRICE:
        raise Unusable("price-too-large")
    return int(pence)


def _name(description: str, code: str) -> str:
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in description).split())
    if len(text) > MAX_NAME:
        raise Unusable("description-too-long", "Description", description)
    return text if any(letter.isalpha() for letter in text) else code


def _add(invoice: Invoice, line: Line) -> None:
    """Adds a line to the invoice. A second line with the same code and price increases the first line's quantity."""
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
    """Yields each row with the number of its first line, because a quoted field may contain line breaks."""
    for row in reader:
        breaks = sum(value.count("\n") for value in row.values() if isinstance(value, str))
        yield reader.line_num - breaks, row
