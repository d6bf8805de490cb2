"""The operator's commands, used on the deployed shop as the runbook says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from infra.demo.stage import Product, Stage, has_failed, is_paid
from infra.operator import target
from infra.operator.client import Session, Shop, poll
from infra.operator.target import State
from infra.paths import ROOT
from infra.replay.parallel import each
from mercato.ids import derived_id
from tests.e2e.test_stories import mercato

WITHIN = 120.0
RUNBOOK = (ROOT / "docs/runbook.md").read_text()


@pytest.fixture(scope="session")
def stage(shop: Shop, admin: Session, shop_state: State) -> Stage:
    return Stage(shop, admin, shop_state.endpoint, WITHIN)


@dataclass(frozen=True)
class Unrefunded:
    order_id: str
    total: int
    payment_id: str
    vase: Product
    customer: Session


@pytest.fixture(scope="session")
def unrefunded(stage: Stage) -> Unrefunded:
    """A cancelled order whose refund fails because the provider is down. It parks after about a minute, while other
    tests run.
    """
    petra = stage.new_customer("Petra")
    placed, vase = stage.cancel_paid(petra, "Lost vase", 2500, token="tok_refund_unavailable", quantity=2, stock=8)
    order = placed["order_id"]
    return Unrefunded(order, placed["total"]["amount"], derived_id("payment", order), vase, petra)


@pytest.mark.first
def test_an_order_whose_refund_finds_no_provider_is_not_cancelled_yet(unrefunded: Unrefunded) -> None:
    """Starts the refund that the last test of this file checks."""
    assert unrefunded.customer.get(f"/orders/{unrefunded.order_id}")["status"] in ("cancelling", "needs_attention")


def test_a_parked_refund_is_found_understood_and_brought_home(stage: Stage) -> None:
    paula = stage.new_customer("Paula")
    order, vase = stage.park(paula, "Parked vase", 2500, quantity=3)
    saga = f"{order}.cancellation"

    listed = stage.wait_for(lambda: mercato("saga", "list", "--parked").stdout, lambda told: saga in told)
    assert "RefundPayment" in listed
    shown = mercato("saga", "show", order).stdout
    assert f"order {order}  succeeded" in shown
    assert "RefundRefused" in shown
    skip = ("--skip", "RefundPayment", "--reason", "refunded by bank transfer, ref 4711")
    resumed = mercato("saga", "resume", saga, *skip)
    assert (resumed.returncode, mercato("saga", "resume", saga, "--retry", "--reason", "too late").returncode) == (0, 1)

    ended = paula.wait_for_order(order, lambda seen: seen["status"] == "cancelled", what="cancelled", within=WITHIN)
    assert ended["reason"] == "cancelled-by-customer"
    (_, story) = json.loads(
        stage.wait_for(lambda: mercato("saga", "show", order, "--json").stdout, lambda told: '"failed"' in told)
    )
    assert [(done["action"], done["reason"]) for done in story["resumptions"]] == [
        ("skip", "refunded by bank transfer, ref 4711")
    ]
    assert saga not in mercato("saga", "list", "--parked").stdout
    assert stage.stock(vase) == {"product_id": vase.product_id, "on_hand": 8, "reserved": 0, "available": 8}


@pytest.fixture
def phone(shop_state: State) -> Iterator[Callable[[], list[str]]]:
    """Returns the messages of the alarms' topic since the last call."""
    sns, sqs = (target.client(shop_state, name) for name in ("sns", "sqs"))
    (topic,) = [found["TopicArn"] for found in sns.list_topics()["Topics"] if found["TopicArn"].endswith("-alarms")]
    queue = sqs.create_queue(QueueName="operators-phone")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [allowed | {"Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
    raw = {"RawMessageDelivery": "true"}
    subscribed = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)["SubscriptionArn"]
    yield lambda: [found["Body"] for found in sqs.receive_message(QueueUrl=queue).get("Messages", [])]
    sns.unsubscribe(SubscriptionArn=subscribed)
    sqs.delete_queue(QueueUrl=queue)


def test_a_saga_that_somebody_stops_rings_and_says_which(
    stage: Stage, shop_state: State, phone: Callable[[], list[str]]
) -> None:
    steps, saga = target.client(shop_state, "stepfunctions"), f"stopped-{stage.new_key()}"
    execution = steps.start_execution(stateMachineArn=shop_state.outputs["OrderSagaArn"], name=saga, input="{}")
    steps.stop_execution(executionArn=execution["executionArn"], error="Stopped", cause="by mistake")

    (said,) = stage.wait_for(phone, lambda messages: bool(messages))
    assert f"SagaFailed: the saga {saga} has ended as ABORTED" in said
    assert f"mercato saga redrive {saga}" in mercato("saga", "show", saga).stdout


def test_a_hot_product_is_sold_to_the_last_while_its_shards_change_and_the_books_balance(stage: Stage) -> None:
    vase, buyers = stage.new_product("Hot vase", 2500, stock=12), [stage.new_customer(f"Buyer{n}") for n in range(3)]
    shards = f"/inventory/{vase.product_id}/shards"
    assert stage.admin.put(shards, {"shards": 4})["shards"] == 4

    def buy(number: int) -> bool:
        if number == 3:
            stage.admin.put(shards, {"shards": 2})
        customer = buyers[number % 3]
        order = stage.order(customer, vase, 3)["order_id"]
        return not has_failed(customer.wait_for_order(order, is_paid, what="settled", within=WITHIN))

    assert sum(each(buy, range(6), 3)) == 4
    assert stage.admin.put(shards, {"shards": 1})["available"] == 0
    audited = mercato("inventory", "audit")
    assert (audited.returncode, audited.stderr) == (0, ""), audited.stdout


def test_every_dead_letter_queue_of_the_shop_has_an_alarm(shop_state: State) -> None:
    queues = target.client(shop_state, "sqs").list_queues()["QueueUrls"]
    alarms = target.client(shop_state, "cloudwatch").get_paginator("describe_alarms").paginate()
    watched = {
        dimension["Value"]
        for page in alarms
        for alarm in page["MetricAlarms"]
        for dimension in alarm["Dimensions"]
        if dimension["Name"] == "QueueName" and alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
    }
    dead = {url.rpartition("/")[2] for url in queues if url.endswith("-dlq")}
    assert {name.rpartition("-")[0].rpartition("-")[2] for name in dead} >= {"carrier", "parked", "payments", "relay"}
    assert watched == dead


def test_a_parking_that_no_list_shows_is_found_among_the_dead_letters_and_redriven(
    stage: Stage, shop_state: State
) -> None:
    saga, sqs = f"lost-{stage.new_key()}", target.client(shop_state, "sqs")
    parking = {
        "order_id": saga,
        "step": "ReleaseInventory",
        "error": {"Error": "TransientError", "Cause": ""},
        "failed_step": "AuthorizePayment",
        "reason": "PaymentDeclined",
        "task_token": "nobody-waits-on-it",
        "execution_arn": f"{shop_state.outputs['OrderSagaArn'].replace(':stateMachine:', ':execution:')}:{saga}",
        "correlation_id": saga,
        "parked_at": "2026-11-22T12:00:00.000Z",
    }
    (url,) = sqs.list_queues(QueueNamePrefix="mercato-parked-dlq")["QueueUrls"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(parking))

    shown = mercato("dlq", "show", "parked", "--body").stdout
    assert saga in shown
    assert "nobody-waits-on-it" not in shown
    redriven = mercato("dlq", "redrive", "parked", "--send", "--note", "the table is back")
    assert (redriven.returncode, "1 redriven" in redriven.stdout) == (0, True), redriven.stdout
    listed = stage.wait_for(lambda: parked_sagas(stage), lambda found: saga in found)
    assert listed[saga] == "ReleaseInventory"

    other = mercato("saga", "resume", saga, "--skip", "RefundPayment", "--reason", "meant for another step")
    assert (other.returncode, "is parked in ReleaseInventory" in other.stderr) == (1, True), other.stderr
    assert mercato("saga", "resume", saga, "--retry", "--reason", "mended").returncode == 1, "nobody waits on its token"
    assert saga not in parked_sagas(stage)
    carriers = mercato("dlq", "redrive", "carrier")
    assert (carriers.returncode, "mercato-carrier-dlq: looked at 0" in carriers.stdout) == (0, True), carriers.stdout


def parked_sagas(stage: Stage) -> dict[str, str]:
    """The listed sagas, each with its parked step."""
    found = stage.admin.get("/ops/sagas", status="parked", limit=100)["items"]
    return {saga["saga"]: saga["step"] for saga in found}


def test_a_refund_whose_provider_was_away_is_brought_home_as_the_runbook_says(
    stage: Stage, unrefunded: Unrefunded
) -> None:
    order, saga = unrefunded.order_id, f"{unrefunded.order_id}.cancellation"

    def payment() -> dict[str, object]:
        found = stage.admin.get(f"/payments/{unrefunded.payment_id}")
        return {"captured": found["captured"]["amount"], "refunded": found["refunded"]["amount"]}

    poll(lambda: parked_sagas(stage), lambda found: saga in found, what=f"{saga} parked", within=WITHIN)
    listed = mercato("saga", "list", "--parked").stdout
    assert f'mercato saga resume {saga} --retry --reason "…"' in listed.splitlines()
    assert "TransientError" in mercato("saga", "show", saga).stdout
    assert unrefunded.customer.get(f"/orders/{order}")["status"] == "needs_attention"
    assert payment() == {"captured": unrefunded.total, "refunded": 0}

    commands = RUNBOOK.partition("Try it on the local cloud")[2].partition("```sh\n")[2].partition("```")[0]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands.replace("‹order›", order)],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=WITHIN,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"retry RefundPayment of order {saga}: sent.")

    def is_cancelled(seen: dict[str, object]) -> bool:
        return seen["status"] == "cancelled"

    ended = unrefunded.customer.wait_for_order(order, is_cancelled, what="cancelled", within=WITHIN)
    assert ended["reason"] == "cancelled-by-customer"
    assert payment() == {"captured": unrefunded.total, "refunded": unrefunded.total}
    assert order not in [found["order_id"] for found in stage.admin.get("/payments/mismatches")["items"]]
    story = stage.admin.get(f"/ops/sagas/{saga}")
    assert [(one["action"], one["step"], one["reason"]) for one in story["resumptions"]] == [
        ("retry", "RefundPayment", "the provider is back")
    ]
    assert (story["parked_step"], [step["state"] for step in story["steps"]].count("RefundPayment")) == (None, 2)
    assert saga not in parked_sagas(stage)
    whole = {"product_id": unrefunded.vase.product_id, "on_hand": 8, "reserved": 0, "available": 8}
    assert stage.stock(unrefunded.vase) == whole
    for kind in ("refund", "order_cancelled"):
        assert len(stage.notifications_of(unrefunded.customer, kind, order)) == 1, kind


