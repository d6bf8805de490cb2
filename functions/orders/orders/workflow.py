"""Starts the order's saga in Step Functions."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from mercato import aws
from mercato.errors import SagaEnd, TransientError
from mercato.telemetry import correlation
from mercato.telemetry.logs import log
from orders.order import Order

_GONE = {"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"}
_BUSY = {"ThrottlingException", "ExecutionLimitExceeded", "ServiceUnavailable", "InternalServerError"}


_INTERRUPTED = "SagaInterrupted"  # no business reason: orders.failures explains it as an error of ours
CANCELLATION = ".cancellation"  # after the order's id, in the name of the execution that undoes it


class OrderSaga:
    def __init__(self, state_machine_arn: str) -> None:
        self._arn = state_machine_arn

    def start(self, order: Order) -> None:
        """Idempotent: the execution is named after the order, and Step Functions accepts a name once."""
        self._start(order, order.id, saga_input(order))

    def start_cancellation(self, order: Order) -> None:
        """Starts the same workflow at its cancellation: an input with an error is that of a failed order."""
        self._start(order, f"{order.id}{CANCELLATION}", cancellation_input(order))

    def start_undo(self, order: Order) -> None:
        """Starts the same undo for an order that its customer did not cancel."""
        self._start(order, f"{order.id}{CANCELLATION}", undo_input(order, _INTERRUPTED))

    def _start(self, order: Order, name: str, content: dict[str, Any]) -> None:
        try:
            aws.client("stepfunctions").start_execution(
                stateMachineArn=self._arn, name=name, input=json.dumps(content, ensure_ascii=False)
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ExecutionAlreadyExists":
                log.info("the saga runs already", extra={"order_id": order.id, "execution": name})
                return
            if code in _BUSY:
                raise TransientError(f"the saga of {order.id} cannot start now: {code}") from error
            raise


class WaitingSagas:
    def answer(self, task_token: str, order: Order) -> None:
        """Has the saga look at the order's current attempt. A repeated answer, and a late one, change nothing."""
        output = json.dumps(_attempt(order))
        try:
            aws.client("stepfunctions").send_task_success(taskToken=task_token, output=output)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _GONE:
                log.info("the saga does not wait any more", extra={"order_id": order.id, "answer": code})
                return
            if code in _BUSY:
                raise TransientError(f"the saga of {order.id} cannot be answered now: {code}") from error
            raise


def _attempt(order: Order) -> dict[str, Any]:
    return {"number": order.attempt, "payment_token": order.payment_token}


def saga_input(order: Order) -> dict[str, Any]:
    """The input that all steps need. Only an order that waits for its buyer has an attempt."""
    asked = {
        "lines": [{"product_id": line.product_id, "quantity": line.quantity} for line in order.lines],
        "total": order.total.model_dump(),
        "payment_token": order.payment_token,
        "number": order.number,
        "language": order.language,
    }
    return _about(order) | asked | ({"attempt": _attempt(order)} if order.waits_for_buyer else {})


def cancellation_input(order: Order) -> dict[str, Any]:
    """The input that the cancellation needs."""
    return undo_input(order, SagaEnd.CANCELLED_BY_CUSTOMER)


def undo_input(order: Order, error: str) -> dict[str, Any]:
    return _about(order) | {"failed_step": "Cancellation", "error": {"Error": error, "Cause": ""}}


def _about(order: Order) -> dict[str, Any]:
    """`coupons` is there only for an order that has some: the state machine asks for its presence."""
    work = correlation.current()
    coupons = {"coupons": order.coupons.model_dump(mode="json")} if order.coupons else {}
    return coupons | {
        "order_id": order.id,
        "customer_id": order.customer_id,
        "correlation_id": work.correlation_id,
        "traceparent": work.traceparent,
        "tracestate": work.tracestate,
        "causation_id": work.causation_id or "",
    }
