"""A deploy of one service to the shop that runs: what it changes, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra import templates
from infra.local import build
from infra.local.stack import STACK, Stack
from infra.local.up import LocalShop
from infra.operator.client import Session

pytestmark = pytest.mark.spoiling


@pytest.fixture
def carts_changed(running: LocalShop, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if a line of its template had been changed: its sweeper may take a second less."""

    def built(path: Any) -> templates.Template:
        template = unchanged(path)
        for function in templates.resources_of_type(template, "AWS::Serverless::Function").values():
            if function["Properties"]["Handler"].startswith(("carts.sweeper", "orders.api")):
                function["Properties"]["Timeout"] = 19
        return template

    unchanged = build._built
    with monkeypatch.context() as patch:
        patch.setattr(build, "_built", built)
        yield
    running.deploy(running.build())
    running.settle()


def versions(running: LocalShop) -> dict[str, str]:
    functions = running.cloud.client("lambda")
    return {
        name: functions.get_alias(FunctionName=function, Name="live")["FunctionVersion"]
        for name, function in Stack.read(running.cloud).functions.items()
    }


def events(running: LocalShop) -> dict[str, int]:
    """How many each nested stack has had of its own resources. The root always looks at all, as on AWS."""
    cloudformation = running.cloud.client("cloudformation")
    return {
        resource["LogicalResourceId"]: sum(
            event["ResourceType"] != "AWS::CloudFormation::Stack"
            for event in cloudformation.describe_stack_events(StackName=resource["PhysicalResourceId"])["StackEvents"]
        )
        for resource in cloudformation.list_stack_resources(StackName=STACK)["StackResourceSummaries"]
        if resource["ResourceType"] == "AWS::CloudFormation::Stack"
    }


def test_a_deploy_of_nothing_new_changes_nothing(running: LocalShop) -> None:
    before, stacks = versions(running), events(running)
    running.deploy(running.build())
    assert versions(running) == before
    assert events(running) == stacks


@pytest.mark.usefixtures("carts_changed")
def test_a_deploy_of_carts_publishes_its_functions_and_touches_no_other_stack(
    running: LocalShop, customer: Session
) -> None:
    before, stacks = versions(running), events(running)

    running.deploy(running.build(["carts"]))
    running.settle()

    after = versions(running)
    assert {name for name in after if after[name] != before[name]} == {"CartsApi", "CartsConsumer", "CartsSweeper"}
    changed = {name for name, count in events(running).items() if count != stacks[name]}
    assert changed == {"Carts"}
    assert customer.get("/carts/mine")["lines"] == []
