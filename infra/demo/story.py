"""A story of the demo: what it is called, how it should end, and how it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from infra.demo.stage import Stage
from infra.demo.telling import Telling


@dataclass(frozen=True)
class Story:
    """`should` says how it should end."""

    name: str
    title: str
    should: str
    tell: Callable[[Stage, Telling], None]
