"""CSV files that people open in a spreadsheet: no cell of theirs is a formula there.

A cell that begins as a formula does gets an apostrophe in front, which a spreadsheet shows as text; so does a cell
that begins with an apostrophe, so that `text_of` can take the mark away again. See OWASP, "CSV Injection".
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import IO

# Spreadsheets take the full-width forms too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MARK = "'"


def cell_of(text: str) -> str:
    """The text as a cell that no spreadsheet evaluates."""
    return f"{_MARK}{text}" if text.lstrip(" ").startswith((*_FORMULA, _MARK)) else text


def text_of(cell: str) -> str:
    """The text that `cell_of` made the cell of."""
    return cell[1:] if cell.startswith(_MARK) and cell_of(cell[1:]) == cell else cell


def write(
    file: IO[str],
    header: Sequence[str],
    rows: Iterable[Sequence[str | int]],
    *,
    separator: str = ",",
    line_end: str = "\n",
) -> None:
    writer = csv.writer(file, delimiter=separator, lineterminator=line_end)
    writer.writerow(header)
    writer.writerows([cell_of(value) if isinstance(value, str) else value for value in row] for row in rows)
