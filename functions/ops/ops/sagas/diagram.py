"""A saga as a Mermaid state diagram: the whole machine, with the path that the execution took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from ops.sagas.steps import Outcome, Step

_STYLES = {
    "taken": "fill:#d4edda,stroke:#2e7d32,color:#14391a",
    "failed": "fill:#f8d7da,stroke:#b71c1c,color:#4a0d12",
    "current": "fill:#fff3cd,stroke:#f57f17,color:#4a3200,stroke-width:3px",
    "untaken": "fill:#f5f5f5,stroke:#bdbdbd,color:#9e9e9e",
}


def draw(definition: dict[str, Any], steps: Sequence[Step]) -> str:
    """An edge that was taken has the numbers of the steps it led to, counted from 1. A failed state is one that an
    error left, or that ended the execution.
    """
    numbers: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for number, (before, after) in enumerate(zip([None, *steps], steps, strict=False), start=1):
        numbers[before.state if before else "[*]", after.state].append(str(number))
    lines = ["stateDiagram-v2"]
    lines += [f"  classDef {name} {style}" for name, style in _STYLES.items()]
    edges = dict.fromkeys([("[*]", definition["StartAt"]), *_edges(definition["States"])])
    for edge in [*edges, *(taken for taken in numbers if taken not in edges)]:
        label = f": {', '.join(numbers[edge])}" if numbers[edge] else ""
        lines.append(f"  {edge[0]} --> {edge[1]}{label}")
    classes = {step.state: _class(step) for step in steps}
    lines += [f"  class {name} {classes.get(name, 'untaken')}" for name in definition["States"]]
    return "\n".join(lines) + "\n"


def _class(step: Step) -> str:
    if step.outcome is Outcome.RUNNING:
        return "current"
    return "taken" if step.outcome is Outcome.DONE else "failed"


def _edges(states: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, state in states.items():
        for place in (state, *state.get("Choices", ()), *state.get("Catch", ())):
            if "Next" in place:
                yield name, place["Next"]
        if "Default" in state:
            yield name, state["Default"]
        if state.get("End") or state["Type"] in ("Succeed", "Fail"):
            yield name, "[*]"
