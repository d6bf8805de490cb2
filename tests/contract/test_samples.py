"""Each sample event in events/ has AWS's form, and is valid by its function's contract."""

from __future__ import annotations

import importlib
import json
from typing import Any

import jsonschema
import pytest

from infra.contract import events
from infra.paths import ROOT
from mercato.events import Event, Reads
from mercato.events.consumer import Consumer
from mercato.http import App
from mercato.invocation.tasks import Tasks
from mercato.store.attributes import from_item
from tests.kit.template import resources_of_type

FUNCTIONS = resources_of_type("AWS::Serverless::Function")
SCHEMAS = {publication.model.TYPE: events.schema_of(publication.model) for publication in events.publications()}


def sample_of(function: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "events" / f"{function}.json").read_text(encoding="utf-8"))
    return found


def module_of(function: str) -> Any:
    return importlib.import_module(FUNCTIONS[function]["Properties"]["Handler"].rpartition(".")[0])


def functions_with(kind: type) -> list[str]:
    """The functions whose module has an App, a Consumer or Tasks."""
    return [name for name in FUNCTIONS if any(isinstance(value, kind) for value in vars(module_of(name)).values())]


def the(kind: type, function: str) -> Any:
    (found,) = [value for value in vars(module_of(function)).values() if isinstance(value, kind)]
    return found


def model_of(consumer: Consumer, event_type: str) -> type[Reads]:
    subscription = consumer.subscription_to(event_type)
    assert subscription, f"{consumer.service} does not subscribe to {event_type}"
    return subscription[0]


def test_every_sample_belongs_to_a_function() -> None:
    assert {path.stem for path in (ROOT / "events").glob("*.json")} == set(FUNCTIONS)


@pytest.mark.parametrize("function", functions_with(Consumer))
def test_the_sample_of_a_consumer_is_a_published_event_that_it_reads(function: str) -> None:
    consumer: Consumer = the(Consumer, function)
    records = sample_of(function)["Records"]
    assert records
    for record in records:
        assert {"messageId", "receiptHandle", "body", "attributes", "messageAttributes", "eventSourceARN"} <= set(
            record
        )
        message = json.loads(record["body"])
        if message.get("source") == "aws.s3":
            assert function == "ProductsScaler"
            model = model_of(consumer, message["detail-type"])
            model.model_validate(message["detail"])
            continue
        event = Event.model_validate(message["detail"])
        model = model_of(consumer, event.type)
        model.model_validate(event.data)
        if event.type in SCHEMAS:
            jsonschema.validate(event.data, SCHEMAS[event.type])
            assert (message["detail-type"], message["source"]) == (event.type, event.source)
            assert message["detail"]["sequence"] == f"{event.sequence:010d}"
        else:
            # The sandbox carrier uses its own queue, and not the bus.
            assert function == "ShippingCarrier"


def test_the_sample_of_the_relay_is_a_published_event() -> None:
    records = sample_of("Relay")["Records"]
    assert records
    for record in records:
        assert record["eventName"] == "INSERT"
        detail = json.loads(from_item(record["dynamodb"]["NewImage"])["event"])
        event = Event.model_validate(detail)
        jsonschema.validate(event.data, SCHEMAS[event.type])
        assert detail["sequence"] == f"{event.sequence:010d}"


@pytest.mark.parametrize("function", functions_with(Tasks))
def test_the_sample_of_a_saga_function_is_a_task_that_it_has(function: str) -> None:
    tasks: Tasks = the(Tasks, function)
    sample = sample_of(function)
    model, _ = tasks.tasks[sample["task"]]
    model.model_validate(sample["input"])


@pytest.mark.parametrize("function", functions_with(App))
def test_the_sample_of_an_api_is_a_request_that_its_routes_match(function: str) -> None:
    app: App = the(App, function)
    sample = sample_of(function)
    assert {"requestContext", "multiValueHeaders", "isBase64Encoded"} <= set(sample)
    assert any(
        route.method == sample["httpMethod"] and route.pattern.fullmatch(sample["path"]) for route in app.routes
    ), f"{function} has no route {sample['httpMethod']} {sample['path']}"
