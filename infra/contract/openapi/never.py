"""Errors that a route's code names and that the route never answers, and why. The contract leaves them out.

The reach of a route's code is read from the source, which errs on the side of too much. That all other errors are
answered is tested by requests that meet them: tests/integration/refusals.
"""

from __future__ import annotations

_REFUNDS = (
    "not-refundable",
    "refund-refused",
    "refund-too-large",
    "refund-written-off",
    "too-many-refunds",
    "unknown-payment",
    "wrong-currency",
)
_NO_TOKEN = "its code is shared with a route that takes such a token; this one takes none"
_CAUGHT = "the use case turns it into another answer"
_BODY = "the body holds the same rule, and is refused before"
_GUESTS = "a guest's cart is of no account"
_SHARED = "its code is shared with a change that can meet it; this one cannot"

NEVER: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (_CAUGHT, "POST /api/users", ("user-not-found",)),
    (_BODY, "POST /api/users", ("invalid-name",)),
    (_BODY, "PATCH /api/users/me", ("invalid-name",)),
    (_CAUGHT, "POST /api/users/login", ("user-not-found", "invalid-email")),
    (_NO_TOKEN, "POST /api/users/login", ("invalid-token", "invalid-refresh-token", "refresh-token-reused")),
    (_NO_TOKEN, "PATCH /api/users/me", ("invalid-token",)),
    (_CAUGHT, "POST /api/users/logout", ("invalid-refresh-token",)),
    (_CAUGHT, "POST /api/users/token/refresh", ("user-not-found",)),
    ("closing the account takes its tokens away", "POST /api/users/verify-email", ("user-not-found",)),
    ("closing the account takes its tokens away", "POST /api/users/password-reset/confirm", ("user-not-found",)),
    (_CAUGHT, "POST /api/users/password-reset", ("user-not-found", "invalid-email")),
    (_NO_TOKEN, "PUT /api/users/me/password", ("invalid-token", "invalid-refresh-token")),
    (_NO_TOKEN, "PUT /api/users/me/closure", ("invalid-token", "invalid-refresh-token")),
    (_NO_TOKEN, "DELETE /api/users/me/sessions", ("invalid-token",)),
    (_SHARED, "POST /api/products", ("product-not-found", "stale-version")),
    (_SHARED, "PATCH /api/products/{product_id}", ("sku-taken",)),
    (_SHARED, "DELETE /api/products/{product_id}", ("sku-taken",)),
    (
        "it refuses a row, and the import goes on",
        "POST /api/products/imports",
        ("invalid-price", "product-discontinued", "product-not-found"),
    ),
    ("the kit refuses bytes that are no text before", "POST /api/products/imports", ("unreadable-csv",)),
    ("one product has no other beside it", "POST /api/inventory/{product_id}/adjustments", ("duplicate-product",)),
    (_GUESTS, "PUT /api/carts/guests/{cart_id}/items/{product_id}", ("account-closed",)),
    (_GUESTS, "POST /api/carts/guests/{cart_id}/items/{product_id}", ("account-closed",)),
    (_GUESTS, "DELETE /api/carts/guests/{cart_id}/items/{product_id}", ("account-closed",)),
    (_SHARED, "POST /api/orders/{order_id}/cancel", ("order-too-large",)),
    ("a return is smaller than its order", "POST /api/orders/{order_id}/returns", ("order-too-large",)),
    ("only an undo meets it", "POST /api/payments/{payment_id}/refunds", ("refund-written-off",)),
    ("webhooks are accepted even if they concern no payment", "POST /api/payments/webhooks/sandbox", _REFUNDS),
    ("webhooks are accepted even if they concern no payment", "POST /api/payments/webhooks/stripe", _REFUNDS),
    (
        "a saga is looked for among the parked, and that there is none is saga-not-parked",
        "POST /api/ops/sagas/{order_id}/resume",
        ("saga-not-found",),
    ),
)