def test_the_commands_work_on_a_stack_that_is_named_by_a_log_in_of_their_own(
    shop_state: State, stage: Stage, tmp_path: Path
) -> None:
    """Works as on AWS: only with the stack's outputs, the caller's credentials and an admin's log-in."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "MERCATO_STATE": str(tmp_path / "nothing.json"),
        "MERCATO_STACK": shop_state.stack,
        "MERCATO_URL": shop_state.base_url,  # the output ApiUrl points to AWS, also in the emulator
        "MERCATO_PASSWORD": shop_state.admin.password,
        "AWS_ENDPOINT_URL": shop_state.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": shop_state.region,
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("mercato")), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WITHIN)

    assert run("saga", "list").returncode == 2
    done = run("login", "--email", shop_state.admin.email)
    assert (done.returncode, done.stderr) == (0, "")
    order = stage.order(stage.new_customer("Sofia"), stage.new_product("Named vase", 900, stock=2), 1)["order_id"]
    assert order in run("saga", "list").stdout
    assert "every ledger proves its stock" in run("inventory", "audit").stdout
    request = f"request-{uuid.uuid4()}"
    httpx.get(f"{shop_state.base_url}/api/products", headers={"X-Request-Id": request}, timeout=60).raise_for_status()
    story = stage.wait_for(lambda: run("trace", request), lambda done: done.returncode == 0).stdout
    assert "GET /api/products" in story
    assert "1 requests" in story
    assert run("logout").returncode == 0
    assert run("saga", "list").returncode == 2
