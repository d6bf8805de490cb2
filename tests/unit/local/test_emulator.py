"""Where the local cloud differs from MiniStack."""

from __future__ import annotations

import asyncio
import logging
import queue
import socket
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ministack.core import iam_actions, lambda_runtime
from ministack.services import apigateway, apigateway_v1, lambda_svc

from infra.local.emulator import (
    by_share,
    certified,
    covering,
    named,
    of_the_single_action,
    replacing,
    taking_whole_answers,
    through_the_ingress,
)
from tests.kit import aws_events


def test_a_throttled_call_has_the_name_that_step_functions_gives_it_on_aws() -> None:
    throttled = lambda_svc._throttle_response("ConcurrentInvocationLimitExceeded", "Rate Exceeded")

    answer = named(lambda_svc._throttle_response)("ConcurrentInvocationLimitExceeded", "Rate Exceeded")

    assert answer["body"] == throttled["body"] | {"errorType": "Lambda.TooManyRequestsException"}
    assert {key: answer[key] for key in ("throttle", "error")} == {"throttle": True, "error": True}


class Invoked:
    """A worker of MiniStack, as the server of its Runtime API sees it."""

    def __init__(self) -> None:
        self.answers: queue.Queue[tuple[str, object]] = queue.Queue()

    def _record_result(self, _: int, request_id: str, kind: str, payload: object) -> bool:
        self.answers.put((kind, payload))
        return True


@pytest.mark.parametrize("sent", [b"", b'{"statusCode": 200, "bo'], ids=["nothing", "a part"])
def test_the_answer_of_a_sandbox_that_is_killed_while_it_answers_is_none(sent: bytes) -> None:
    whole = b'{"statusCode": 200, "body": "{}"}'
    head = f"POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nContent-Length: {len(whole)}\r\n\r\n"
    worker = Invoked()
    build = taking_whole_answers(lambda_runtime.ProvidedWorker._build_handler_class)
    handler = build(worker, 1, queue.Queue())
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01]).start()
        try:
            for request_id, body in (("killed", sent), ("lives", whole)):
                with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as sandbox:
                    sandbox.sendall((head % request_id).encode() + body)
                    sandbox.shutdown(socket.SHUT_WR)
                    answered = sandbox.recv(4096)
                assert answered.startswith(b"HTTP/1.1 202") == (request_id == "lives")
        finally:
            server.shutdown()
    assert worker.answers.get_nowait() == ("response", {"statusCode": 200, "body": "{}"})
    assert worker.answers.empty()


@pytest.mark.parametrize("action", ["SendMessage", "DeleteMessage", "ChangeMessageVisibility"])
def test_a_batch_of_sqs_needs_the_permission_of_its_single_action(action: str) -> None:
    for called in (action, f"{action}Batch"):
        about: tuple[Any, ...] = ("POST", "/", {"x-amz-target": f"AmazonSQS.{called}"}, b"{}", {})
        assert of_the_single_action(iam_actions.extract_iam_action)("sqs", *about) == f"sqs:{action}"


def test_a_batch_of_another_service_keeps_its_own_action() -> None:
    about: tuple[Any, ...] = ("POST", "/", {"x-amz-target": "DynamoDB_20120810.BatchGetItem"}, b"{}", {})
    found = iam_actions.extract_iam_action("dynamodb", *about)
    assert of_the_single_action(iam_actions.extract_iam_action)("dynamodb", *about) == found == "dynamodb:BatchGetItem"


@pytest.mark.parametrize(
    ("media_type", "binary", "is_binary"),
    [
        ("application/json", ["*~1*"], True),
        ("text/csv; charset=windows-1252", ["*~1*"], True),
        ("", ["*~1*"], True),
        (None, ["*~1*"], True),
        ("image/png", ["image~1png"], True),
        ("application/json", ["image~1png"], False),
        ("application/json", [], False),
        ("application/json", None, False),
    ],
)
def test_a_media_type_is_binary_as_cloudformation_writes_it(
    media_type: str | None, binary: list[str] | None, is_binary: bool
) -> None:
    assert covering(apigateway_v1._media_type_matches)(media_type, binary) is is_binary


class Sandbox:
    in_use = True

    def __init__(self) -> None:
        self.ended = False
        self._proc = None

    def _discard_tmpdir(self) -> None:
        self.ended = True


