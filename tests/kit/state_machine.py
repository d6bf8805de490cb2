"""Runs the real state machine in this process: moto executes the ASL, and a Lambda call calls a Python function."""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import boto3
import jsonpath_ng.ext.parser
import pytest
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.config import default_user_config
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec import execute_state
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.asl.utils.boto_client import boto_client_for
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from moto.stepfunctions.parser.utils import TMP_THREADS

from tests.kit.template import ROOT

FUNCTIONS = ("InventorySaga", "PaymentsSaga", "OrdersSaga", "ShippingSaga", "PromotionsSaga")
ORDER = "5d6aa9d2-0000-5000-8000-000000000001"
PATIENCE = 600.0  # seconds: long enough for a busy machine, so that only a missing result reaches it

Invoke = Callable[[dict[str, Any]], Any]


def failing(name: str, message: str = "no") -> Exception:
    """Returns an exception whose class has this name, which Lambda reports as the error's type."""
    error: Exception = type(name, (Exception,), {})(message)
    return error


@dataclass
class World:
    """The state machine and its functions. `calls` has the called tasks in order.

    A task times out only when a test sets `times_out`, and never because the machine is busy.
    """

    arn: str
    queue_url: str
    handlers: dict[str, Invoke]
    calls: list[str] = field(default_factory=list)
    payloads: list[dict[str, Any]] = field(default_factory=list)
    times_out: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def invoke(self, function_name: str, body: str) -> tuple[Any, bool]:
        payload = json.loads(body)
        with self._lock:
            self.calls.append(payload["task"])
            self.payloads.append(payload)
        try:
            return self.handlers[function_name](payload), False
        except Exception as error:  # noqa: BLE001 - as the Lambda runtime does
            return {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": []}, True

    def inputs(self, task: str) -> list[dict[str, Any]]:
        return [payload["input"] for payload in self.payloads if payload["task"] == task]

    def start(self, saga_input: dict[str, Any]) -> str:
        answer = boto3.client("stepfunctions").start_execution(
            stateMachineArn=self.arn, name=saga_input["order_id"], input=json.dumps(saga_input)
        )
        return str(answer["executionArn"])

    def finish(self, execution_arn: str) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            found = dict(boto3.client("stepfunctions").describe_execution(executionArn=execution_arn))
            return found if found["status"] != "RUNNING" else None

        return poll(ended)

    def run(self, saga_input: dict[str, Any]) -> dict[str, Any]:
        return self.finish(self.start(saga_input))

    def parked(self) -> dict[str, Any]:
        """Waits for the next message in the parked queue and returns its body."""

        def receive() -> dict[str, Any] | None:
            answer = boto3.client("sqs").receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=1)
            if not answer.get("Messages"):
                return None
            (message,) = answer["Messages"]
            boto3.client("sqs").delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
            body: dict[str, Any] = json.loads(message["Body"])
            return body

        return poll(receive)

    def resume(self, parked: dict[str, Any], action: str) -> None:
        boto3.client("stepfunctions").send_task_success(
            taskToken=parked["task_token"], output=json.dumps({"action": action})
        )


def answer_of_a_task(times_out: threading.Event) -> type[threading.Event]:
    """Returns the event class on which moto waits for a task's result. A wait times out only if `times_out` is set."""

    class Answer(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            while not super().wait(0.02):
                if times_out.is_set():
                    times_out.clear()
                    return False
            return True

    return Answer


def forget_the_past() -> None:
    """Deletes finished executions and threads. moto keeps them all, until no memory is left for another thread."""
    TMP_THREADS[:] = [thread for thread in TMP_THREADS if thread.is_alive()]
    for machine in stepfunctions_parser_backends["123456789012"]["us-east-1"].state_machines:
        machine.executions[:] = [one for one in machine.executions if one.status == "RUNNING"]


class NothingCame(AssertionError):
    """The expected result did not arrive in time."""


def poll[T](look: Callable[[], T | None], patience: float = PATIENCE) -> T:
    ends_at = time.monotonic() + patience
    while time.monotonic() < ends_at:
        found = look()
        if found is not None:
            return found
        threading.Event().wait(0.02)
    raise NothingCame(f"nothing came within {patience} s")


def _function_of(function_name: str) -> str:
    """Returns a function's logical name, such as `InventorySaga`, from its ARN with or without an alias."""
    return next(name for name in FUNCTIONS if name in function_name)


def deploy(monkeypatch: pytest.MonkeyPatch, handlers: dict[str, Invoke]) -> World:
    """Creates the order saga's state machine with these handlers as its functions. Its retries do not wait."""
    queue_url = boto3.client("sqs").create_queue(QueueName="parked")["QueueUrl"]
    text = (ROOT / "functions/orders/order_saga.asl.json").read_text().replace("${ParkedQueueUrl}", queue_url)
    text = text.replace("${AwaitOperator}", "arn:aws:states:::sqs:sendMessage.waitForTaskToken")
    text = text.replace("${AwaitBuyer}", "arn:aws:states:::lambda:invoke.waitForTaskToken")
    for name in FUNCTIONS:
        text = text.replace(f"${{{name}}}", f"arn:aws:lambda:us-east-1:123456789012:function:{name}:live")
    assert "${" not in text
    made = boto3.client("stepfunctions").create_state_machine(
        name="mercato-order", definition=text, roleArn="arn:aws:iam::123456789012:role/saga"
    )
    world = World(made["stateMachineArn"], queue_url, handlers)

    def invoke(
        _: LambdaSimpleBackend,
        function_name: str,
        qualifier: str | None,
        body: Any,
        headers: Any,
        answer: dict[str, str],
    ) -> bytes:
        result, failed = world.invoke(_function_of(function_name), body)
        if failed:
            answer["x-amz-function-error"] = "Unhandled"
        return json.dumps(result).encode()

    monkeypatch.setattr(LambdaSimpleBackend, "invoke", invoke)
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setattr(execute_state, "threading", SimpleNamespace(Event=answer_of_a_task(world.times_out)))
    return world


# moto parses the definition and each of its paths for every execution, which takes longer than the execution itself.
_parse_definition = functools.cache(AmazonStateLanguageParser.parse)
_parse_path = functools.cache(jsonpath_ng.ext.parser.parse)


def run_state_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configures moto to execute the ASL and to call Lambda functions without containers."""
    monkeypatch.setattr(AmazonStateLanguageParser, "parse", _parse_definition)
    monkeypatch.setattr(json_path, "parse", _parse_path)
    client = functools.cache(boto_client_for)  # moto creates one for each task
    monkeypatch.setattr(
        lambda_eval_utils, "boto_client_for", lambda service, region, state_credentials: client(region, service)
    )
    monkeypatch.setitem(default_user_config, "stepfunctions", {"execute_state_machine": True})
    monkeypatch.setitem(default_user_config, "lambda", {"use_docker": False})
