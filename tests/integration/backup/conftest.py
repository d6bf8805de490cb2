"""Two deployed shops, in moto: one that is used, and one that is new."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import moto.cloudformation.models
import moto.cloudformation.responses
import pytest
import yaml
from click.testing import CliRunner, Result
from moto.cloudformation.utils import yaml_tag_constructor

from infra import cli
from infra.operator import target
from infra.operator.backup import quiet
from infra.operator.target import Target
from mercato.events.consumer import EVERY
from mercato.store import dynamo
from mercato.store.dynamo import Table
from orders import domain
from orders.order import Address, Line
from orders.store import OrderStore
from tests.kit.template import load_template, resources_of_type


class _Loader(yaml.CLoader):
    """moto's loader of templates, by libyaml, in a tenth of the time."""


_Loader.add_multi_constructor("", yaml_tag_constructor)
REGION = "us-east-1"
OLD, NEW = "mercato-old", "mercato-new"
_BUCKET = "templates"
_CONSUMERS = {
    "OrdersSubscription": ("orders", ["order.created"]),
    "NotificationsSubscription": ("notifications", ["order.created", "order.cancelled"]),
    "DocumentsPdf": ("documents-pdf", ["document.issued"]),
    "OpsSubscription": ("ops", [EVERY]),
}


@dataclass
class Deployed:
    """A shop and its parts. `tables` are by their logical ids."""

    stack: str
    tables: dict[str, str]
    functions: list[str]

    def table(self, logical_id: str) -> Table:
        return Table(self.tables[logical_id], sleep=lambda _: None)

    def chosen(self) -> Target:
        target.choice = target.Choice(self.stack, REGION)
        return target.chosen()

    def run(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(
            cli.main, ["--stack", self.stack, "--region", REGION, *map(str, arguments)], env={"COLUMNS": "200"}
        )

    def items(self, logical_id: str) -> list[dict[str, Any]]:
        pages = boto3.client("dynamodb", REGION).get_paginator("scan").paginate(TableName=self.tables[logical_id])
        found = [item for page in pages for item in page["Items"]]
        return sorted(found, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))

    def records(self, logical_id: str) -> list[dict[str, Any]]:
        """All records of the table's stream, as Lambda gets them; none where it has no stream."""
        arn = (
            boto3.client("dynamodb", REGION)
            .describe_table(TableName=self.tables[logical_id])["Table"]
            .get("LatestStreamArn")
        )
        if arn is None:
            return []
        streams = boto3.client("dynamodbstreams", REGION)
        [shard] = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        found: list[dict[str, Any]] = streams.get_records(ShardIterator=iterator)["Records"]
        return found

    def concurrency(self) -> set[int | None]:
        functions = boto3.client("lambda", REGION)
        return {
            functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
            for name in self.functions
        }

    def executions(self) -> set[str]:
        machine = self.chosen().outputs["OrderSagaArn"]
        found = boto3.client("stepfunctions", REGION).list_executions(stateMachineArn=machine)
        return {one["name"] for one in found["executions"]}

    def queue(self, consumer: str) -> list[dict[str, Any]]:
        """Takes the messages of the consumer's queue."""
        sqs = boto3.client("sqs", REGION)
        url, found = sqs.get_queue_url(QueueName=f"{self.stack}-{consumer}")["QueueUrl"], []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def orders(self) -> OrderStore:
        return OrderStore(self.table("OrdersTable"))

    def place_order(self, order_id: str, now: datetime) -> None:
        line = Line(product_id="p", sku="s", name="Lamp", quantity=2, unit_price={"amount": 500, "currency": "GBP"})
        facts = domain.place(order_id, "customer", (line,), "tok_ok", "fingerprint")
        address = Address(name="Ann", line1="1 Quay", city="Leith", postcode="EH6", country="GB")
        self.orders().place(order_id, facts, address, now)


@pytest.fixture(autouse=True)
def templates_by_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    library = SimpleNamespace(Loader=_Loader, load=yaml.load, add_multi_constructor=lambda *_: None)
    for module in (moto.cloudformation.models, moto.cloudformation.responses):
        monkeypatch.setattr(module, "yaml", library)


def _table(properties: dict[str, Any]) -> dict[str, Any]:
    taken = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode", "StreamSpecification")
    return {name: properties[name] for name in taken if name in properties}


