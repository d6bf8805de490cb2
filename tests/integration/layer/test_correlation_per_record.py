"""A sandbox must not carry ids over from one record to the next, or from one invocation to the next."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from mercato.events import Event, Reads
from mercato.events.consumer import Consumer
from mercato.http import PUBLIC, App
from mercato.invocation.tasks import Tasks
from mercato.telemetry import correlation
from mercato.telemetry.correlation import Correlation
from tests.kit import aws_events
from tests.kit.given import published

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


class Anything(Reads):
    """A model that ignores all data."""


@pytest.fixture
def works() -> list[Correlation]:
    return []


def record(number: int, **fields: Any) -> dict[str, Any]:
    event = published("tea.brewed", "pot-1", {}, id=f"event-{number}", **fields)
    return aws_events.bus_record(event, "shop-tea", message_id=f"m{number}")


def consume(works: list[Correlation], *records: dict[str, Any]) -> None:
    consumer = Consumer("kitchen")

    @consumer.on("tea.brewed")
    def take(_: Event, __: Anything) -> None:
        works.append(correlation.current())

    consumer.handler(aws_events.records(*records), None)


def test_a_record_without_a_trace_gets_nothing_of_the_one_before(cloud: None, works: list[Correlation]) -> None:
    consume(
        works,
        record(1, correlationid="request-0001", traceparent=TRACEPARENT, tracestate="vendor=1", causationid="other"),
        record(2),
    )

    first, second = works
    assert (first.trace_id, first.parent_id, first.tracestate) == (TRACE, PARENT, "vendor=1")
    assert (first.causation_id, second.causation_id) == ("event-1", "event-2")
    assert second.correlation_id != "request-0001"
    assert second.trace_id != TRACE
    assert (second.parent_id, second.tracestate) == (None, "")


def test_a_record_that_cannot_be_read_goes_to_the_dlq_under_an_id_of_its_own(
    cloud: None, works: list[Correlation]
) -> None:
    sqs = boto3.client("sqs", "us-east-1")
    dlq = sqs.create_queue(QueueName="shop-tea-dlq")["QueueUrl"]
    unreadable = record(2) | {"body": "not json"}

    consume(works, record(1, correlationid="request-0001"), unreadable, record(3, correlationid="request-0003"))

    (dead,) = sqs.receive_message(QueueUrl=dlq, MessageAttributeNames=["All"])["Messages"]
    assert dead["MessageAttributes"]["correlation_id"]["StringValue"] not in ("request-0001", "request-0003")
    assert [work.correlation_id for work in works] == ["request-0001", "request-0003"]


def test_after_a_batch_nothing_is_bound(cloud: None, works: list[Correlation]) -> None:
    consume(works, record(1, correlationid="request-0001"))

    assert correlation._current.get() is None


def test_a_warm_request_gets_nothing_of_the_one_before(works: list[Correlation]) -> None:
    app = App("kitchen")

    @app.get("/tea", role=PUBLIC)
    def brew() -> dict[str, str]:
        works.append(correlation.current())
        return {}

    def ask(headers: dict[str, str]) -> str:
        answer = app.handler(aws_events.rest_request("GET", "/tea", headers=headers), None)
        assert answer["statusCode"] == 200
        return str(answer["headers"]["X-Request-Id"])

    ids = [ask({"X-Request-Id": "request-0001", "Traceparent": TRACEPARENT, "Tracestate": "vendor=1"}), ask({})]

    first, second = works
    assert ids == [first.correlation_id, second.correlation_id]
    assert (first.correlation_id, first.parent_id, first.tracestate) == ("request-0001", PARENT, "vendor=1")
    assert second.correlation_id != "request-0001"
    assert second.trace_id != TRACE
    assert (second.parent_id, second.tracestate, second.causation_id) == (None, "", None)
    assert correlation._current.get() is None


def test_a_failed_saga_step_leaves_nothing_behind(works: list[Correlation]) -> None:
    tasks = Tasks("kitchen")

    @tasks.task("Brew")
    def brew(_: Anything) -> None:
        works.append(correlation.current())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tasks.handler(aws_events.task("Brew", {}, correlation_id="request-0001", traceparent=TRACEPARENT), None)

    assert (works[0].correlation_id, works[0].parent_id) == ("request-0001", PARENT)
    assert correlation._current.get() is None
