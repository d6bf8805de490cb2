"""Fills a text's fields, written as {{ order }}. There is no logic: a field is a name, and its value is text. A line of
nothing but fields without a value is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Template


class _Fields(Template):
    flags = re.VERBOSE  # case counts
    pattern = r"""
        \{\{(?:
            \s*(?P<named>[a-z_]+)\s*\}\} |
            (?P<braced>(?!)) |
            (?P<escaped>(?!)) |
            (?P<invalid>)
        )
    """  # type: ignore[assignment]  # a Template compiles it; a value's own {{ is never looked at


_OF_FIELDS = r"[ \t]*(?:\{\{[ \t]*[a-z_]+[ \t]*\}\}[ \t]*)+"
_LINE_OF_FIELDS = re.compile(rf"^{_OF_FIELDS}\n|\n{_OF_FIELDS}\Z", re.MULTILINE)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Raises KeyError for a field that `values` lacks, and ValueError for {{ that begins no field."""

    def keep(line: re.Match[str]) -> str:
        return line[0] if _Fields(line[0]).substitute(values).strip() else ""

    return _Fields(_LINE_OF_FIELDS.sub(keep, text)).substitute(values)


def fields_of(text: str) -> set[str]:
    """Raises ValueError for {{ that begins no field."""
    template = _Fields(text)
    if not template.is_valid():
        raise ValueError("{{ begins no field here")
    return set(template.get_identifiers())
