"""Prints the tree with each part's start, relative to the tree's start, and duration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from infra.operator.trace.tree import Kind, Node

_STYLES = {
    Kind.REQUEST: "blue",
    Kind.CALL: "cyan",
    Kind.EVENT: "magenta",
    Kind.CONSUMER: "green",
    Kind.STEP: "cyan",
    Kind.MAIL: "yellow",
    Kind.WORK: "white",
}
_SPANS = (Kind.REQUEST, Kind.CONSUMER, Kind.STEP, Kind.WORK)
_COUNTED = {Kind.REQUEST: "requests", Kind.STEP: "saga steps", Kind.EVENT: "events", Kind.MAIL: "e-mails"}


def show(console: Console, correlation_id: str, story: Sequence[Node]) -> None:
    began = min(node.at for root in story for node in root.walk())
    tree = Tree(Text(f"{correlation_id}  {began.isoformat(timespec='milliseconds')}", "bold"), guide_style="dim")
    for root in story:
        _add(tree, root, began)
    console.print(tree, soft_wrap=True)
    console.print(Text(summary(story), "dim"), soft_wrap=True)


def summary(story: Sequence[Node]) -> str:
    nodes = [node for root in story for node in root.walk()]
    began, ended = min(node.at for node in nodes), max(node.at for node in nodes)
    kinds = Counter(node.kind for node in nodes)
    parts = [f"{sum(kinds[kind] for kind in _SPANS)} hops"]
    parts += [f"{kinds[kind]} {name}" for kind, name in _COUNTED.items()]
    failed = sum(not node.ok for node in nodes)
    return f"{', '.join(parts)}, {failed} failed; {(ended - began).total_seconds():.3f} s from first to last"


def _add(tree: Tree, node: Node, began: datetime) -> None:
    branch = tree.add(_text(node, began))
    for note in node.notes:
        branch.add(Text(note, "yellow"))
    for child in node.children:
        _add(branch, child, began)


def _text(node: Node, began: datetime) -> Text:
    offset = (node.at - began).total_seconds()
    text = Text.assemble((f"+{offset:.3f} ", "dim"), (f"{node.kind:<8} ", _STYLES[node.kind]), (node.what, "bold"))
    if node.result:
        text.append(f"  {node.result}", "green" if node.ok else "red")
    if node.duration_ms is not None:
        text.append(f"  {node.duration_ms} ms")
    identity = node.ids.get("event_id") or node.ids.get("call_id") or node.ids.get("span_id", "")
    parent = f" ← {node.ids['parent_id']}" if "parent_id" in node.ids else ""
    text.append(f"  {node.function} {identity}{parent}", "dim")
    return text
