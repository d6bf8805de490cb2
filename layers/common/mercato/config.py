"""Settings: one frozen dataclass per function, read once from the environment. The error names every problem."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, get_type_hints


class BadConfiguration(RuntimeError):
    """The environment lacks a variable that the function needs, or holds one with an unreadable value."""


_READERS: dict[type, Callable[[str], Any]] = {
    str: str,
    int: int,
    bool: lambda text: {"true": True, "false": False}[text.lower()],
}


def load[T](settings: type[T], env: Mapping[str, str] | None = None) -> T:
    """Fills a frozen dataclass: field `table_name` comes from TABLE_NAME. Types: str, int, bool."""
    env = os.environ if env is None else env
    hints, values, wrong = get_type_hints(settings), {}, []
    for field in fields(settings):  # type: ignore[arg-type]
        name = field.name.upper()
        if name not in env:
            if field.default is MISSING:
                wrong.append(f"{name} is not set")
            continue
        try:
            values[field.name] = _READERS[hints[field.name]](env[name])
        except (ValueError, KeyError):
            wrong.append(f"{name}={env[name]!r} is not a {hints[field.name].__name__}")
    if wrong:
        raise BadConfiguration(f"{settings.__module__}: {'; '.join(wrong)}")
    return settings(**values)
