"""Reads template.yaml as CloudFormation means it, so that tests use the real definitions."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, as their long forms."""


def _intrinsic(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)


@functools.cache
def load_template(path: str = "template.yaml") -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load((ROOT / path).read_text(), Loader=_Loader)  # noqa: S506  # it is a SafeLoader
    return loaded


def resources_of_type(kind: str, path: str = "template.yaml") -> dict[str, dict[str, Any]]:
    resources = load_template(path)["Resources"]
    return {name: resource for name, resource in resources.items() if resource["Type"] == kind}
