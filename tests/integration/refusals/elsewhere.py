"""Errors of routes that no case of this folder has, and the tests that have them."""

from __future__ import annotations

ELSEWHERE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("only where another change comes in between", "DELETE /api/products/{product_id}", ("stale-version",)),
    (
        "held by tests/integration/payments/test_refunds.py",
        "POST /api/payments/{payment_id}/refunds",
        ("too-many-refunds",),
    ),
    (
        "held by tests/unit/orders/test_returns.py",
        "POST /api/orders/{order_id}/returns",
        ("too-many-returns",),
    ),
    (
        "held by tests/unit/orders/test_returns.py",
        "POST /api/orders/guests/{token}/returns",
        ("too-many-returns",),
    ),
    ("held by tests/integration/ops/test_redrive.py", "POST /api/ops/dlq/redrive", ("scan-over",)),
)
