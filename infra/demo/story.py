"""A story of the demo: its name, its expected outcome, and its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from infra.demo.report import Report
from infra.demo.stage import Stage


@dataclass(frozen=True)
class Story:
    """`should` is the expected outcome."""

    name: str
    title: str
    should: str
    tell: Callable[[Stage, Report], None]
