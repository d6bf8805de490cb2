"""The resources of a deployed shop, as CloudFormation lists them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.operator import target
from infra.operator.target import Target
from infra.trouble import Trouble

TABLE, QUEUE, RULE = "AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::Events::Rule"
ARCHIVE = "AWS::Events::Archive"
_STACK = "AWS::CloudFormation::Stack"
_WHOLE = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"}
_GONE = {"DELETE_COMPLETE", "DELETE_SKIPPED"}


@dataclass(frozen=True)
class Part:
    """One resource. `id` is its physical id, such as a table's name or a queue's URL.

    `path` has the logical ids from the root stack to the resource, such as Orders/OrdersTable. It is equal in all
    shops.
    """

    path: str
    kind: str
    id: str


def parts_of(shop: Target) -> list[Part]:
    """Returns all resources of the shop. Raises Trouble if a deploy of the shop failed or is in progress."""
    cloudformation = target.client(shop, "cloudformation")
    status = cloudformation.describe_stacks(StackName=shop.stack)["Stacks"][0]["StackStatus"]
    parts, unready = [], []
    for part, state in _walk(cloudformation, shop.stack, ""):
        parts.append(part)
        if state.endswith(("_FAILED", "_IN_PROGRESS")):
            unready.append(f"{part.path} is {state}")
    if status not in _WHOLE or unready:
        raise Trouble(
            f"{shop.stack} is not deployed as a whole: {', '.join([f'the stack is {status}', *unready[:5]])}",
            'Wait for the deploy to end, or repair it: docs/runbook.md, "A first deploy that fails".',
        )
    return parts


def _walk(cloudformation: Any, stack: str, at: str) -> Iterator[tuple[Part, str]]:
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
        for one in page["StackResourceSummaries"]:
            path, found = f"{at}{one['LogicalResourceId']}", one.get("PhysicalResourceId", "")
            if one["ResourceStatus"] in _GONE:
                continue
            yield Part(path, one["ResourceType"], found), one["ResourceStatus"]
            if one["ResourceType"] == _STACK and found:
                yield from _walk(cloudformation, found, f"{path}/")
