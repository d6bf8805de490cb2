"""Reads a catalogue from CSV: the valid rows, the refused rows with reasons, and the changes to make. Pure.

Columns: sku, name, price, currency, and optionally description, category, weight_grams and tax_class, in any order,
named by the first line. They are separated by commas, semicolons or tabs; a line `sep=;` before the header may name the
separator. The price is decimal text in major units, such as 2.55. In a file with semicolons or tabs it may have a
decimal comma. An empty or missing optional field does not change the one of an existing product. An apostrophe that
keeps a spreadsheet from reading a cell as a formula is left out, so a file that was made safe for them can be sent
again.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from mercato.dataclass import dataclass
from mercato.errors import DomainError, Invalid, Malformed
from mercato.http import charsets
from mercato.http.validation import describe
from mercato.money import InvalidAmount, Money
from mercato.spreadsheet import text_of
from products.domain import Changed, Draft, Product, change, check_price, create

REQUIRED = ("sku", "name", "price", "currency")
OPTIONAL = ("description", "category", "weight_grams", "tax_class")
# A Lambda with a timeout of 29 s writes this many with room to spare.
MAX_ROWS = 1000
_SHOWN = 64
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


class UnreadableCsv(Malformed):
    """The body is not CSV text."""


class WrongColumns(Invalid):
    """The first line of the file does not name the columns."""


class ImportTooLong(Invalid):
    """The file has more rows than one import may have."""


@dataclass(frozen=True)
class Refusal:
    """`line` is the line on which the row begins, counted from 1 with the header. `column` and the beginning of its
    `value` are empty where the reason is of the whole row. `fields` is the row as it was read, in the header's order.
    """

    line: int
    sku: str
    reason: str
    column: str = ""
    value: str = ""
    fields: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Row:
    line: int
    draft: Draft
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """A file as it was read: how its rows are written, those that are products, and the refused ones."""

    separator: str
    columns: tuple[str, ...]
    valid: list[Row]
    refused: list[Refusal]


@dataclasses.dataclass
class Plan:
    """The result of an import: the changes, each by its line, the refused rows, and the rows that change nothing."""

    changes: list[tuple[int, Changed]] = field(default_factory=list)
    unchanged: list[Product] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


class _Unreadable(Exception):
    """This row cannot be imported; the others can. `column` is the one that is wrong, empty for the whole row."""

    def __init__(self, reason: str, column: str = "") -> None:
        super().__init__(reason)
        self.column = column


def read_rows(body: bytes, currency: str, charset: str | None = None) -> Rows:
    """Raises only for errors of the whole file. `charset` is the declared charset."""
    try:
        text = charsets.decode_file(body, charset)
    except Malformed as error:
        raise UnreadableCsv(error.detail) from None
    separator, is_named = _separator_of(text)
    records = _records(text, separator)
    if is_named:
        next(records, None)
    header = next(records, None)
    if header is None or isinstance(header[1], str):
        raise WrongColumns(f"The first line must name the columns: {','.join(REQUIRED)}.")
    columns = _columns(header[1])
    rows: list[Row] = []
    refused: list[Refusal] = []
    first_lines: dict[str, int] = {}
    for count, (line, fields) in enumerate(records, 1):
        if count > MAX_ROWS:
            raise ImportTooLong(f"One import takes {MAX_ROWS} rows; send the file in parts, each with the header.")
        values: dict[str, str] = {}
        read = () if isinstance(fields, str) else tuple(text_of(text.strip()) for text in fields)
        try:
            values = _values(columns, fields if isinstance(fields, str) else read)
            draft = _draft(values, currency, separator)
            if draft.sku in first_lines:
                raise _Unreadable(f"this sku is on line {first_lines[draft.sku]} already", "sku")
        except _Unreadable as error:
            sku, value = values.get("sku", "")[:_SHOWN], values.get(error.column, "")[:_SHOWN]
            refused.append(Refusal(line, sku, str(error), error.column, value, read))
            continue
        first_lines[draft.sku] = line
        rows.append(Row(line, draft, read))
    return Rows(separator, tuple(columns), rows, refused)


def plan(
    rows: list[Row], known: Mapping[str, Product], currency: str, make_id: Callable[[], str], now: datetime
) -> Plan:
    """`known` holds the existing products by sku."""
    found = Plan()
    for row in rows:
        product, draft = known.get(row.draft.sku), row.draft
        if product is None:
            found.changes.append((row.line, Changed(None, create(draft, currency, make_id(), now))))
            continue
        try:
            after = change(
                product,
                currency,
                name=draft.name,
                description=draft.description or None,
                category=draft.category,
                price=draft.price,
                **{name: getattr(draft, name) for name in draft.model_fields_set & {"weight_grams", "tax_class"}},
            )
        except DomainError as error:
            found.refused.append(Refusal(row.line, draft.sku, error.detail, fields=row.fields))
            continue
        if after is product:
            found.unchanged.append(product)
        else:
            found.changes.append((row.line, Changed(product, after)))
    return found


def _separator_of(text: str) -> tuple[str, bool]:
    """The separator, and whether the first line only names it."""
    first = (text.splitlines() or [""])[0]
    if named := re.fullmatch(r'"?sep=(.?)"?', first.strip(" "), re.IGNORECASE):
        if named[1] not in _SEPARATORS:
            raise WrongColumns(f"The file is separated by {named[1]!r}; save it with commas, semicolons or tabs.")
        return named[1], True
    return max(_SEPARATORS, key=lambda separator: (first.count(separator), separator == ",")), False


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str] | str]]:
    """Each record with its first line's number, or the CSV reader's reason for refusing it. Omits blank lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, f"not CSV: {error}"
            continue
        if any(field.strip() for field in fields):
            yield line, fields


