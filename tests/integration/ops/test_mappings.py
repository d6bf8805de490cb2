"""The prober asks Lambda which streams and queues are polled, through a real client, and emits the alarm's metric."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from mercato import aws
from mercato.errors import TransientError
from mercato.telemetry import metrics
from ops.health import mappings, prober
from tests.integration.ops.conftest import Desk
from tests.kit.template import load_template

TABLE, QUEUE = "mercato-OrdersTable-1ABC", "mercato-orders"
STREAM_ARN = f"arn:aws:dynamodb:us-east-1:123456789012:table/{TABLE}/stream/2026-11-22T12:00:00.000"
QUEUE_ARN = f"arn:aws:sqs:us-east-1:123456789012:{QUEUE}"
RUNNING = {"State": "Enabled", "StateTransitionReason": "USER_INITIATED"}


def mapping(arn: str, **changes: str) -> dict[str, str]:
    return RUNNING | {"EventSourceArn": arn} | changes


class Lambda:
    """A fake of Lambda's HTTP API."""

    def __init__(self, wire: Stubber) -> None:
        self.wire = wire

    def answers(self, *found: dict[str, str], after: str = "", marker: str = "") -> None:
        page = {"EventSourceMappings": list(found)} | ({"NextMarker": marker} if marker else {})
        self.wire.add_response("list_event_source_mappings", page, {"Marker": after} if after else {})


@pytest.fixture
def account(cloud: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lambda]:
    client, real = boto3.client("lambda"), aws.client
    monkeypatch.setattr(aws, "client", lambda service, **more: client if service == "lambda" else real(service, **more))
    with Stubber(client) as wire:
        yield Lambda(wire)


def test_what_is_read_has_no_complaint(account: Lambda) -> None:
    account.answers(mapping(STREAM_ARN, LastProcessingResult="No records processed"), mapping(QUEUE_ARN))
    assert mappings.find_down([TABLE, QUEUE]) == {}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"State": "Disabled"}, "Disabled: USER_INITIATED"),
        ({"State": "Creating", "StateTransitionReason": ""}, "Creating"),
        ({"LastProcessingResult": "PROBLEM: Cannot access stream"}, "PROBLEM: Cannot access stream"),
        ({"LastProcessingResult": "FAILED"}, "FAILED"),
    ],
)
def test_what_is_not_read_is_named_with_lambdas_own_reason(
    account: Lambda, changes: dict[str, str], complaint: str
) -> None:
    account.answers(mapping(STREAM_ARN, **changes), mapping(QUEUE_ARN))
    assert mappings.find_down([TABLE, QUEUE]) == {TABLE: complaint}


def test_a_mapping_that_somebody_deleted_is_missed(account: Lambda) -> None:
    account.answers(mapping(STREAM_ARN))
    assert mappings.find_down([TABLE, QUEUE]) == {QUEUE: "no mapping"}


def test_a_second_reader_of_the_same_stream_hides_nobody(account: Lambda) -> None:
    account.answers(mapping(STREAM_ARN), mapping(STREAM_ARN, State="Disabled"))
    assert mappings.find_down([TABLE]) == {TABLE: "Disabled: USER_INITIATED"}


def test_what_others_in_the_account_read_is_theirs(account: Lambda) -> None:
    other = QUEUE_ARN.replace(QUEUE, f"{QUEUE}-of-others")
    kafka = {"State": "Disabled", "SelfManagedEventSource": {}}
    account.answers(mapping(other, State="Disabled"), kafka, mapping(QUEUE_ARN))  # type: ignore[arg-type]  # no ARN
    assert mappings.find_down([QUEUE]) == {}


def test_all_pages_are_read(account: Lambda) -> None:
    account.answers(mapping(STREAM_ARN), marker="next")
    account.answers(mapping(QUEUE_ARN, State="Disabled"), after="next")
    assert mappings.find_down([TABLE, QUEUE]) == {QUEUE: "Disabled: USER_INITIATED"}


def test_more_pages_than_there_is_time_for_are_no_answer(account: Lambda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mappings, "_ALL_PAGES", 0.0)
    account.answers(mapping(STREAM_ARN), marker="next")
    with pytest.raises(TransientError, match="more pages than"):
        mappings.find_down([TABLE])


@pytest.fixture
def settings(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICES", "orders=srv-1")
    monkeypatch.setenv("SOURCES", f"{TABLE},{QUEUE}")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The metric lines, as CloudWatch reads them from the log."""
    lines: list[str] = []
    metrics.flush(lambda _: None)  # metrics of other tests
    monkeypatch.setattr(metrics, "flush", functools.partial(metrics.flush, lines.append))
    return lines


def watched() -> dict[str, Any]:
    properties: dict[str, Any] = load_template()["Resources"]["MappingsDown"]["Properties"]
    return properties


@pytest.mark.parametrize(("state", "down"), [("Enabled", 0), ("Disabled", 1)])
def test_the_number_of_those_that_are_down_is_the_metric_that_the_alarm_watches(
    settings: None, account: Lambda, written: list[str], state: str, down: int
) -> None:
    account.answers(mapping(STREAM_ARN, State=state), mapping(QUEUE_ARN))
    prober.watch_mappings()

    (line,) = [json.loads(one) for one in written]
    (described,) = line["_aws"]["CloudWatchMetrics"]
    alarm = watched()
    assert line["MappingsDown"] == down
    assert [metric["Name"] for metric in described["Metrics"]] == [alarm["MetricName"]]
    assert described["Dimensions"] == [[]]
    assert "Dimensions" not in alarm


@pytest.mark.parametrize("failure", ["TooManyRequestsException", "AccessDeniedException"])
def test_where_lambda_does_not_say_nothing_is_counted_and_the_alarm_takes_that_as_breaching(
    settings: None, account: Lambda, written: list[str], failure: str
) -> None:
    account.wire.add_client_error("list_event_source_mappings", failure)
    prober.watch_mappings()

    assert written == []
    assert watched()["TreatMissingData"] == "breaching"


def test_where_lambda_cannot_be_reached_nothing_is_counted_and_the_prober_goes_on(
    settings: None, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = boto3.client("lambda", endpoint_url="http://127.0.0.1:1", config=Config(retries={"total_max_attempts": 1}))
    monkeypatch.setattr(aws, "client", lambda service, **_: nobody)
    prober.watch_mappings()

    assert written == []
