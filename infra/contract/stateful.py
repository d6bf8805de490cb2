"""Which resources of a deployed shop an update would replace or delete, of those that hold what cannot be made again.

CloudFormation makes a new, empty table where a property changes that a table cannot change, or where the table has
another logical id, also that of the nested stack which it is in. The shop then uses the new one, whatever becomes of
the old one.
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

# What is in them would be lost: data, keys, past events, undelivered messages, the confirmed sender.
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
    """By the logical ids from the root to the resource: its type, and the properties that only a new one can change."""
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
    """As the resource's provider declares it, in cfn-lint's copy of CloudFormation's schemas."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    paths = [*schema.get("createOnlyProperties", []), *schema.get("conditionalCreateOnlyProperties", [])]
    return frozenset(path.split("/")[2] for path in paths)


def replaced(before: Mapping[str, dict[str, Any]], now: Mapping[str, dict[str, Any]]) -> list[str]:
    """What an update would replace or delete, a sentence each."""
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
    """As the newest file of docs/releases has it."""
    paths = sorted(RELEASES.glob("stateful-*.json"), key=lambda path: [int(part) for part in _version(path).split(".")])
    found: Held = json.loads(paths[-1].read_text()) if paths else {}
    return found


def _version(path: Path) -> str:
    return path.stem.removeprefix("stateful-")


def release() -> Path:
    """Keeps what this version deploys. A version may gain resources. Raises Trouble where it would replace one."""
    path, now = RELEASES / f"stateful-{document.version()}.json", held()
    if path.exists() and (lost := replaced(json.loads(path.read_text()), now)):
        raise Trouble(f"{path.name} is released. {'. '.join(lost)}.", "Raise the version in pyproject.toml.")
    path.write_text(json.dumps(now, indent=1) + "\n")
    return path
