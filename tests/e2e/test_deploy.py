"""A deploy of one service to the running shop changes that service and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra import templates
from infra.demo.stage import Stage, has_failed, is_paid
from infra.local import build
from infra.local.stack import STACK, Stack
from infra.local.up import LocalShop
from infra.operator.client import Refused, Session, Shop
from infra.operator.target import State
from infra.replay.parallel import each
from rollout.questions import question_for
from tests.e2e.test_stories import mercato

pytestmark = pytest.mark.spoiling


@pytest.fixture
def carts_changed(running: LocalShop, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The build with one changed line in the carts template: its sweeper's timeout is a second shorter."""

    def built(path: Any, **how: Any) -> templates.Template:
        template = unchanged(path, **how)
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
    """The number of stack events per nested stack. The root stack always updates all, as on AWS."""
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


def test_each_version_answers_the_question_of_the_smoke_test_under_its_own_role(running: LocalShop) -> None:
    functions = running.cloud.client("lambda")
    asked, answers = 0, dict[str, object]()
    for name in Stack.read(running.cloud).functions.values():
        if question := question_for(name):
            asked += 1
            told = functions.invoke(FunctionName=name, Qualifier="live", Payload=json.dumps(question.event).encode())
            answer = json.loads(told["Payload"].read())
            answers |= {} if question.is_well(answer) else {name: answer}
    assert answers == {}
    assert asked == 38


@pytest.fixture
def broken_products(running: LocalShop) -> Iterator[None]:
    """Publishes a newer version of each function of products, which uses a table that does not exist."""
    functions = running.cloud.client("lambda")
    names = [f"{STACK}-products-api", f"{STACK}-products-admin", f"{STACK}-products-consumer"]
    before = {}
    for name in names:
        settings = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        before[name] = {"Variables": settings}
        changed = {"Variables": settings | {"TABLE_NAME": "no-such-table", "RELEASE": "broken"}}
        functions.update_function_configuration(FunctionName=name, Environment=changed)
        functions.publish_version(FunctionName=name)
    yield
    for name in names:
        functions.update_function_configuration(FunctionName=name, Environment=before[name])


@pytest.mark.usefixtures("broken_products")
def test_a_broken_version_with_a_tenth_of_the_calls_is_seen_and_rolled_back_and_no_order_is_lost(
    shop: Shop, admin: Session, shop_state: State
) -> None:
    stage = Stage(shop, admin, shop_state.endpoint, 120.0)
    vase, buyer = stage.new_product("Vase of two versions", 900, stock=100), stage.new_customer("Vera")

    def fails(_: int) -> bool:
        try:
            shop.call("GET", f"/products/{vase.product_id}")
        except Refused as refused:
            return refused.status >= 500
        return False

    assert not any(each(fails, range(20), 4))
    assert mercato("release", "share", "products", "10").returncode == 0
    assert mercato("release", "status", "products").stdout.count("10% to") == 3

    errors = sum(each(fails, range(160), 4))
    placed = each(lambda _: stage.order(buyer, vase, 1)["order_id"], range(12), 4)
    back = mercato("release", "rollback", "products")

    assert 1 <= errors <= 50
    assert back.returncode == 0, back.stderr
    assert back.stdout.count("+ 10% to") == 3
    assert "10% to" not in mercato("release", "status", "products").stdout
    assert not any(each(fails, range(40), 4))
    ends = [buyer.wait_for_order(order_id, is_paid, what="paid", within=120.0) for order_id in placed]
    assert len(set(placed)) == len(stage.orders_of(buyer)) == 12
    sold = sum(not has_failed(end) for end in ends)  # a slow machine undoes an order
    assert sold
    assert stage.wait_for(lambda: stage.stock(vase)["available"], lambda left: left == 100 - sold) == 100 - sold


@pytest.mark.usefixtures("broken_products")
def test_a_broken_version_that_went_live_is_taken_back_with_its_service_alone(running: LocalShop, shop: Shop) -> None:
    before = versions(running)
    assert mercato("release", "share", "products", "100").returncode == 0
    with pytest.raises(Refused, match="50"):
        shop.call("GET", "/products")
    assert {name for name, now in versions(running).items() if now != before[name]} == {
        "ProductsApi",
        "ProductsAdmin",
        "ProductsConsumer",
    }

    back = mercato("release", "rollback", "products")

    assert back.returncode == 0, back.stderr
    assert versions(running) == before
    assert shop.call("GET", "/products")["items"]