def test_a_sandbox_of_older_code_ends_before_its_next_invocation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool: list[Any] = []
    monkeypatch.setattr(lambda_runtime, "_workers", {"TeasApi": pool})

    def acquire(name: str, config: dict[str, Any], *about: Any) -> tuple[Any, str]:
        if pool:
            return pool[0], "reused"
        pool.append(Sandbox())
        return pool[0], "spawn"

    acquiring = replacing(acquire, tmp_path)
    config = {"Handler": "teas.api.handler"}
    first, how = acquiring("TeasApi", config, b"")
    assert how == "spawn"
    assert acquiring("TeasApi", config, b"") == (first, "reused")

    (tmp_path / "teas").symlink_to(tmp_path / ".kept")
    second, how = acquiring("TeasApi", config, b"")

    assert how == "spawn"
    assert first.ended
    assert second is not first
    assert acquiring("TeasApi", config, b"") == (second, "reused")
    assert pool == [second]


def test_a_function_without_a_free_sandbox_is_throttled_as_before(tmp_path: Path) -> None:
    assert replacing(lambda *about: (None, "func_cap"), tmp_path)("TeasApi", {"Handler": "teas.api.handler"}, b"") == (
        None,
        "func_cap",
    )


def test_an_alias_leads_to_the_versions_beside_by_their_shares() -> None:
    alias = {"FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.25}}}
    function = {"aliases": {"live": alias, "plain": {"FunctionVersion": "1"}}}

    led_to = [by_share(function, "live") for _ in range(2000)]

    assert set(led_to) == {"1", "2"}
    assert 350 <= led_to.count("2") <= 650  # more than seven standard deviations
    assert by_share(function, "plain") == "plain"
    assert by_share(function, "3") == "3"
    assert by_share(function, None) is None
    assert by_share(None, "live") == "live"


@pytest.fixture
def ingress(monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of an API whose own endpoint is disabled; `open` is one whose is not."""
    monkeypatch.setattr(apigateway, "_apis", type(apigateway._apis)())
    apigateway._apis["0d000d0d"] = {"disableExecuteApiEndpoint": True}
    apigateway._apis["0e000e0e"] = {"disableExecuteApiEndpoint": False}
    return "0d000d0d"


def asked(path: str, host: str = "localhost:4566", **headers: str) -> int:
    async def execute(*_: Any, **__: Any) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, b""

    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    status: int = asyncio.run(through_the_ingress(execute, "proof")(host, path, "GET", sent, b"", {}))[0]
    return status


def test_an_api_without_an_endpoint_is_reached_through_the_ingress_alone(
    ingress: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = f"{ingress}.execute-api.localhost"
    assert asked("/orders/live/health", host, x_mesh_proof="proof") == 200
    for way in (
        {"path": "/orders/live/health", "host": host},
        {"path": f"/_aws/execute-api/{ingress}/$default/orders/live/health"},
        {"path": f"/restapis/{ingress}/$default/_user_request_/orders/live/health"},
    ):
        for forged in ({}, {"x_mesh_proof": "guessed"}, {"x_forwarded_client_cert": 'Subject="CN=orders"'}):
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                assert asked(**way, **forged) == 403
            assert "mesh call refused" in caplog.text


def test_other_apis_are_as_before(ingress: str) -> None:
    assert asked("/_aws/execute-api/0e000e0e/$default/") == 200
    assert asked("/2015-03-31/functions") == 200


def seen_by_the_function(**headers: str) -> dict[str, Any]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    event = aws_events.ingress_request("GET", "/health", certificate=None, headers=sent)
    found: dict[str, Any] = certified(lambda _, event: event, "proof")({}, event)
    return found


def test_the_function_gets_the_certificate_that_the_ingress_has_seen() -> None:
    stated = 'By=spiffe://mercato/ingress;Hash=ab;Subject="CN=orders";URI=spiffe://mercato/orders'
    event = seen_by_the_function(x_mesh_proof="proof", x_forwarded_client_cert=stated)
    assert event["requestContext"]["authentication"] == {"clientCert": {"subjectDN": "CN=orders"}}
    assert event["requestContext"]["routeKey"] == "ANY /products/live/{proxy+}"
    assert not [name for name in event["headers"] if name.startswith("x-")]


def test_nobody_but_the_ingress_states_a_certificate() -> None:
    for proof in ({}, {"x_mesh_proof": "guessed"}):
        event = seen_by_the_function(**proof, x_forwarded_client_cert='Subject="CN=orders"')
        assert "authentication" not in event["requestContext"]
