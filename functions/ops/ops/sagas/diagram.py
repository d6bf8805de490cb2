"""A saga as a Mermaid state diagram: the whole machine, with the path that the execution took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ops.sagas.machine import START, edges_of
from ops.sagas.steps import Outcome, Step

_STYLES = {
    "taken": "fill:#d4edda,stroke:#2e7d32,color:#14391a",
    "failed": "fill:#f8d7da,stroke:#b71c1c,color:#4a0d12",
    "current": "fill:#fff3cd,stroke:#f57f17,color:#4a3200,stroke-width:3px",
    "untaken": "fill:#f5f5f5,stroke:#bdbdbd,color:#9e9e9e",
}


def numbers_of(steps: Sequence[Step]) -> defaultdict[tuple[str, str], list[int]]:
    """By edge, as its two states: the numbers of the steps that it led to, counted from 1."""
    numbers: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for number, (before, after) in enumerate(zip([None, *steps], steps, strict=False), start=1):
        numbers[before.state if before else START, after.state].append(number)
    return numbers


def draw(definition: dict[str, Any], steps: Sequence[Step]) -> str:
    """An edge that was taken has the numbers of the steps it led to, counted from 1. A failed state is one that an
    error left, or that ended the execution.
    """
    numbers = numbers_of(steps)
    lines = ["stateDiagram-v2"]
    lines += [f"  classDef {name} {style}" for name, style in _STYLES.items()]
    edges = dict.fromkeys((edge.source, edge.target) for edge in edges_of(definition))
    for edge in [*edges, *(taken for taken in numbers if taken not in edges)]:
        label = f": {', '.join(map(str, numbers[edge]))}" if numbers[edge] else ""
        lines.append(f"  {edge[0]} --> {edge[1]}{label}")
    classes = {step.state: _class(step) for step in steps}
    lines += [f"  class {name} {classes.get(name, 'untaken')}" for name in definition["States"]]
    return "\n".join(lines) + "\n"


def _class(step: Step) -> str:
    if step.outcome is Outcome.RUNNING:
        return "current"
    return "taken" if step.outcome is Outcome.DONE else "failed"