def deploy(stack: str) -> Deployed:
    """The tables of template.yaml, the bus with its archive, four subscriptions, and a function."""
    definitions = resources_of_type("AWS::DynamoDB::Table")
    resources: dict[str, Any] = {
        name: {"Type": "AWS::DynamoDB::Table", "Properties": _table(one["Properties"])}
        for name, one in definitions.items()
    }
    resources["Bus"] = {"Type": "AWS::Events::EventBus", "Properties": {"Name": stack}}
    for name, (consumer, types) in _CONSUMERS.items():
        resources[name] = {
            "Type": "AWS::CloudFormation::Stack",
            "DependsOn": "Bus",
            "Properties": {
                "TemplateURL": f"https://s3.amazonaws.com/{_BUCKET}/subscription.json",
                "Parameters": {
                    "QueueName": f"{stack}-{consumer}",
                    "BusName": stack,
                    "EventTypes": ",".join(types),
                },
            },
        }
    machine = boto3.client("stepfunctions", REGION).create_state_machine(
        name=stack,
        definition=json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}}),
        roleArn="arn:aws:iam::123456789012:role/saga",
    )["stateMachineArn"]
    outputs: dict[str, Any] = {
        "ApiUrl": {"Value": "https://shop.test/api"},
        "BusName": {"Value": stack},
        "OrderSagaArn": {"Value": machine},
    }
    outputs |= {name: {"Value": {"Ref": name}} for name in definitions if name != "JournalTable"}
    cloudformation = boto3.client("cloudformation", REGION)
    cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps({"Resources": resources, "Outputs": outputs}))
    found = cloudformation.list_stack_resources(StackName=stack)["StackResourceSummaries"]
    tables = {
        one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found if one["LogicalResourceId"] in definitions
    }
    functions = [_function(f"{stack}-{name}", stack) for name in ("orders-api", "relay")]
    _function(f"{stack}-eu-orders-api", f"{stack}-eu")  # of another shop
    return Deployed(stack, tables, functions)


def _function(name: str, stack: str) -> str:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", "")
    boto3.client("lambda", REGION).create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role="arn:aws:iam::123456789012:role/r",
        Handler="app.handler",
        Code={"ZipFile": packed.getvalue()},
        Environment={"Variables": {"METRICS_NAMESPACE": f"Mercato/{stack}"}},
    )
    return name


@pytest.fixture
def shops(cloud: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Deployed]]:
    """Deploys a shop by the name of its stack."""
    monkeypatch.setattr(quiet, "PAUSE", 0)
    s3, iam = boto3.client("s3", REGION), boto3.client("iam", REGION)
    s3.create_bucket(Bucket=_BUCKET)
    subscription = load_template("infra/subscription.yaml")
    kept: dict[str, Any] = {
        "DeadLetters": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::Sub": "${QueueName}-dlq"}}},
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "QueueName"}}},
    }
    kept["Rule"] = {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "EventBusName": {"Ref": "BusName"},
            "EventPattern": subscription["Resources"]["Rule"]["Properties"]["EventPattern"],
            "Targets": [{"Id": "queue", "Arn": {"Fn::GetAtt": ["Queue", "Arn"]}}],
        },
    }
    parameters = {name: subscription["Parameters"][name] for name in ("QueueName", "BusName", "EventTypes", "Bucket")}
    conditions = {name: subscription["Conditions"][name] for name in ("HasBucket", "HearsAll")}
    body = json.dumps({"Parameters": parameters, "Conditions": conditions, "Resources": kept})
    s3.put_object(Bucket=_BUCKET, Key="subscription.json", Body=body)
    for role in ("r", "saga"):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
    target._client.cache_clear()
    before = target.choice
    yield deploy
    target.choice = before
    target._client.cache_clear()


@pytest.fixture
def old(shops: Callable[[str], Deployed], noon: datetime) -> Deployed:
    """A shop with an account, two orders and an import's outbox record."""
    shop = shops(OLD)
    shop.table("UsersTable").write(dynamo.put({"pk": "USER#1", "sk": "USER", "email": "ann@example.com"}))
    for number in range(2):
        shop.place_order(f"order-{number}", noon)
    return shop


@pytest.fixture
def new(shops: Callable[[str], Deployed], noon: datetime) -> Deployed:
    """A shop that was deployed and never used. Its schedules have written what they write in any shop."""
    shop = shops(NEW)
    shop.table("OpsTable").write(dynamo.put({"pk": "PROBES", "sk": "orders#1", "ttl": 4102444800}))
    shop.table("InventoryTable").write(dynamo.put({"pk": "SWEEP#RESERVATIONS", "sk": "SWEEP", "swept_to": "x"}))
    return shop
