"""What wakes the operator, and that the runbook says what to do then."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from tests.template import ROOT, load_template, resources_of_type

WATCHED = "infra/observability.yaml"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:mercato-order"
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
RULES = resources_of_type("AWS::Events::Rule", WATCHED)
ALARMS = [*resources_of_type("AWS::CloudWatch::Alarm", WATCHED), *RULES]


@pytest.mark.parametrize("alarm", ALARMS)
def test_each_alarm_has_its_section_and_its_place_in_the_picture(alarm: str) -> None:
    headings = [line for line in RUNBOOK.splitlines() if line.startswith("## ")]
    picture = RUNBOOK.partition("```mermaid")[2].partition("```")[0]
    assert any(alarm in heading for heading in headings)
    assert alarm in picture


def test_all_that_rings_rings_at_the_same_topic() -> None:
    for name, alarm in resources_of_type("AWS::CloudWatch::Alarm", WATCHED).items():
        assert alarm["Properties"]["AlarmActions"] == [{"Ref": "AlarmTopic"}], name
    assert [target["Arn"] for target in RULES["SagaFailed"]["Properties"]["Targets"]] == [{"Ref": "AlarmTopic"}]


def test_alarms_and_rules_may_publish_to_the_topic() -> None:
    """A policy of our own takes the place of the one by which CloudWatch could."""
    (policy,) = resources_of_type("AWS::SNS::TopicPolicy", WATCHED).values()
    allowed = policy["Properties"]["PolicyDocument"]["Statement"]
    assert [one["Principal"]["Service"] for one in allowed] == ["cloudwatch.amazonaws.com", "events.amazonaws.com"]
    assert {(one["Action"], one["Resource"]["Ref"]) for one in allowed} == {("sns:Publish", "AlarmTopic")}


def test_every_task_catches_all_so_that_only_step_functions_itself_ends_a_saga_half_done() -> None:
    """SagaFailed rests on it: a failure under a task's error name comes from OrderFailed, where all is undone."""
    states = json.loads((ROOT / "infra/order_saga.asl.json").read_text())["States"]
    caught = {
        name: any("States.ALL" in catch["ErrorEquals"] for catch in state.get("Catch", []))
        for name, state in states.items()
        if state["Type"] == "Task"
    }
    assert len(caught) == 12
    assert all(caught.values())
    assert [name for name, state in states.items() if state["Type"] == "Fail"] == ["OrderFailed"]


def change(status: str, error: str | None = None, machine: str = MACHINE) -> dict[str, Any]:
    """The event that Step Functions sends when an execution changes its status."""
    return {"stateMachineArn": machine, "name": "ord-1", "status": status, "error": error, "cause": None}


def ringing(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of the changes that the rule lets through."""
    events, sqs = boto3.client("events"), boto3.client("sqs")
    queue = sqs.create_queue(QueueName="rung")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = load_template(WATCHED)["Resources"]["SagaFailed"]["Properties"]["EventPattern"]
    text = json.dumps(pattern).replace(json.dumps({"Ref": "OrderSaga"}), json.dumps(MACHINE))
    events.put_rule(Name="SagaFailed", EventPattern=text)
    events.put_targets(Rule="SagaFailed", Targets=[{"Id": "queue", "Arn": arn}])
    kind = "Step Functions Execution Status Change"
    for one in changes:
        events.put_events(Entries=[{"Source": "aws.states", "DetailType": kind, "Detail": json.dumps(one)}])
    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"])["detail"] for message in found]


@pytest.mark.parametrize(
    "ended",
    [
        change("ABORTED"),
        change("ABORTED", "stopped by hand"),
        change("TIMED_OUT"),
        change("TIMED_OUT", "States.Timeout"),
        change("FAILED", "States.Runtime"),
        change("FAILED", "States.DataLimitExceeded"),
        change("FAILED", "States.NoChoiceMatched"),
    ],
)
def test_a_saga_that_failed_as_a_workflow_rings(cloud: None, ended: dict[str, Any]) -> None:
    assert ringing(ended) == [ended]


def test_a_saga_that_runs_or_has_ended_as_sagas_may_does_not_ring(cloud: None) -> None:
    quiet = [change("FAILED", error) for error in ("OutOfStock", "PaymentDeclined", "CancelledByCustomer", "KeyError")]
    quiet += [change("FAILED", error) for error in ("TransientError", "Runtime.ExitError", "Lambda.Unknown")]
    assert ringing(*quiet, change("RUNNING"), change("SUCCEEDED")) == []


def test_another_machine_does_not_ring(cloud: None) -> None:
    assert ringing(change("ABORTED", machine=f"{MACHINE}-of-others")) == []
