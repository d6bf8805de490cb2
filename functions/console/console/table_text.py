"""Tables that staff replaces as a whole, as text: one row per line, in columns that a spreadsheet takes and gives.

A reader turns rows into the body of the API's request and notes the line of each of its parts, so that what the API
finds wrong is told at its line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from typing import Any

from mercato import spreadsheet

Row = dict[str, str]


class WrongLine(Exception):
    """A line cannot be read; the message says why."""


@dataclass
class Typed:
    """A table as it was typed. `lines` has the line of each part of the body, by the part's path as the API writes it:
    `zones.0.services.1`. `wrong` has the errors by line; the header is line 1.
    """

    body: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    wrong: dict[int, str] = field(default_factory=dict)

    def tell(self, line: int, message: str) -> None:
        self.wrong[line] = f"{self.wrong[line]} {message}" if line in self.wrong else message

    def value_at(self, path: str) -> Any:
        """The part of the body at the path. None where there is no such part."""
        found: Any = self.body
        for step in path.split("."):
            try:
                found = found[int(step)] if isinstance(found, list) else found[step]
            except (KeyError, IndexError, TypeError, ValueError):
                return None
        return found

    def line_of(self, path: str) -> int | None:
        """The line of the part, or of the smallest part around it that has one."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path.rpartition(".")[0]
        return None


def write_text(columns: Sequence[str], rows: Iterable[Row]) -> str:
    text = io.StringIO(newline="")
    spreadsheet.write(text, columns, ([row[name] for name in columns] for row in rows))
    return text.getvalue()


def read_lines(text: str, columns: Sequence[str], typed: Typed) -> Iterator[tuple[int, Row]]:
    """The rows below the header, each with its line. A table that was copied from a spreadsheet has tabs."""
    header, _, _ = text.partition("\n")
    separator = next((one for one in "\t;" if one in header), ",")
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    named = [name.strip() for name in next(lines, [])]
    if sorted(named) != sorted(columns):
        typed.tell(1, f"The first line names the columns: {', '.join(columns)}.")
        return
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(named):
            typed.tell(
                lines.line_num,
                f"There are {len(cells)} cells in {len(named)} columns. A decimal has a point, such as 3.95.",
            )
            continue
        given = [spreadsheet.text_of(cell.strip()) for cell in cells]
        yield lines.line_num, dict(zip(named, [*given, *[""] * len(named)], strict=False))


def changes(before: str, after: str) -> list[dict[str, str]]:
    """The lines that differ: `sign` is - for one that went, + for one that came."""
    found = list(unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    return [{"sign": line[0], "text": line[1:]} for line in found if not line.startswith("@@")]