def _columns(header: list[str]) -> list[str]:
    columns = [name.strip().lower() for name in header]
    missing = [name for name in REQUIRED if name not in columns]
    unknown = [name[:_SHOWN] for name in columns if name not in REQUIRED + OPTIONAL]
    if missing:
        raise WrongColumns(
            f"The first line must name the columns {','.join(REQUIRED)}; {','.join(missing)} is missing. "
            "They are separated by commas, semicolons or tabs."
        )
    if unknown or len(set(columns)) != len(columns):
        raise WrongColumns(
            f"Columns may be {','.join(REQUIRED + OPTIONAL)}, each once; not {','.join(unknown or columns)}."
        )
    return columns


def _values(columns: list[str], fields: tuple[str, ...] | str) -> dict[str, str]:
    if isinstance(fields, str):
        raise _Unreadable(fields)
    if len(fields) != len(columns):
        raise _Unreadable(f"{len(fields)} fields, where the header has {len(columns)}")
    return dict(zip(columns, fields, strict=True))


def _price(text: str, currency: str, separator: str) -> Money:
    """Parses a price. Zeros at the end are not decimals. Raises InvalidAmount unless the text has one exact value.

    Where a comma may mark decimals, three digits after a single mark may be thousands, so the text is refused.
    """
    if separator != ",":
        if re.fullmatch(r"-?[0-9]{1,3}[.,][0-9]{3}", text) and not text.lstrip("-").startswith("0"):
            raise InvalidAmount(f"{text!r} may be thousands or decimals; write the price with two decimals or none")
        if text.count(",") == 1 and "." not in text:
            text = text.replace(",", ".")
    elif re.fullmatch(r"-?[0-9]*,[0-9]+", text):
        raise InvalidAmount(f"{text[:20]!r} has a comma, which separates columns here; write it with a point")
    if match := re.fullmatch(r"(-?)([0-9]{0,15})(?:\.([0-9]{0,15}))?", text):
        sign, whole, decimals = match[1], match[2], (match[3] or "").rstrip("0")
        if whole or match[3]:
            text = f"{sign}{whole or '0'}" + (f".{decimals}" if decimals else "")
    return Money.parse(text, currency)


def _draft(values: Mapping[str, str], currency: str, separator: str) -> Draft:
    try:
        price = _price(values["price"], values["currency"], separator)
        check_price(price, currency)
    except DomainError as error:
        column = "currency" if price.currency != currency else "price"
        raise _Unreadable(str(error), column) from None
    except InvalidAmount as error:
        raise _Unreadable(str(error), "price") from None
    more: dict[str, Any] = {"tax_class": values["tax_class"]} if values.get("tax_class") else {}
    if weight := values.get("weight_grams"):
        if not re.fullmatch(r"[0-9]{1,15}", weight):
            raise _Unreadable("must be a whole number of grams, such as 250", "weight_grams")
        more["weight_grams"] = int(weight)
    try:
        return Draft(
            sku=values["sku"],
            name=values["name"],
            description=values.get("description", ""),
            category=values.get("category") or None,
            price=price,
            **more,
        )
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        column = str(found["loc"][0])
        raise _Unreadable(f"{'.'.join(str(part) for part in found['loc'])} {describe(found)}", column) from None
