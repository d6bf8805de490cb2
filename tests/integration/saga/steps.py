"""The saga's steps in order, their undo, and how a test scripts them."""

from __future__ import annotations

from typing import Any

from tests.integration.saga.conftest import Double

FORWARD = ["ReserveInventory", "AuthorizePayment", "KeepReservation", "ConfirmOrder", "CapturePayment"]
TRANSIENT = [
    "TransientError",
    "ConcurrencyError",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Sandbox.Timedout",
]

OWNER = {
    "ReserveInventory": "InventorySaga",
    "KeepReservation": "InventorySaga",
    "ReleaseInventory": "InventorySaga",
    "AuthorizePayment": "PaymentsSaga",
    "CapturePayment": "PaymentsSaga",
    "VoidPayment": "PaymentsSaga",
    "RefundPayment": "PaymentsSaga",
    "ConfirmOrder": "OrdersSaga",
    "WriteOffRefund": "PaymentsSaga",
    "StopShipment": "ShippingSaga",
    "CancelOrder": "OrdersSaga",
    "MarkNeedsAttention": "OrdersSaga",
}
UNDONE = {
    "ReserveInventory": ["ReleaseInventory", "CancelOrder"],
    "AuthorizePayment": ["VoidPayment", "ReleaseInventory", "CancelOrder"],
    "KeepReservation": ["VoidPayment", "ReleaseInventory", "CancelOrder"],
    "ConfirmOrder": ["VoidPayment", "ReleaseInventory", "CancelOrder"],
    "CapturePayment": ["StopShipment", "RefundPayment", "ReleaseInventory", "CancelOrder"],
}


def script(doubles: dict[str, Double], task: str, *outcomes: Any) -> None:
    doubles[OWNER[task]].script(task, *outcomes)


def up_to(step: str) -> list[str]:
    return FORWARD[: FORWARD.index(step) + 1]
