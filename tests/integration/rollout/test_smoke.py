"""The smoke test with botocore's own clients: each call is checked against the service's model."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from rollout import questions, smoke, wiring

DEPLOYMENT, EXECUTION = "d-ABCDEF123", "the-execution"
EVENT = {"DeploymentId": DEPLOYMENT, "LifecycleEventHookExecutionId": EXECUTION}
NAME, NUMBER = "mercato-prod-carts-api", "7"
SPEC = {
    "version": 0.0,
    "Resources": [
        {
            NAME: {
                "Type": "AWS::Lambda::Function",
                "Properties": {"Name": NAME, "Alias": "live", "CurrentVersion": "6", "TargetVersion": NUMBER},
            }
        }
    ],
    "Hooks": [{"BeforeAllowTraffic": "mercato-prod-rollout-smoke"}],
}
AS_YAML = f"""version: 0.0
Resources:
  - {NAME}:
      Type: AWS::Lambda::Function
      Properties:
        Name: "{NAME}"
        Alias: live
        CurrentVersion: "6"
        TargetVersion: "{NUMBER}"
"""


class Aws:
    """What CodeDeploy and Lambda are asked and answer, in order."""

    def __init__(self) -> None:
        self.codedeploy = Stubber(wiring.ports().codedeploy)
        self.functions = Stubber(wiring.ports().functions)
        self.codedeploy.activate()
        self.functions.activate()

    def describes(self, spec: dict[str, Any]) -> None:
        answer = {"deploymentInfo": {"deploymentId": DEPLOYMENT, "revision": spec}}
        self.codedeploy.add_response("get_deployment", answer, {"deploymentId": DEPLOYMENT})

    def answers(self, payload: Any, error: str | None = None) -> None:
        text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        answer: dict[str, Any] = {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(text), len(text))}
        if error:
            answer["FunctionError"] = error
        asked = json.dumps(questions.HEALTH.event).encode()
        self.functions.add_response("invoke", answer, {"FunctionName": NAME, "Qualifier": NUMBER, "Payload": asked})

    def takes(self, status: str) -> None:
        told = {"deploymentId": DEPLOYMENT, "lifecycleEventHookExecutionId": EXECUTION, "status": status}
        taken = {"lifecycleEventHookExecutionId": EXECUTION}
        self.codedeploy.add_response("put_lifecycle_event_hook_execution_status", taken, told)

    def was_asked_for_all(self) -> None:
        self.codedeploy.assert_no_pending_responses()
        self.functions.assert_no_pending_responses()


@pytest.fixture
def aws(cloud: None) -> Iterator[Aws]:
    wiring.ports.cache_clear()
    found = Aws()
    yield found
    wiring.ports.cache_clear()
    found.was_asked_for_all()


def spec(content: str) -> dict[str, Any]:
    return {"revisionType": "AppSpecContent", "appSpecContent": {"content": content}}


@pytest.mark.parametrize(
    "revision",
    [
        spec(json.dumps(SPEC)),
        spec(AS_YAML),
        {"revisionType": "String", "string": {"content": json.dumps(SPEC), "sha256": "0"}},
    ],
    ids=["JSON", "YAML", "string"],
)
def test_a_version_that_answers_well_gets_calls(aws: Aws, revision: dict[str, Any]) -> None:
    aws.describes(revision)
    aws.answers({"statusCode": 200, "body": "{}"})
    aws.takes("Succeeded")
    smoke.handler(EVENT, None)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"statusCode": 503, "body": '{"status": "failing"}'}, None),
        ({"errorType": "Runtime.ImportModuleError", "errorMessage": "No module named 'carts.api'"}, "Unhandled"),
        ({"errorMessage": "2026-11-29 Task timed out after 20.00 seconds"}, "Unhandled"),
        (None, None),
        ([], None),
        (b"", None),
        (b"<html>", None),
        (b"\xff", None),
    ],
)
def test_a_version_that_answers_otherwise_gets_none(aws: Aws, answer: Any, error: str | None) -> None:
    aws.describes(spec(json.dumps(SPEC)))
    aws.answers(answer, error)
    aws.takes("Failed")
    smoke.handler(EVENT, None)


@pytest.mark.parametrize(
    "revision",
    [
        {},
        {"revisionType": "S3", "s3Location": {"bucket": "b", "key": "k"}},
        spec(""),
        spec("no AppSpec"),
        spec(json.dumps({"Resources": []})),
        spec(json.dumps(SPEC).replace("TargetVersion", "Other")),
        spec(json.dumps(SPEC).replace("carts-api", "carts-unknown")),
    ],
)
def test_a_deployment_that_cannot_be_understood_fails(aws: Aws, revision: dict[str, Any]) -> None:
    aws.describes(revision)
    aws.takes("Failed")
    smoke.handler(EVENT, None)


def test_an_error_of_lambda_or_codedeploy_fails_the_deployment(aws: Aws) -> None:
    aws.describes(spec(json.dumps(SPEC)))
    aws.functions.add_client_error("invoke", "TooManyRequestsException")
    aws.takes("Failed")
    smoke.handler(EVENT, None)
    aws.codedeploy.add_client_error("get_deployment", "ThrottlingException")
    aws.takes("Failed")
    smoke.handler(EVENT, None)


def test_a_version_that_does_not_answer_in_time_fails(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="https://lambda.test")

    aws.describes(spec(json.dumps(SPEC)))
    aws.takes("Failed")
    monkeypatch.setattr(wiring.ports().functions, "invoke", hangs)
    smoke.handler(EVENT, None)


def test_an_error_of_its_own_is_reported_as_a_failure_and_raised(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: str) -> None:
        raise ZeroDivisionError

    aws.describes(spec(json.dumps(SPEC)))
    aws.takes("Failed")
    monkeypatch.setattr(questions, "question_for", breaks)
    with pytest.raises(ZeroDivisionError):
        smoke.handler(EVENT, None)


def test_a_repeated_run_whose_report_is_in_ends_well(aws: Aws) -> None:
    aws.describes(spec(json.dumps(SPEC)))
    aws.answers({"statusCode": 200})
    aws.codedeploy.add_client_error(
        "put_lifecycle_event_hook_execution_status", "LifecycleEventAlreadyCompletedException"
    )
    smoke.handler(EVENT, None)


def test_a_report_that_codedeploy_does_not_take_is_raised_so_that_lambda_repeats_the_run(aws: Aws) -> None:
    aws.describes(spec(json.dumps(SPEC)))
    aws.answers({"statusCode": 200})
    aws.codedeploy.add_client_error("put_lifecycle_event_hook_execution_status", "ThrottlingException")
    with pytest.raises(ClientError, match="Throttling"):
        smoke.handler(EVENT, None)


@pytest.mark.parametrize("event", [{}, {"DeploymentId": DEPLOYMENT}, {"LifecycleEventHookExecutionId": EXECUTION}])
def test_an_event_without_a_deployment_is_refused(aws: Aws, event: dict[str, Any]) -> None:
    with pytest.raises(KeyError):
        smoke.handler(event, None)


def test_the_time_for_an_answer_leaves_time_for_the_report() -> None:
    from tests.kit.template import resources_of_type

    connect, read = wiring._ANSWER_WITHIN
    functions = resources_of_type("AWS::Serverless::Function")
    longest = 2 * (connect + read) + 2 * 3 * (2 + 5)  # two tries of the version, three of each call of CodeDeploy
    assert longest < functions["RolloutSmoke"]["Properties"]["Timeout"]
