"""Finds the stateful resources of a deployed shop that an update would replace or delete.

CloudFormation creates a new, empty table if an immutable property of the table changes, or if the logical id of the
table or of its nested stack changes. The shop then uses the empty table, even if the old one is retained.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra import templates
from infra.contract.events import RELEASES
from infra.contract.openapi import document
from infra.paths import ROOT
from infra.trouble import Trouble

# Resource types whose contents cannot be restored: data, keys, past events, undelivered messages, a verified sender.
HOLD = frozenset(
    {
        "AWS::DynamoDB::Table",
        "AWS::Events::Archive",
        "AWS::Events::EventBus",
        "AWS::S3::Bucket",
        "AWS::SES::EmailIdentity",
        "AWS::SQS::Queue",
        "AWS::SSM::Parameter",
        "AWS::SecretsManager::Secret",
    }
)
_NESTS = frozenset({templates.APPLICATION, "AWS::CloudFormation::Stack"})

Held = dict[str, dict[str, Any]]


def held(template: Path = ROOT / "template.yaml") -> Held:
    """Maps each stateful resource's path of logical ids to its type and its immutable properties."""
    return dict(sorted(_held(template, "")))


def _held(template: Path, at: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in templates.read(template)["Resources"].items():
        kind, properties = resource["Type"], resource.get("Properties", {})
        if kind in _NESTS:
            nested = properties.get("Location") or properties["TemplateURL"]
            yield from _held(template.parent / nested, f"{at}{name}/")
        elif kind in HOLD:
            fixed = {key: value for key, value in properties.items() if key in _fixed(kind)}
            yield at + name, {"type": kind, "fixed": fixed}


@functools.cache
def _fixed(kind: str) -> frozenset[str]:
    """Returns a resource type's immutable properties from cfn-lint's copy of CloudFormation's schemas."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    paths = [*schema.get("createOnlyProperties", []), *schema.get("conditionalCreateOnlyProperties", [])]
    return frozenset(path.split("/")[2] for path in paths)


def replaced(before: Mapping[str, dict[str, Any]], now: Mapping[str, dict[str, Any]]) -> list[str]:
    """Returns one sentence for each resource that an update would replace or delete."""
    found = []
    for name, was in before.items():
        if name not in now:
            found.append(f"{name} ({was['type']}) is not there any more: the update deletes it")
            continue
        for key in sorted({*was["fixed"], *now[name]["fixed"]}):
            old, new = was["fixed"].get(key), now[name]["fixed"].get(key)
            if old != new:
                found.append(f"{name} ({was['type']}) has another {key}: the update replaces it by an empty one")
    return found


def last_release() -> Held:
    """Reads the stateful resources of the last release from the newest file in docs/releases."""
    paths = sorted(RELEASES.glob("stateful-*.json"), key=lambda path: [int(part) for part in _version(path).split(".")])
    found: Held = json.loads(paths[-1].read_text()) if paths else {}
    return found


def _version(path: Path) -> str:
    return path.stem.removeprefix("stateful-")


def release() -> Path:
    """Writes this version's stateful resources. Raises Trouble if it would replace or delete a released one."""
    path, now = RELEASES / f"stateful-{document.version()}.json", held()
    if path.exists() and (lost := replaced(json.loads(path.read_text()), now)):
        raise Trouble(f"{path.name} is released. {'. '.join(lost)}.", "Raise the version in pyproject.toml.")
    path.write_text(json.dumps(now, indent=1) + "\n")
    return path
