"""The identities as a resource of the stack: CloudFormation asks, and waits for an answer at a URL."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from issuer import renewal
from mercato import aws
from mercato.errors import TransientError
from tests.integration.issuer.conftest import DOMAIN, Authorities


@dataclass
class Invocation:
    seconds: float

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


@dataclass
class CloudFormation:
    url: str = ""
    answers: list[dict[str, Any]] = field(default_factory=list)
    content_types: list[str] = field(default_factory=list)

    def ask(self, kind: str, seconds: float | None = None) -> None:
        """`seconds` are left of the invocation; None for one without an end."""
        event = {
            "RequestType": kind,
            "ResponseURL": self.url,
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/shop/1",
            "RequestId": "request-1",
            "LogicalResourceId": "Identities",
            "ResourceProperties": {"AuthorityKey": "key-1"},
        }
        renewal.handler(event, None if seconds is None else Invocation(seconds))


@pytest.fixture
def stack() -> Iterator[CloudFormation]:
    found = CloudFormation()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            found.answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            found.content_types.append(self.headers.get("Content-Type", ""))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}/answer?signature=x"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def test_the_stack_s_first_identities_need_no_ingress(authorities: Authorities, stack: CloudFormation) -> None:
    """API Gateway makes the ingress's domain only if there is a trust store."""
    aws.client("apigatewayv2").delete_domain_name(DomainName=DOMAIN)
    stack.ask("Create")
    authorities.check()
    [answer] = stack.answers
    assert (answer["Status"], answer["LogicalResourceId"], answer["RequestId"]) == (
        *("SUCCESS", "Identities"),
        "request-1",
    )
    assert stack.content_types == [""], "the URL is signed without one"


def test_another_key_is_used_at_the_deploy(authorities: Authorities, stack: CloudFormation) -> None:
    stack.ask("Create")
    before = authorities.leaves()
    stack.ask("Update")
    assert authorities.leaves() == before, "a second run changes nothing"
    assert [answer["PhysicalResourceId"] for answer in stack.answers] == ["identities", "identities"]


@contextmanager
def broken_s3(times: int) -> Iterator[list[str]]:
    """The first readings of the trust store fail."""
    failed: list[str] = []

    def fail(**_: Any) -> None:
        if len(failed) < times:
            failed.append("GetObject")
            raise EndpointConnectionError(endpoint_url="https://aws.example")

    events = aws.client("s3").meta.events
    events.register_first("before-call.s3.GetObject", fail, unique_id="broken")
    try:
        yield failed
    finally:
        events.unregister("before-call.s3.GetObject", unique_id="broken")


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "_PAUSE_FOR_STACK", 0)


@pytest.mark.usefixtures("without_pauses")
def test_a_deploy_survives_a_run_that_fails_for_now(authorities: Authorities, stack: CloudFormation) -> None:
    with broken_s3(times=2) as failed:
        stack.ask("Create")
    assert len(failed) == 2
    authorities.check()
    assert [answer["Status"] for answer in stack.answers] == ["SUCCESS"]


@pytest.mark.usefixtures("without_pauses")
def test_a_run_that_has_little_time_left_is_not_repeated(authorities: Authorities, stack: CloudFormation) -> None:
    with broken_s3(times=1) as failed, pytest.raises(TransientError):
        stack.ask("Create", seconds=30)
    assert len(failed) == 1
    assert [answer["Status"] for answer in stack.answers] == ["FAILED"]


@pytest.mark.usefixtures("without_pauses")
def test_a_failure_that_stays_is_told(authorities: Authorities, stack: CloudFormation) -> None:
    with broken_s3(times=9) as failed, pytest.raises(TransientError):
        stack.ask("Create")
    assert len(failed) == 3
    [answer] = stack.answers
    assert answer["Status"] == "FAILED"
    assert "reading the trust store" in answer["Reason"]


def test_the_end_of_the_stack_is_answered_and_issues_nothing(authorities: Authorities, stack: CloudFormation) -> None:
    stack.ask("Delete")
    assert stack.answers[0]["Status"] == "SUCCESS"
    with pytest.raises(aws.client("secretsmanager").exceptions.ResourceNotFoundException):
        authorities.leaf("carts")
