"""The order's saga, as Step Functions runs it."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from mercato import aws, correlation
from mercato.errors import TransientError
from mercato.logs import log
from orders.order import Order

_BUSY = {"ThrottlingException", "ExecutionLimitExceeded", "ServiceUnavailable", "InternalServerError"}


class OrderSaga:
    def __init__(self, state_machine_arn: str) -> None:
        self._arn = state_machine_arn

    def start(self, order: Order) -> None:
        """Idempotent: the execution's name is the order's id, and Step Functions takes a name once."""
        try:
            aws.client("stepfunctions").start_execution(
                stateMachineArn=self._arn, name=order.id, input=json.dumps(saga_input(order))
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ExecutionAlreadyExists":
                log.info("the saga runs already", extra={"order_id": order.id})
                return
            if code in _BUSY:
                raise TransientError(f"the saga of {order.id} cannot start now: {code}") from error
            raise


def saga_input(order: Order) -> dict[str, Any]:
    """All that any step needs."""
    work = correlation.current()
    return {
        "order_id": order.id,
        "customer_id": order.customer_id,
        "lines": [{"product_id": line.product_id, "quantity": line.quantity} for line in order.lines],
        "total": order.total.model_dump(),
        "payment_token": order.payment_token,
        "correlation_id": work.correlation_id,
        "traceparent": work.traceparent,
    }
