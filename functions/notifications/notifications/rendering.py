"""Fills a text's fields, written as {{ order }}. There is no logic: a field is a name, and its value is text."""

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


def fill(text: str, values: Mapping[str, str]) -> str:
    """Raises KeyError for a field without a value, and ValueError for {{ that begins no field."""
    return _Fields(text).substitute(values)


def fields_of(text: str) -> set[str]:
    """Raises ValueError for {{ that begins no field."""
    template = _Fields(text)
    if not template.is_valid():
        raise ValueError("{{ begins no field here")
    return set(template.get_identifiers())
